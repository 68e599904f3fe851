"""Every mistake that a command line can have is one sentence, by whichever way in."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import tyro
from msgspec import Meta
from tyro.conf import Positional

from bench.cli.main import main
from bench.cli.parsing import parse
from bench.errors import Refused
from bench.options import Count
from tests.cli.test_main import python

Ended = tuple[int, str, str]
ENTRIES = {
    "run_bench.py": ["run_bench.py"],
    "python -m bench": ["-m", "bench"],
    "archbench": ["-c", "import sys; from bench.cli.main import main; sys.exit(main())"],
}

MISTAKES = [
    ("--epochs ten", "--epochs ten must be a whole number above 0."),
    ("--precision fp64", "--precision fp64 must be one of fp32, tf32, bf16, fp16."),
    (
        "--optimizer lion",
        "--optimizer lion must be one of adam, adamw, sgd, sgd-plain, rmsprop, adagrad.",
    ),
    ("--bogus", "unknown option --bogus: did you mean --output? See PROG --help."),
    ("--modles resnet18", "unknown option --modles: did you mean --models? See PROG --help."),
    ("--modles=resnet18", "unknown option --modles: did you mean --models? See PROG --help."),
    ("--seeds 1e9", "--seeds 1e9 must be a whole number above 0."),
    ("stray", "'stray' belongs to no option; see PROG --help."),
    ("--epochs 3 4", "'4' belongs to no option; see PROG --help."),
    ("-x", "unknown option -x; see PROG --help."),
    ("--models -x", "unknown option -x; see PROG --help."),
    ("--inspect=yes", "'yes' belongs to no option; see PROG --help."),
    ("-- x", "'x' belongs to no option; see PROG --help."),
    ("--epochs", "--epochs needs a value: N."),
    ("--epochs --seeds 3", "--epochs needs a value: N."),
    ("--models", "--models needs at least one value."),
    ("--epochs=", "--epochs  must be a whole number above 0."),
    ("--train_limit some", "--train-limit some must be a whole number above 0 or all."),
    ("--image-size 64 big", "--image-size big must be a whole number above 0 or native."),
    ("--batch-size 8 1e1", "--batch-size 1e1 must be a whole number above 0, auto, own or max."),
    ("--lr fast", "--lr fast must be a positive number."),
    ("--target-accuracy 0.5 high", "--target-accuracy high must be a fraction above 0, such as"),
    ("--trial-timeout soon", "--trial-timeout soon must be a number above 0."),
    ("--workers two", "--workers two must be a whole number, 0 or more."),
]

VERBS = [
    (
        "",
        "name a verb: run, max-batch, choose, list, data, report, settle, compare, history, "
        "selfcheck, pack, collect; see archbench --help.",
    ),
    ("comprae", "unknown verb 'comprae': did you mean compare? See archbench --help."),
    ("--models resnet18", "unknown verb '--models'"),
    ("compare", "archbench compare needs RUN_A; see archbench compare --help."),
    ("compare --bogus", "unknown option --bogus"),
    ("compare a b c", "'c' belongs to no option; see archbench compare --help."),
    ("compare a --format c", "--format c must be one of table, csv, markdown, json."),
    ("compare a --across x", "--across x must be one of dataset, preset, device, precision,"),
    ("compare a --fail-on", "--fail-on needs a value: METRIC:BOUND."),
    ("report", "archbench report needs RUN; see archbench report --help."),
    ("list a b", "'b' belongs to no option; see archbench list --help."),
    ("max-batch --classes few", "--classes few must be a whole number, 2 or more."),
    ("selfcheck --minutes 0", "--minutes 0.0 must be a number above 0."),
    ("selfcheck --minutes soon", "--minutes soon must be a number above 0."),
    ("selfcheck --device gpu", "--device gpu must be one of auto, cpu, cuda, cuda:N."),
    ("selfcheck --device mps", "--device mps must be one of auto, cpu, cuda, cuda:N."),
    ("selfcheck --output .", "--output . is not empty; name a new folder."),
    ("fit --modles x", "did you mean --models? See archbench fit --help."),
]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command in this process; exit code, output and errors."""

    def called(line: str, *entry: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["archbench", *line.split()])
        code = main(*entry)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return called


@pytest.mark.parametrize(
    ("prefix", "prog", "entry"),
    [
        ("", "run_bench.py", ("run_bench.py", "run")),
        ("run ", "python -m bench run", ("python -m bench",)),
        ("run ", "archbench run", ()),
    ],
    ids=list(ENTRIES),
)
@pytest.mark.parametrize(("line", "sentence"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_sentence(
    call, line: str, sentence: str, prefix: str, prog: str, entry: tuple[str, ...]
) -> None:
    code, out, err = call(prefix + line, *entry)
    assert (code, out) == (2, "")
    assert err.startswith(f"archbench: {sentence.replace('PROG', prog)}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("line", "sentence"), VERBS, ids=[line for line, _ in VERBS])
def test_a_mistake_in_a_verb_is_one_sentence(call, line: str, sentence: str) -> None:
    code, out, err = call(line)
    assert (code, out) == (2, "")
    assert err.startswith("archbench: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("prog", "command"), ENTRIES.items(), ids=list(ENTRIES))
def test_each_way_in_has_its_own_name(prog: str, command: list[str]) -> None:
    verb = [] if prog == "run_bench.py" else ["run"]
    ended = python(*command, *verb, "--modles", "resnet18")
    shown = " ".join([prog, *verb])
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"archbench: unknown option --modles: did you mean --models? See {shown} --help.\n"
    )
    ended = python(*command, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: {prog} ")


def test_a_flag_given_twice_is_refused() -> None:
    with pytest.raises(Refused, match=r"^--count is there twice: give it once\.$"):
        parse(Some, ["where", "--count", "1", "--count", "2"], "some")


@dataclass(frozen=True)
class Some:
    """Some options."""

    place: Annotated[Positional[str], Meta(title="PLACE")]
    """Where."""

    count: Count = 1
    """How many."""

    kind: Literal["a", "b"] = "a"
    """Which."""


def test_options_are_parsed() -> None:
    assert parse(Some, ["there", "--count", "3", "--kind", "b"], "some") == Some("there", 3, "b")


def test_a_reason_that_is_not_found_still_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        print("a box", file=sys.stderr)
        raise SystemExit(2)

    monkeypatch.setattr(tyro, "cli", fail)
    with pytest.raises(Refused, match=r"^these options cannot be read; see some --help\.$"):
        parse(Some, ["x", "--count", "3"], "some")
