"""Like beside like: trials of two sides by model and settings, and what must be equal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.compare.sides import Row, Side
from bench.errors import Refused

CONDITIONS: dict[str, tuple[str, ...]] = {
    "data": ("dataset", "dataset_sha256", "train_images", "test_images"),
    "preset": ("preset",),
    "device": ("device", "device_name", "threads"),
    "precision": ("precision",),
    "image-size": ("image_size",),
    "epochs": ("epochs",),
    "augment": ("augment",),
    "pretrained": ("pretrained",),
    "channels-last": ("channels_last",),
}
"""What must be equal on both sides, unless it is crossed on purpose: columns by its name."""

VARIED = ("precision", "image-size")
"""Conditions that vary within a run: trials are matched by them."""

SETTINGS = ("model", "image_size", "precision", "optimizer", "learning_rate")


@dataclass(frozen=True)
class Match:
    """Trials of both sides that differ in nothing but their seed and what was crossed.

    `label` is the model with its setting, as far as it varies; `note` says what else differs.
    """

    label: str
    a: tuple[Row, ...]
    b: tuple[Row, ...]
    crossed: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Matches:
    """All matches, and the labels of what only one side has."""

    found: tuple[Match, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


def match(a: Side, b: Side, across: Iterable[str] = ()) -> Matches:
    """Match the trials of two sides.

    Raises:
        Refused: something differs that is not crossed on purpose, or nothing matches.
    """
    across = tuple(across)
    for name in across:
        if name not in CONDITIONS:
            raise Refused(f"--across {name!r} is not one of {', '.join(CONDITIONS)}.")
    crossed = tuple(name for name in across if _different(name, a.rows, b.rows))
    for name in CONDITIONS:
        if name not in across and name not in VARIED and _different(name, a.rows, b.rows):
            raise Refused(_differs(name, a, b))
    columns = [c for c in SETTINGS if not any(c in CONDITIONS[name] for name in crossed)]
    varying = [c for c in columns if len({row.text(c) for row in (*a.rows, *b.rows)}) > 1]
    left, right = _grouped(a.rows, columns), _grouped(b.rows, columns)
    pairs = [(key, key) for key in left if key in right]
    # A batch size that was searched for may come out another way: matched by what was asked for.
    loose = {_loose(key, rows): key for key, rows in right.items() if key not in left}
    for key, rows in left.items():
        if key not in right and _loose(key, rows) in loose:
            pairs.append((key, loose.pop(_loose(key, rows))))
    if not pairs:
        for name in VARIED:
            if name not in across and _different(name, a.rows, b.rows):
                raise Refused(_differs(name, a, b))
        raise Refused(
            f"{a.name} and {b.name} have no model with the same settings in common: "
            f"{_names(left, columns, varying)} / {_names(right, columns, varying)}."
        )
    several = len({(key[:-1]) for key in left}) < len(left)
    found = []
    for x, y in pairs:
        label = _label(x, columns, varying, several)
        sizes = "" if x[-1] == y[-1] else f"batch {x[-1]} against {y[-1]}"
        found.append(Match(label, left[x], right[y], crossed, sizes))
    matched_a, matched_b = {x for x, _ in pairs}, {y for _, y in pairs}
    return Matches(
        tuple(found),
        tuple(_label(k, columns, varying, several) for k in left if k not in matched_a),
        tuple(_label(k, columns, varying, several) for k in right if k not in matched_b),
    )


Key = tuple[str, ...]


def _grouped(rows: Sequence[Row], columns: Sequence[str]) -> dict[Key, tuple[Row, ...]]:
    """Rows by their settings and, last, by the batch size that was trained."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        key = (*(row.text(column) for column in columns), row.text("batch_size"))
        groups.setdefault(key, []).append(row)
    return {key: tuple(members) for key, members in groups.items()}


def _loose(key: Key, rows: Sequence[Row]) -> Key:
    return (*key[:-1], rows[0].text("batch_choice"))


def _label(key: Key, columns: Sequence[str], varying: Sequence[str], several: bool) -> str:
    values = dict(zip(columns, key, strict=False))
    words = [values["model"]]
    units = {"image_size": " px"}
    words += [values[c] + units.get(c, "") for c in varying if c in values and c != "model"]
    return " ".join(words + ([f"batch {key[-1]}"] if several else []))


def _names(
    groups: dict[Key, tuple[Row, ...]], columns: Sequence[str], varying: Sequence[str]
) -> str:
    return ", ".join(dict.fromkeys(_label(key, columns, varying, False) for key in groups))


def _values(name: str, rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    """The values of a condition, as far as they are known on a side."""
    columns = CONDITIONS[name]
    return tuple(sorted({tuple(row.text(column) for column in columns) for row in rows}))


def _different(name: str, a: Sequence[Row], b: Sequence[Row]) -> bool:
    """Whether a condition differs. What one side does not know is taken as equal: an older table
    lacks a column."""
    x, y = _values(name, a), _values(name, b)
    if name in VARIED:
        return not set(x) & set(y)
    if len(x) == len(y) == 1:
        pairs = zip(x[0], y[0], strict=True)
        return any(one != other and "–" not in (one, other) for one, other in pairs)
    return x != y


def _differs(name: str, a: Side, b: Side) -> str:
    x, y = (
        " or ".join(" ".join(_short(v) for v in values) for values in _values(name, s.rows))
        for s in (a, b)
    )
    return (
        f"{a.name} and {b.name} differ in {name} ({x} / {y}), so that their figures do not "
        f"compare: name it with --across {name} to compare them all the same."
    )


def _short(value: str) -> str:
    return f"{value[:12]}…" if len(value) == 64 and value.isalnum() else value
