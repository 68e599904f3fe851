"""The report's sections, a file per question; a new file is found by itself."""

import importlib
import pkgutil
from functools import cache

from bench.report.sections.base import Section


@cache
def all_sections() -> tuple[Section, ...]:
    """Every section, in the order of the report."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    sections = [section for module in modules for section in module.SECTIONS]
    return tuple(sorted(sections, key=lambda section: section.order))
