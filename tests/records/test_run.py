from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import Refused
from bench.records.records import (
    FinalTest,
    RunEnded,
    TrialEnded,
    TrialRepeated,
    TrialResumed,
    TrialStarted,
)
from bench.records.run import TrialResult, collect, load_run
from bench.records.run_folder import LOG
from tests.builders import (
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_probe,
    a_refused_trial,
    a_run,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_records,
    validated,
)

HERE = Path("somewhere")


def test_a_run_is_read_back_from_its_folder(tmp_path: Path) -> None:
    written, read = a_run(tmp_path, seeds=2), load_run(tmp_path)
    assert [trial.trial.id for trial in read.trials] == [
        "resnet18 32px adam fp32 bauto seed0",
        "googlenet 32px adam fp32 bauto seed0",
        "resnet18 32px adam fp32 bauto seed1",
        "googlenet 32px adam fp32 bauto seed1",
    ]
    assert [trial.epochs for trial in read.trials] == [trial.epochs for trial in written.trials]
    assert read.dataset == written.dataset
    assert read.path == tmp_path


def test_what_an_older_run_said_once_is_in_its_settings() -> None:
    older = {"augment": True, "channels_last": False, "pretrained": True}
    started, *rest = run_start()
    config = started.config | older
    records = [replace(started, config=config), *rest, a_probe(), a_largest_batch()]
    run = collect(HERE, [*records, *a_done_trial(a_trial())])
    setting = a_setting(augment="shift", channels_last=False, pretrained=True)
    assert run.trials[0].trial.setting == run.all_probes[0].setting == setting
    assert run.trials[0].largest_batch is not None
    assert run.trials[0].trial.id == a_trial().id


def test_a_folder_may_be_named_by_text(tmp_path: Path) -> None:
    a_run(tmp_path)
    assert len(load_run(str(tmp_path)).trials) == 2


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a run folder"):
        load_run(tmp_path)


@pytest.mark.parametrize("what", ["started", "dataset", "device"])
def test_a_log_that_ends_before_its_run_began_has_nothing_to_report(
    tmp_path: Path, what: str
) -> None:
    (tmp_path / LOG).write_bytes(b'{"event": "RunSt')
    with pytest.raises(Refused, match="ends before its run began; there is nothing to report"):
        getattr(load_run(tmp_path), what)


def test_a_result_finds_what_belongs_to_it() -> None:
    result = collect(HERE, some_records()).trials[1]
    assert result.facts is not None
    assert result.described is not None
    assert result.largest_batch is not None
    assert (result.facts.name, result.described.model) == ("googlenet", "googlenet")
    assert result.largest_batch.max_batch == 90
    assert [epoch.epoch for epoch in result.epochs] == [1, 2, 3]


def test_a_result_of_which_nothing_else_is_known() -> None:
    (result,) = collect(HERE, [*run_start(), *a_refused_trial(a_trial())]).trials
    assert (result.facts, result.described, result.largest_batch) == (None, None, None)


def test_a_fit_belongs_to_one_setting_only() -> None:
    other = a_largest_batch(setting=a_setting(optimizer="sgd"), max_batch=7)
    (result,) = collect(HERE, [*run_start(), other, *a_done_trial(a_trial())]).trials
    assert result.largest_batch is None


def test_each_status_is_told_apart() -> None:
    records = [
        *run_start(),
        *a_done_trial(a_trial("done")),
        *a_failed_trial(a_trial("failed"), epochs=1),
        *a_refused_trial(a_trial("refused")),
        *a_done_trial(a_trial("cut"))[:-1],
    ]
    run = collect(HERE, records)
    assert {r.trial.model: r.status for r in run.trials} == {
        "done": "done",
        "failed": "failed",
        "refused": "refused",
        "cut": "unfinished",
    }
    assert run.ended is None


def test_a_run_is_complete_unless_it_goes_on_or_a_signal_stopped_it() -> None:
    *begun, ended = some_records()
    assert collect(HERE, [*begun, ended]).complete
    assert not collect(HERE, begun).complete
    assert not collect(HERE, [*begun, RunEnded(130, 1.0)]).complete
    again = TrialResumed(a_trial(), "later", 1)
    assert not collect(HERE, [*begun, ended, again]).complete
    assert collect(HERE, [*begun, ended, again, ended]).complete


def test_a_log_with_two_final_tests_of_a_trial_is_refused(tmp_path: Path) -> None:
    log = validated(some_records())
    assert all(trial.final_test for trial in collect(HERE, log).trials)
    tested = next(record for record in log if isinstance(record, FinalTest))
    with pytest.raises(Refused, match=f"has two final tests of {tested.trial}"):
        collect(HERE, [*log, replace(tested, accuracy=1.0)])


@pytest.mark.parametrize("end", ["done", "failed", "interrupted"])
def test_a_repetition_that_comes_to_nothing_changes_nothing(end: str) -> None:
    trial, again = a_trial(), an_epoch(a_trial(), 1, train_seconds=99.0)
    log = [*a_done_trial(trial, epochs=2), TrialRepeated(trial, "now", "noisy"), again]
    ends = {
        "done": TrialEnded(trial, "done", None, 99.0),
        "failed": TrialEnded(trial, "failed", "its worker was killed.", 5.0, True),
        "interrupted": RunEnded(1, 200.0),
    }
    (result,) = collect(HERE, [*run_start(), *log, ends[end]]).trials
    assert result.status == "done"
    assert [e.train_seconds for e in result.epochs] == ([99.0] if end == "done" else [15.0, 10.0])
    assert result.repeated == ["noisy"]


def test_a_repeated_trial_keeps_its_final_test() -> None:
    log = validated(a_done_trial(a_trial()))
    run = collect(HERE, [*run_start(), *log, TrialRepeated(a_trial(), "now", "noisy")])
    [result] = run.trials
    assert result.status == "done"
    assert result.final_test in log


def test_a_repetition_that_an_older_version_resumed_is_one_repetition() -> None:
    trial = a_trial()
    first, second = (an_epoch(trial, number, train_seconds=99.0) for number in (1, 2))
    log = [*a_done_trial(trial, epochs=2), TrialRepeated(trial, "now", "noisy"), first]
    log += [RunEnded(1, 200.0), TrialResumed(trial, "later", 1), second]
    log += [TrialEnded(trial, "done", None, 99.0)]
    (result,) = collect(HERE, [*run_start(), *log]).trials
    assert (result.status, result.epochs) == ("done", [first, second])


def test_of_two_repetitions_that_come_to_nothing_the_first_time_stays() -> None:
    trial = a_trial()
    repeated = [TrialRepeated(trial, "now", "noisy"), an_epoch(trial, 1, train_seconds=99.0)]
    (result,) = collect(HERE, [*run_start(), *a_done_trial(trial, 2), *repeated * 2]).trials
    assert (result.status, len(result.epochs)) == ("done", 2)


def test_an_end_looks_only_at_what_was_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(TrialResult, "undo_repetition", lambda self: seen.append(self.trial.id))
    first, second = a_trial("resnet18"), a_trial("googlenet")
    log = [*run_start(), TrialStarted(first, "now"), TrialStarted(second, "now")]
    collect(HERE, [*log, TrialRepeated(second, "now", "noisy"), *[RunEnded(1, 2.0)] * 3])
    assert seen == [second.id] * 2


def test_probes_are_kept_in_order() -> None:
    probes = [a_probe(batch_size=size) for size in (2, 100, 50)]
    assert collect(HERE, [*run_start(), *probes]).all_probes == probes
