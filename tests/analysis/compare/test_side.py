"""Tables from anywhere: read as a run's own, or refused in one sentence."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.compare import side
from bench.analysis.compare.side import Side, read_side
from bench.analysis.metrics import BY_NAME
from bench.analysis.tables import write_tables
from bench.errors import Refused
from tests.analysis.compare.tables import USUAL, a_side, rates, trials, write_table
from tests.builders import a_failed_trial, a_run, a_trial

ROOT = Path(__file__).parents[3]
SPEED = BY_NAME["images_per_second"]


def groups_of(side: Side) -> list[tuple[str, dict[int, float]]]:
    return [(group.model, dict(group.values(SPEED.name))) for group in side.groups]


def test_seeds_of_one_setting_are_a_group(tmp_path: Path) -> None:
    side = a_side(tmp_path, "t", rates([1.5, 2.5]), rates([3], optimizer="sgd"))
    assert groups_of(side) == [("resnet18", {0: 1.5, 1: 2.5}), ("resnet18", {0: 3.0})]


def test_a_runs_log_and_its_table_say_the_same(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", seeds=2)
    from_log = read_side(run.path)
    write_tables(run)
    (tmp_path / "kept").mkdir()
    table = (run.path / "models.csv").rename(tmp_path / "kept" / "models.csv")
    for path in (table, table.parent):
        side = read_side(path)
        assert groups_of(side) == groups_of(from_log)
        for mine, other in zip(side.groups, from_log.groups, strict=True):
            assert mine.traits == other.traits
            for metric in BY_NAME:
                assert mine.texts(metric) == other.texts(metric)


def test_the_kept_reference_can_be_compared_to() -> None:
    side = read_side(ROOT / "results" / "reference" / "cifar10-jpeg-32px")
    assert [group.model for group in side.groups] == ["resnet18", "googlenet", "densenet121"]


def test_what_is_not_done_is_left_out_and_counted(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for record in a_failed_trial(a_trial(seed=1)):
        run.add(record)
    write_tables(run)
    side = read_side(tmp_path / "run" / "models.csv")
    assert side.left_out == 1
    assert [sorted(group.values(SPEED.name)) for group in side.groups] == [[0], [0]]


def test_numbers_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    a = a_side(tmp_path, "a", rates([1.0], image_size="32.0", learning_rate="1e-3"))
    assert dict(a.groups[0].traits)["image_size"] == "32"
    assert dict(a.groups[0].traits)["learning_rate"] == "0.001"


def test_without_what_was_asked_for_the_batch_is_what_it_came_to(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "batch_choice"} for row in rates([1.0])]
    assert a_side(tmp_path, "a", rows).groups[0].traits["batch_choice"] == "128"


def test_values_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    side = a_side(tmp_path, "a", rates([1.0, "", 3.0]))  # type: ignore[list-item]
    assert groups_of(side) == [("resnet18", {0: 1.0, 2: 3.0})]
    assert side.groups[0].values("power_watts") == {}


def test_noise_and_calibration_are_read_where_they_are(tmp_path: Path) -> None:
    columns = {"noise": ["", "load 3.0", ""], "calibration_gflops": [50.0, "", 55.0]}
    (group,) = a_side(tmp_path, "a", trials(columns)).groups
    assert group.noisy == 1
    assert group.machine == {0: 50.0, 2: 55.0}
    (bare,) = a_side(tmp_path, "b", rates([1.0])).groups
    assert (bare.noisy, bare.machine) == (0, {})


def test_models_are_chosen_by_name_or_wildcard(tmp_path: Path) -> None:
    side = a_side(tmp_path, "a", rates([1]), rates([1], model="googlenet"))
    assert [g.model for g in side.only(["goog*"]).groups] == ["googlenet"]
    assert side.only([]) is side
    with pytest.raises(Refused, match="has only resnet18, googlenet"):
        side.only(["vgg*"])


BAD = [
    ("", "has no column 'model'"),
    ("model,seed\nresnet18,0\n", "has no column 'status'"),
    ("a,a\n", "has no column 'model'"),
    ('"', "is not a CSV file"),
    ("\0", "no column"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_no_table_of_trials_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        read_side(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_rows_that_cannot_be_are_refused_by_their_line(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", rates([1.0]))
    text = path.read_text()
    header, row = text.splitlines()
    cases = {
        f"{header}\n{row},1\n": "line 2 has 28 cells and the header 27",
        f"{header},model\n{row},x\n": "column 'model' twice",
        text + row + "\n": "line 3: resnet18 with seed 0 is there twice",
        text.replace("resnet18,0,done", "resnet18,x,done"): "line 2: seed 'x' is not a number",
        text.replace("resnet18,0,done", "resnet18,-1,done"): "line 2: seed '-1' is no whole number",
        text.replace("resnet18,0,done", "resnet18,,done"): "line 2: seed '' is no whole number",
        text.replace(",done,", ",failed,"): "has no trial that is done",
    }
    for bad, said in cases.items():
        path.write_text(bad)
        with pytest.raises(Refused) as refused:
            read_side(path)
        assert said in str(refused.value)


@pytest.mark.parametrize("value", ["fast", "nan", "inf", "1e999", "1,0"])
def test_a_value_that_is_no_number_is_refused_by_its_line(value: str, tmp_path: Path) -> None:
    side = a_side(tmp_path, "a", rates([value]))  # type: ignore[list-item]
    with pytest.raises(Refused, match=r"a\.csv, line 2: images_per_second .* is not a number"):
        side.groups[0].values(SPEED.name)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not there; name a run folder or a CSV file"):
        read_side(tmp_path / "none")
    with pytest.raises(Refused, match=r"has neither events\.jsonl nor models\.csv"):
        read_side(tmp_path)
    with pytest.raises(Refused, match="cannot be read"):
        read_side(Path("x" * 5000))


def test_a_file_beyond_measure_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side, "LARGEST_FILE", 100)
    with pytest.raises(Refused, match="is above 100 bytes"):
        a_side(tmp_path, "a", rates([1.0]))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    head = ",".join(USUAL).encode() + b"\n"
    for content in (data, head + data):
        path.write_bytes(content)
        with contextlib.suppress(Refused):
            assert read_side(path).groups


KEPT = sorted((Path(__file__).parents[3] / "results" / "reference").glob("*/models.csv"))


@pytest.mark.parametrize("table", KEPT, ids=lambda path: path.parent.name)
def test_the_kept_references_can_be_compared(table: Path) -> None:
    side = read_side(table.parent)
    several = {"resnet18", "googlenet", "densenet121"}
    alone = {
        **{"lecture-recipe": {"resnet18"}, "recipes": {"resnet18"}},
        **{"airbench94": {"airbench94"}, "onecycle": {"resnet18:cifar"}},
    }
    kept = next((m for name, m in alone.items() if table.parent.name.startswith(name)), several)
    assert {group.model for group in side.groups} >= kept
    assert side.left_out == 0


def test_there_are_kept_references() -> None:
    assert {path.parent.name for path in KEPT} >= {"small", "ten-epochs"}
