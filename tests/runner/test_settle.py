"""A settlement, whole: two claims on generated images, interrupted and resumed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from bench.analysis.claims.progress import Progress
from bench.analysis.claims.reader import keep_claims, read_claims
from bench.errors import Interrupted, Refused, TrialFailed
from bench.prediction.cpu import FACTOR
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.messages import (
    Abilities,
    AbilitiesJob,
    Simulated,
    SimulateJob,
    TrainJob,
)
from bench.records.records import Epoch, RunStarted, TrialStarted
from bench.records.run_folder import read_log
from bench.runner.settle import (
    KEPT_OPTIONS,
    NEEDS_LINUX,
    Round,
    Settlement,
    SettleOptions,
    _locked,
    _opened,
    settle,
)
from tests.runner.test_faults import ScriptedWorker

CLAIMS = """id,claim,rule,metric,models,threshold,tolerance,needs,evidence
bigger-slower,ResNet-18 is slower,more,epoch_seconds,resnet18 lenet,,,,SHORT
params,LeNet has 62 006 parameters,about,params,lenet,62006,0,,
far,It takes a minute,about,epoch_seconds,lenet,60,1,device,
""".replace("SHORT", "epochs=2 train_limit=40 test_limit=20 batch_size=20")


@pytest.fixture
def options(tmp_path: Path) -> SettleOptions:
    path = tmp_path / "claims.csv"
    path.write_text(CLAIMS)
    return SettleOptions(
        claims=path, dataset="shapes10", time_limit="1h", output=tmp_path / "settled"
    )


def raise_at(kind: type) -> Callable[[Any], None]:
    def listener(message: Any) -> None:
        if isinstance(message, kind):
            raise KeyboardInterrupt

    return listener


@pytest.mark.thorough
def test_it_is_interrupted_resumed_and_decides_what_can_be_decided(options: SettleOptions) -> None:
    folder = options.output
    assert folder is not None
    with pytest.raises(Interrupted, match=r"settle --resume .*settled` goes on"):
        settle(options, raise_at(Epoch))
    told: list[Any] = []
    again = SettleOptions(resume=folder, time_limit="1h")
    settlement = settle(again, told.append)
    claims = {one.claim.id: one for one in settlement.progress.settled()}
    assert claims["params"].verdict.answer == "holds"
    assert claims["far"].state == "cannot be decided here"
    assert claims["far"].verdict.reason == "other hardware: only ratios compare"
    slower = claims["bigger-slower"]
    assert slower.verdict.measured.startswith("resnet18 ")
    assert (slower.state == "decided") == (slower.verdict.answer != "cannot tell")
    assert slower.evidence.startswith("run 1: resnet18, lenet; constant, 2 epochs of 40 images at ")
    assert not settlement.progress.failed
    # Side by side, in turn; nothing that has nothing to do with a claim that can be decided.
    started = [r.trial for r in read_log(folder / "runs/1") if isinstance(r, TrialStarted)]
    order = [(t.seed, t.model) for t in started]
    assert order[:6] == [
        *((0, "resnet18"), (0, "lenet"), (1, "lenet"), (1, "resnet18")),
        *((2, "resnet18"), (2, "lenet")),
    ]
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["1", "2"]
    assert sum(isinstance(r, RunStarted) for r in read_log(folder / "runs/1")) == 1
    table = pd.read_csv(folder / "settled.csv").set_index("id")
    assert list(table.columns) == [
        *("claim", "state", "verdict", "reason", "found", "got", "evidence", "would_take"),
        "source",
    ]
    assert table.loc["params", "got"] == "measured"
    assert len(read_claims(folder / "runs/1/claims.csv")) == 1
    # What is decided is not run again.
    told.clear()
    settle(again, told.append)
    rounds = [message.step.claims for message in told if isinstance(message, Round)]
    assert not {"params", "far"} & {name for names in rounds for name in names}


def test_what_is_no_settlement_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"is no settlement: it has no readable {KEPT_OPTIONS}"):
        settle(SettleOptions(resume=tmp_path))
    (tmp_path / KEPT_OPTIONS).write_text("[]")
    with pytest.raises(Refused, match="is no settlement"):
        settle(SettleOptions(resume=tmp_path))


def test_a_file_system_without_locks_is_refused(tmp_path: Path, without_locks: None) -> None:
    with pytest.raises(Refused, match="is on a file system without locks"), _locked(tmp_path):
        pass


def test_a_resumed_settlement_keeps_its_data_and_takes_a_new_timeout(
    options: SettleOptions, tmp_path: Path
) -> None:
    folder = tmp_path / "settled"
    folder.mkdir()
    kept = {"dataset": "shapes10", "data_dir": None, "device": "cpu", "trial_timeout": 5.0}
    (folder / KEPT_OPTIONS).write_text(json.dumps(kept))
    assert options.claims is not None
    keep_claims(options.claims, folder)
    resumed = SettleOptions(resume=folder, trial_timeout=60.0, device="cpu")
    _, opened, claims = _opened(resumed)
    assert (opened.trial_timeout, opened.dataset, opened.device) == (60.0, "shapes10", "cpu")
    assert len(claims) == 3
    with pytest.raises(Refused, match="--resume keeps its --dataset: leave it out"):
        _opened(SettleOptions(resume=folder, dataset="cifar10"))


def test_a_dry_run_plans_and_writes_nothing(options: SettleOptions, tmp_path: Path) -> None:
    planned = settle(replace(options, dry_run=True))
    assert {name for step in planned.steps for name in step.claims} == {"bigger-slower", "params"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.csv"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time_limit": "0m"}, "--time-limit '0m' is not a time"),
        ({"dry_run": True, "resume": Path("x")}, "--dry-run shows the plan of a new settlement"),
        ({"claims": Path("x"), "resume": Path("x")}, "--resume keeps its claims and its folder"),
        ({"device": "abacus"}, "--device abacus must be one of auto"),
    ],
)
def test_options_that_cannot_work(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        SettleOptions(**given)


def test_claims_that_are_not_there_or_name_no_model(options: SettleOptions, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--claims .*none.csv is not a file"):
        settle(replace(options, claims=tmp_path / "none.csv"))
    assert options.claims is not None
    options.claims.write_text(options.claims.read_text().replace("lenet,62006", "lanet,62006"))
    with pytest.raises(Refused, match="claim params: unknown model 'lanet': did you mean lenet"):
        settle(options)
    assert options.output is not None
    assert not options.output.exists()


class Scripted(ScriptedWorker):
    """Times a processor and simulates steps, besides what scripted workers do."""

    rehearsed: ClassVar[list[str]] = []

    def messages(self) -> Iterator[Any]:
        match self.job:
            case TrainJob(trial=trial, rehearsal=True):
                self.rehearsed.append(trial.model)
            case AbilitiesJob(timed=True):
                yield Abilities(("fp32",), 1, 1e10, 1e10)
            case SimulateJob(device="cpu", shapes=shapes):
                work = KernelTrace((Kernel("1x1 convolution", False, 0, 10**8, 0, 0, 64, 64),))
                for model, setting in shapes:
                    yield Simulated(model, setting, None, kernels=work)
        yield from super().messages()


class Broken(Scripted):
    """Cannot make any network."""

    def receive(self) -> Any:
        raise TrialFailed("it broke.")


@pytest.fixture
def settlement_of(
    options: SettleOptions, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settlement]:
    """Makes a settlement of claims, a row each, whose workers follow a script."""

    def made(*rows: str, worker: type[Scripted] = Scripted) -> Settlement:
        for room in ("run", "other_cards", "batch_search", "rehearsal", "foresight"):
            monkeypatch.setattr(f"bench.runner.{room}.Worker", worker)
        monkeypatch.setattr(Scripted, "rehearsed", [])
        assert options.claims is not None
        assert options.output is not None
        options.claims.write_text("\n".join([CLAIMS.splitlines()[0], *rows]))
        progress = Progress(read_claims(options.claims))
        return Settlement(options, progress, options.output, lambda said: None)

    return made


def test_a_model_that_cannot_be_made_fails_its_claim_and_is_not_tried_again(
    settlement_of: Callable[..., Settlement],
) -> None:
    row = "params,It has 11 M parameters,about,params,resnet18,11e6,1e6,,"
    settlement = settlement_of(row, worker=Broken)
    settlement.carry_out()
    (settled,) = settlement.progress.settled()
    assert settled.verdict.reason == "resnet18 failed: it broke."
    assert settled.would_take == "that its trials do not fail"
    assert settlement.progress.failed
    again = replace(settlement, progress=Progress(settlement.progress.claims))
    again.load()
    assert not again.plan()
    assert again.progress.failed


def test_an_untrained_claim_about_other_data_cannot_be_decided_here(
    settlement_of: Callable[..., Settlement],
) -> None:
    row = "params,It has 1 M parameters,about,params,resnet18,1e6,10,cifar10,"
    settlement = settlement_of(row)
    settlement.carry_out()
    (settled,) = settlement.progress.settled()
    assert settled.state == "cannot be decided here"
    assert settled.verdict.reason == "other data: shapes10, not CIFAR-10"


def test_a_largest_batch_beside_what_is_trained_is_searched_for(
    settlement_of: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runner.session.CPU_LIMIT_HOLDS", True)
    settlement = settlement_of(
        "both,It falls,rank_falls,max_batch final_test_accuracy,resnet18 googlenet,,,,"
        "epochs=2 train_limit=40 test_limit=20 batch_size=20"
    )
    settlement.price_all(limit=60.0)
    (run,) = settlement.progress.runs.values()
    assert {model for model, _ in run.largest_batches} == {"resnet18", "googlenet"}
    assert sorted(Scripted.rehearsed) == ["googlenet", "resnet18"]


def test_claims_about_a_memory_budget_are_left_where_nothing_limits_memory(
    options: SettleOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("settle", "run"):
        monkeypatch.setattr(f"bench.runner.{room}.CPU_LIMIT_HOLDS", False)
    assert options.claims is not None
    assert options.output is not None
    small = "small,More fit,more,max_batch,lenet resnet18,,,,memory_budget=2GiB\n"
    options.claims.write_text(CLAIMS + small)
    progress = Progress(read_claims(options.claims))
    on_cpu = replace(options, device="cpu")
    Settlement(on_cpu, progress, options.output, lambda said: None).refuse_early()
    far = "other hardware: only ratios compare"
    assert progress.elsewhere == {"far": far, "small": NEEDS_LINUX}


def test_what_there_is_no_time_to_time_is_priced_by_simulated_steps(
    settlement_of: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    settlement = settlement_of(
        *(
            f"{n},ResNet-18 is slower,more,epoch_seconds,resnet18 googlenet,,,,"
            f"epochs={n} train_limit=40 test_limit=20 batch_size=20"
            for n in (1, 2, 3)
        )
    )
    progress = settlement.progress
    passed = iter((0.0, 90.0, 150.0))
    monkeypatch.setattr(settlement.stopwatch, "passed", lambda: next(passed))
    settlement.price_all(limit=60.0)
    factors = [
        run.time_predicted and run.time_predicted.factor
        for run in settlement.progress.runs.values()
    ]
    assert factors == [1.0, FACTOR]  # and nothing of the third, for which there is no time at all
    assert len(Scripted.rehearsed) == 2
    prices = [
        [progress.price(one) for one in progress.first_seed(experiment)]
        for experiment in progress.experiments
    ]
    assert all(price and price > 0 for price in (*prices[0], *prices[1]))
    assert prices[2] == [None, None]
