"""The verb `settle`: claims decided as far as time allows, in three groups, with their evidence."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from bench.analysis.claims.evidence import Wanted
from bench.analysis.claims.schedule import Step
from bench.analysis.claims.settled import SETTLED, STATES, Settled
from bench.analysis.formatting import listed
from bench.cli.console import Reporter, open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.records import records
from bench.records.run import UNTRAINED
from bench.report.tables import Table, text_table
from bench.runner import settle
from bench.runner.settle import Round, Settlement, SettleOptions
from bench.units import duration_text


def main(arguments: Sequence[str], prog: str) -> int:
    """Settle claims, or show the plan; 0 whatever the verdicts are, 1 if a trial failed."""
    options = parse(SettleOptions, arguments, prog)
    from bench.report.write import write_report

    show = _Show(open_console())
    try:
        settlement = settle.settle(options, show)
    finally:
        show.reporter.close()
    console = show.reporter.console
    if options.dry_run:
        show_plan(settlement, console)
        return 0
    for run in settlement.progress.runs.values():
        if run.trials:
            write_report(run)
    show_settled(settlement.progress.settled(), console)
    print_path(console, "claims ", settlement.folder / SETTLED)
    print_path(console, "reports", settlement.folder / "runs")
    return int(settlement.progress.failed)


class _Show:
    """Shows what a settlement says: its rounds, and of its runs what is not said again and again
    in each round."""

    def __init__(self, console: Console) -> None:
        self.reporter = Reporter(console)
        self._seen: set[Any] = set()

    def __call__(self, message: Any) -> None:
        match message:
            case Round(step):
                self.reporter.console.print(f"[bold]{escape(step_text(step))}[/]")
            case records.TimePredicted():
                pass
            case records.TrialEnded(reason=reason) if reason == UNTRAINED:
                pass
            case records.Epoch():
                self._once((message.trial, message.epoch, message.train_seconds), message)
            case records.DatasetFacts() | records.DeviceFacts() | records.ModelDescribed():
                self._once(message, message)
            case _:
                self.reporter.show(message)

    def _once(self, key: Any, message: Any) -> None:
        if (text := str(key)) not in self._seen:
            self._seen.add(text)
            self.reporter.show(message)


def step_text(step: Step[Wanted]) -> str:
    """A step in a line: what is run, for how long, and for which claims."""
    return (
        f"run {_runs(step.trials)}: {trials_text(step.trials)}; about "
        f"{duration_text(step.seconds)}, for {listed(list(step.claims))}"
    )


def trials_text(trials: Iterable[Wanted]) -> str:
    """Trials by what is trained.

    >>> from bench.analysis.claims.evidence import Subject
    >>> trials_text([Wanted(1, seed, Subject("resnet18", "adam")) for seed in (0, 1)])
    'resnet18 adam (seeds 0, 1)'
    """
    seeds: dict[str, list[str]] = {}
    for wanted in sorted(trials):
        name = f"{wanted.subject.model} {wanted.subject.optimizer}"
        seeds.setdefault(name, []).append(str(wanted.seed))
    return ", ".join(
        f"{name} (seed{'s' * (len(which) > 1)} {', '.join(which)})" for name, which in seeds.items()
    )


def show_plan(settlement: Settlement, console: Console) -> None:
    """Print the steps that fit in the limit, in order, and what is left over."""
    if settlement.steps:
        console.print(rich_table(plan_table(settlement.steps), text=("Trials", "Decides")))
    claims = {name for step in settlement.steps for name in step.claims}
    settled = settlement.progress.settled()
    total = sum(step.seconds for step in settlement.steps)
    beyond = [s for s in settled if s.state == "open" and s.claim.id not in claims]
    here = len(settled) - len(beyond) - sum(s.state == STATES[2] for s in settled)
    before, limit = settlement.stopwatch.passed(), settlement.options.limit_seconds
    console.print(
        f"{here} of {len(settled)} claims get their evidence in about {duration_text(total)} "
        f"(predicted), after {duration_text(before)} for the predictions; the limit is "
        f"{duration_text(limit)}. Seeds are added then where intervals are too wide. Nothing was "
        "trained or written.",
        soft_wrap=True,
    )
    _print_group(console, "not within the limit", beyond)
    _print_group(console, STATES[2], [s for s in settled if s.state == STATES[2]])


def plan_table(steps: Sequence[Step[Wanted]]) -> Table:
    """A row per step."""
    rows, passed = [], 0.0
    for step in steps:
        passed += step.seconds
        rows.append(
            (
                _runs(step.trials),
                trials_text(step.trials),
                duration_text(step.seconds),
                duration_text(passed),
                " ".join(step.claims),
            )
        )
    return text_table(("Run", "Trials", "Predicted", "In all", "Decides"), rows)


def show_settled(settled: Sequence[Settled], console: Console) -> None:
    """Print the claims in three groups."""
    for state in STATES:
        _print_group(console, state, [one for one in settled if one.state == state])


def _print_group(console: Console, title: str, settled: Sequence[Settled]) -> None:
    if not settled:
        return
    console.print(f"\n[bold]{escape(title)}[/] ({len(settled)})", highlight=False)
    for one in settled:
        verdict = one.verdict
        found = f" [{verdict.measured}, {verdict.got}]" if verdict.measured else ""
        answer = f"{verdict.answer}: " if one.state == "decided" else ""
        takes = f"; it would take {one.would_take}" if one.would_take else ""
        console.print(
            f"  {escape(one.claim.id)}: {escape(one.claim.claim)}\n"
            f"    {escape(answer + verdict.reason + found + takes)}",
            highlight=False,
            soft_wrap=True,
        )


def _runs(trials: Iterable[Wanted]) -> str:
    return ", ".join(sorted({str(wanted.experiment) for wanted in trials}))
