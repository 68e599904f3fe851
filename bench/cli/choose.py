"""The verb `choose`: which card to take for a plan, as a table, a sentence and a picture."""

import json
from collections.abc import Sequence

from bench.cli.console import open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.records.files import write_atomic
from bench.records.run_folder import check_output, new_folder
from bench.runner.choose import ChooseOptions, choose

NOTE = (
    "Training alone, predicted: nothing was measured, and loading, evaluation and start are not "
    "included. In brackets, the range that known errors allow; those of models are added end by "
    "end. Energy is at most the board's power for the longest time."
)


def main(arguments: Sequence[str], prog: str) -> int:
    """Rank the cards, show and write; 1 if no card does it."""
    options = parse(ChooseOptions, arguments, prog)
    folder = options.output or new_folder("choose")
    check_output(folder)
    candidates, plan = choose(options)
    import pandas as pd

    from bench.report import choice as texts
    from bench.report.style import save

    console, table = open_console(), texts.choice_table(candidates, plan)
    said, best = texts.plan_sentence(candidates, plan), texts.choice_sentence(candidates, plan)
    console.print(rich_table(table, text=[table.headers[2]]))
    console.print(said, NOTE, highlight=False, markup=False, soft_wrap=True)
    console.print(best, highlight=False, markup=False, soft_wrap=True, style="bold")
    rows = texts.choice_rows(candidates, plan)
    csv = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    answer = {"plan": said, "sentence": best, "cards": rows}
    write_atomic(folder / "choose.csv", csv)
    write_atomic(folder / "choose.json", json.dumps(answer, indent=2) + "\n")
    print_path(console, "table  ", folder / "choose.csv")
    if (figure := texts.choice_figure(candidates, plan)) is not None:
        save(figure, folder / "choose")
        print_path(console, "picture", folder / "choose.png")
    return 0 if any(c.answer != "no" for c in candidates) else 1
