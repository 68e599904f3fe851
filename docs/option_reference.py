"""The reference of options, made from the dataclasses that the command line is made from."""

import importlib
from dataclasses import MISSING

from bench.cli.help import default_of, docs_of, usage_of
from bench.options import Group, Option, options_of
from docs.code_reference import plain

MODULES = {
    **{verb: f"bench.cli.{verb}" for verb in ("compare", "history", "data", "pack", "collect")},
    **{verb: f"bench.runner.{verb}" for verb in ("choose", "settle", "selfcheck")},
    "run": "bench.config",
    "max-batch": "bench.runner.max_batch",
    "report": "bench.cli.report",
}
"""Where each verb's dataclass of options is."""


def verb_options(verb: str) -> str:
    """The options of a verb; LookupError if its module defines none."""
    module = importlib.import_module(MODULES[verb])
    for name, value in vars(module).items():
        if name.endswith("Options") and value.__module__ == module.__name__:
            return option_sections(value, verb)
    raise LookupError(f"no options in {module.__name__}")


def option_sections(kind: type, verb: str) -> str:
    """A section per field of a dataclass of options, in groups where the options have groups."""
    docs, sections = docs_of(kind), list[str]()
    for group in Group:
        options = [option for option in options_of(kind).values() if option.help.group == group]
        if options and group != Group.OPTIONS:
            sections.append(f"### {group}")
        sections += [_section(option, verb, docs[option.name]) for option in options]
    return "\n\n".join(sections)


def _section(option: Option, verb: str, text: str) -> str:
    """How the option is written, what it does, its default."""
    anchor = f"{verb}-{option.name}".replace("_", "-")
    label = next(iter(option.flags), option.metavar)
    heading = f'#### `{usage_of(option)}` {{ #{anchor} data-toc-label="{label}" }}'
    aliases = "".join(f" Also `{alias}`." for alias in option.aliases)
    default = f"default: {default_of(option) or 'none'}"
    words = "required" if option.default is MISSING else default
    return f"{heading}\n\n{plain(text)}{aliases} *({plain(words)})*"
