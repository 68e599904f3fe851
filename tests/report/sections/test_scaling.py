"""Several processes against one: ratio, efficiency, and what the section says."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.compare.ranking import Standings
from bench.analysis.scaling import scalings
from bench.analysis.trial_group import trial_groups
from bench.records.records import Epoch, RankFacts, Record
from bench.records.run import Run
from bench.report.context import Context
from bench.report.sections.scaling import SECTIONS
from tests.builders import MIB, a_done_trial, a_setting, a_trial, run_start, tables_of

Speeds = dict[int, tuple[float, ...]]

SPEEDS = {1: (100.0, 104.0, 96.0), 2: (150.0, 157.0, 145.0), 4: (240.0, 248.0, 230.0)}


def scaled(folder: Path, speeds: Speeds = SPEEDS, two_nodes: Speeds | None = None) -> Run:
    said: list[Record] = [*run_start()]
    measured = [(ranks, 1, by_seed) for ranks, by_seed in speeds.items()]
    measured += [(ranks, 2, by_seed) for ranks, by_seed in (two_nodes or {}).items()]
    for ranks, nodes, by_seed in measured:
        for seed, speed in enumerate(by_seed):
            setting = replace(a_setting(), nproc_per_node=ranks // nodes, nnodes=nodes)
            facts = tuple(RankFacts((100 + n) * MIB, 4.0) for n in range(ranks if ranks > 1 else 0))
            variant = f"nproc_per_node={ranks // nodes} nnodes={nodes}"
            trial = a_trial(seed=seed, setting=setting, variant=variant)
            for record in a_done_trial(trial):
                if isinstance(record, Epoch):
                    record = replace(record, images_per_second=speed, ranks=facts)
                said.append(record)
    return tables_of(folder, said)


def test_efficiency_is_against_one_process_seed_by_seed(tmp_path: Path) -> None:
    groups = trial_groups(scaled(tmp_path))
    [scaling] = scalings(groups, Standings(groups))
    assert [point.ranks for point in scaling.points] == [2, 4]
    two, four = scaling.points
    assert two.ratio == pytest.approx(1.507, abs=0.001)
    assert two.efficiency == pytest.approx(two.ratio / 2)
    assert two.low is not None
    assert two.high is not None
    assert two.low < two.efficiency < two.high
    assert four.efficiency < two.efficiency


def test_without_a_measured_baseline_there_is_no_efficiency(tmp_path: Path) -> None:
    run = scaled(tmp_path, {2: SPEEDS[2], 4: SPEEDS[4]})
    groups = trial_groups(run)
    assert scalings(groups, Standings(groups)) == []
    [section] = SECTIONS
    assert section.finding(Context(run)) is None


def test_the_section_says_how_much_more_two_processes_train(tmp_path: Path) -> None:
    context = Context(scaled(tmp_path))
    [section] = SECTIONS
    finding = section.finding(context)
    assert finding is not None
    assert "In weak scaling, resnet18 with 4 processes trains 2.39 times" in finding
    table, working = section.tables(context)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[1] for row in rows] == ["1", "2", "4"]
    assert [row[3] for row in rows] == ["64", "128", "256"]
    assert [row[-1] for row in rows] == ["–", "100, 101", "100, 101, 102, 103"]
    assert len(working.rows) == 2 + 4
    [picture] = section.pictures
    assert picture.draw(context) is not None


def test_as_many_processes_on_more_nodes_are_told_apart(tmp_path: Path) -> None:
    run = scaled(tmp_path, {1: SPEEDS[1], 2: SPEEDS[2]}, {2: (180.0, 187.0, 175.0)})
    context, [section] = Context(run), SECTIONS
    finding = section.finding(context)
    assert finding is not None
    assert finding.startswith("In weak scaling, resnet18 with 2 processes on 2 nodes trains 1.81 ")
    table, working = section.tables(context)
    assert [row[1].text for row in table.rows] == ["1", "2", "2 on 2 nodes"]
    # Of two threads, each of two processes on one node has one, and on a node of its own both.
    assert [(row[1].text, row[3].text) for row in working.rows] == [
        *[("2", "64")] * 2,
        *[("2 on 2 nodes", "82")] * 2,
    ]


def test_an_end_that_is_rounded_to_the_other_side_is_drawn_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 x (ratio / 7) may come to more than the ratio; matplotlib refuses a bar below 0."""
    context = Context(scaled(tmp_path, {1: (100.0,), 7: (175.0,)}))
    [found] = scalings(context.trained, context.standings)
    [seven] = found.points
    assert (seven.low, seven.high) == (None, None)
    ratio = 1.75 + 2**-52
    assert 7 * (ratio / 7) > ratio
    rounded = replace(found, points=(replace(seven, ratio=ratio),))
    monkeypatch.setattr("bench.report.sections.scaling._scalings", lambda _: [rounded])
    [section] = SECTIONS
    [picture] = section.pictures
    assert picture.draw(context) is not None


def test_processes_of_several_machines_do_not_share_one(tmp_path: Path) -> None:
    [section] = SECTIONS
    assert len(list(section.remarks(Context(scaled(tmp_path))))) == 2
    apart = Context(scaled(tmp_path, {1: SPEEDS[1]}, {2: SPEEDS[2]}))
    assert len(list(section.remarks(apart))) == 1
