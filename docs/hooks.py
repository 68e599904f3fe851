"""What MkDocs calls while it builds the site.

A page asks for a part that is made from the code by a comment, `<!-- generated: metrics -->`. The
line in italics below it, for those who read the page elsewhere, is not in the site.
Pages and pictures outside `docs/` (reference runs, CONTRIBUTING, CHANGELOG) become part of the
site, and links that work on GitHub work there too.
"""

import posixpath
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# The code of this checkout, whichever is installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from docs import code_reference
from docs.option_reference import MODULES, verb_options

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    *("CONTRIBUTING.md", "CHANGELOG.md", "results/reference", "results/selfcheck"),
    "examples/compare.ipynb",
)
"""Files and folders outside `docs/` that the site shows, under their own paths."""

GENERATED: dict[str, Callable[[], str]] = {
    **{f"{verb}-options": partial(verb_options, verb) for verb in MODULES},
    "metrics": code_reference.metrics,
    "claim-rules": code_reference.claim_rules,
    "records": code_reference.records,
    "models": code_reference.models,
    "recipes": code_reference.recipes,
    "references": code_reference.references,
    "search-spaces": code_reference.search_spaces,
    "augmentations": code_reference.augmentations,
    "cards": code_reference.cards,
    "promises": code_reference.promises,
    "quantities": code_reference.quantities,
    "errors": code_reference.errors,
}
"""What a page can ask for."""

_MARK = re.compile(r"<!-- generated: ([a-z-]+) -->(?:\n\*[^\n]*\*$)?", re.MULTILINE)
_RELATIVE_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks which files the site is made of: add those outside of `docs/`."""
    from mkdocs.structure.files import File

    for path in (ROOT / name for name in OUTSIDE):
        for file in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
            place = file.relative_to(ROOT).as_posix()
            files.append(File(place, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """MkDocs has read a page: complete it."""
    source = Path(page.file.abs_src_path).relative_to(ROOT).as_posix()
    return filled(site_links(markdown, source))


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """MkDocs has a page's HTML: mark options, so that no line breaks within one."""
    return html.replace("<code>--", '<code class="option">--')


def filled(markdown: str) -> str:
    """A page with its generated parts; KeyError if it asks for an unknown one."""
    return _MARK.sub(lambda mark: GENERATED[mark[1]](), markdown)


def site_links(markdown: str, source: str) -> str:
    """A page whose relative links lead to the same places in the site as in the repository.

    Args:
        markdown: the page.
        source: its path in the repository.
    """
    here = posixpath.dirname(_site_path(source)) or "."

    def in_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        return link[1] + posixpath.relpath(_site_path(target), here)

    return _RELATIVE_LINK.sub(in_site, markdown)


def _site_path(path: str) -> str:
    return path.removeprefix("docs/")
