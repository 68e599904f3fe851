"""Who sent what, what of it may be compared with what, and what was left out."""

from collections import Counter
from collections.abc import Sequence

from bench.analysis.claims.claim import Claim
from bench.analysis.collected.collection import Collected, Submission
from bench.analysis.formatting import MISSING, listed
from bench.report.sections.base import Answer
from bench.report.sections.claims import claims_finding, claims_tables
from bench.report.tables import table_of
from bench.units import counted

FORMS = {True: "log", False: "log, not ended", None: "tables alone"}


def senders(collected: Collected) -> Answer:
    """Who sent what."""
    sent = collected.submissions
    people = dict.fromkeys(submission.sender for submission in sent)
    trials = [row for row in collected.rows if row.done]
    again = sum(bool(row.repeats) for row in trials)
    copies = sum(bool(row.copy_of) for row in trials)
    clauses = [
        f"{counted(len(sent), 'run')} of {counted(len(people), 'person', 'people')} with "
        f"{counted(len(trials), 'finished trial')} could be read"
    ]
    if collected.copies:
        clauses.append(f"{counted(len(collected.copies), 'file')} held a run that another has, too")
    if copies:
        clauses.append(f"{counted(copies, 'trial')} {'is a copy' if copies == 1 else 'are copies'}")
    if again:
        clauses.append(
            f"{counted(again, 'trial')} came to the very numbers of another, and "
            f"{'counts' if again == 1 else 'count'} for times alone"
        )
    if collected.left_out:
        clauses.append(f"{counted(len(collected.left_out), 'file')} could not be used")
    table = table_of(
        {
            "Who": [s.sender or MISSING for s in sent],
            "File": [s.where for s in sent],
            "Read from": [FORMS[s.ended] for s in sent],
            "Machine": [_machines(s) for s in sent],
            "Models": [listed(list(dict.fromkeys(r.text("model") for r in s.rows))) for s in sent],
            "Seeds": [_seeds(s) for s in sent],
            "Trials that count": [_counted(s) for s in sent],
            "archbench": [s.version or MISSING for s in sent],
        }
    )
    return Answer("senders", "Who sent what", f"{'; '.join(clauses)}.", (), (table,), ())


def comparable(collected: Collected) -> Answer:
    """What may be compared with what."""
    cohorts = collected.cohorts
    if len(cohorts) == 1:
        finding = f"All trials were made under one set of conditions: {cohorts[0].name}."
    else:
        finding = (
            f"There are {len(cohorts)} sets of conditions, and nothing of one is compared with "
            "anything of another."
        )
    lines = [
        (number, cohort, group)
        for number, cohort in enumerate(cohorts, 1)
        for group in cohort.groups
    ]
    table = table_of(
        {
            "Conditions": [f"{number}: {cohort.name}" for number, cohort, _ in lines],
            "Data": [cohort.conditions[1][:8] for _, cohort, _ in lines],
            "Model and setting": [group.label for _, _, group in lines],
            "Batch size": [group.batch_sizes for _, _, group in lines],
            "People": [f"{len(group.people):,}" for _, _, group in lines],
            "Trials": [f"{len(group.rows):,}" for _, _, group in lines],
            "Kinds of machine": [f"{len({r.machine for r in g.rows}):,}" for _, _, g in lines],
        }
    )
    remarks = (
        "Pooled is what agrees in data (their hash and number), epochs, model, setting and batch "
        "size.",
    )
    return Answer("comparable", "What is comparable", finding, (), (table,), remarks)


def claims(collected: Collected, statements: Sequence[Claim]) -> Answer | None:
    """What those who share the conditions that most have say to claims together."""
    if not collected.cohorts:
        return None
    cohort = collected.cohorts[0]
    judged = cohort.judged(statements)
    if not judged:
        return None
    people = counted(len(cohort.people), "person", "people")
    seeds = counted(len({row.seed for row in cohort.rows}), "different seed")
    remark = (
        f"Judged by {people} and {seeds} together: {cohort.name}. A person is the unit of chance, "
        "and so is a seed that several share. Times of unlike machines compare by their ratios "
        "alone."
    )
    finding = claims_finding(judged, "this class") or ""
    return Answer("claims", "Claims", finding, (), claims_tables(judged, "this class"), (remark,))


def left_out(collected: Collected) -> Answer | None:
    """What does not count, and why."""
    files, copies = collected.left_out, collected.copies
    partly = [(s.where, note) for s in collected.submissions if (note := _not_counted(s))]
    if not files and not copies and not partly:
        return None
    clauses = [
        f"{counted(number, 'file')} {what}"
        for number, what in (
            (len(files), "could not be used"),
            (len(copies), "held a run that another has, too"),
            (len(partly), "counted in part"),
        )
        if number
    ]
    rows = [(one.where, one.reason) for one in files]
    rows += [(copy.where, f"it holds the run of {copy.of}, which counts once.") for copy in copies]
    rows += partly
    table = table_of(
        {"File": [where for where, _ in rows], "Why": [reason for _, reason in rows]}, prose=True
    )
    finding = f"{'; '.join(clauses)}."
    return Answer("left-out", "What was left out, and why", finding, (), (table,), ())


def _not_counted(submission: Submission) -> str:
    """What of a run that was read does not count."""
    statuses = Counter(row.text("status") for row in submission.rows if not row.done)
    copied = Counter(row.copy_of for row in submission.rows if row.copy_of)
    repeated = Counter(row.repeats for row in submission.rows if row.repeats)
    clauses = [f"{counted(number, 'trial')} {status}" for status, number in statuses.items()]
    clauses += [f"{counted(n, 'trial')} copied from {name}" for name, n in copied.items()]
    clauses += [
        f"{counted(n, 'trial')} with the very numbers of {name}'s, for times alone"
        for name, n in repeated.items()
    ]
    if submission.ended is False:
        clauses.append("the run never ended; its finished trials count")
    return f"{listed(clauses)}." if clauses else ""


def _machines(submission: Submission) -> str:
    return "; ".join(dict.fromkeys(row.machine.text for row in submission.rows))


def _seeds(submission: Submission) -> str:
    seeds = sorted({row.seed for row in submission.rows})
    if len(seeds) > 6:
        return f"{len(seeds)}, {seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _counted(submission: Submission) -> str:
    counts = sum(row.done and not row.copy_of for row in submission.rows)
    return f"{counts:,} of {len(submission.rows):,}"
