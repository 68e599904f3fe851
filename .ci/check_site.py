"""Check the built docs: every link within the site leads somewhere, and nothing is loaded from
elsewhere. Exits with 1 and says what is wrong."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
"""Elements that make a browser fetch something, and the attribute that says what."""

SCRIPTED = ("__", "search")
"""How anchors begin that only the theme's script knows."""


class Page(HTMLParser):
    """The anchors and links of a page, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to or loads."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])


site = Path(sys.argv[1]).resolve()
pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
wrong = []
for path, page in pages.items():
    name = path.relative_to(site)
    wrong += [f"{name} loads {url}" for url in page.loaded if urlsplit(url).netloc]
    for url in (*page.links, *page.loaded):
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        anchor = unquote(parts.fragment)
        if not target.exists():
            wrong.append(f"{name} links to {url}, which is not there")
        elif anchor and not anchor.startswith(SCRIPTED) and anchor not in pages[target].anchors:
            wrong.append(f"{name} links to {url}, which has no such anchor")
print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links")
for what in wrong:
    print(f"WRONG: {what}")
sys.exit(bool(wrong))
