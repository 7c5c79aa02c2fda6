"""The page: one HTML document with everything in it, whether it holds a journal or asks a server for it.

The page's own code is ES modules in `static/`. They are put one after the other into one script, dependencies first: an
import line only says that what it names is there already. So there is no build step, and the modules stay modules for
editors and for tests. Libraries are scripts of their own, as their authors publish them.

The Content-Security-Policy lists the hashes of these scripts and allows no others. Should text of a journal ever get into
the page as HTML, it would still not run.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from statecore_diagrams import palette

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
VENDOR: Final = HERE / "vendor"
LIBRARIES: Final = ("preact.js", "preact-hooks.js", "htm.js", "uplot.js", "dagre.js")
"""In the order in which they need each other."""

STYLES: Final = ((VENDOR, "uplot.css"), (STATIC, "page.css"))
LICENCES: Final = ("preact", "htm", "uplot", "dagre")
THEMES: Final[tuple[palette.Theme, ...]] = ("light", "dark")

_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?function|class|const|let)", re.MULTILINE)
_COMMENT: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)


def link(name: str) -> str:
    """Return a module and all that it imports as one script."""
    done: dict[str, str] = {}

    def add(module: str) -> None:
        if module in done:
            return
        source = (STATIC / f"{module}.js").read_text(encoding="utf-8")
        done[module] = ""  # so that modules that import each other end here
        for needed in _IMPORT.findall(source):
            add(needed)
        done[module] = f"// ---- {module}.js\n{_EXPORT.sub('', _IMPORT.sub('', source))}"
        done[module] = done.pop(module)  # behind what it needs

    add(name)
    return "\n".join(done.values())


class Page:
    """What is the same in every page."""

    def __init__(self) -> None:
        self._libraries = [_COMMENT.sub("", (VENDOR / name).read_text(encoding="utf-8")) for name in LIBRARIES]
        self._engine = link("engine")
        self._main = f"(() => {{\n'use strict';\n{link('main')}\n}})();"
        sheets = [(folder / name).read_text(encoding="utf-8") for folder, name in STYLES]
        self._style = "\n".join((*sheets, *_pictures()))

    def policy(self, *, live: bool, styles: Iterable[str] = ()) -> str:
        """Return the Content-Security-Policy.

        Args:
            live: whether the page asks the server it came from.
            styles: further style sheets, such as pictures bring with them.
        """
        scripts = " ".join(_hash(script) for script in (*self._libraries, self._main))
        sheets = " ".join(_hash(sheet) for sheet in (self._style, *styles))
        parts = {
            "default-src": "'none'",
            "script-src": scripts,
            "style-src": sheets,
            "worker-src": "blob:",
            "img-src": "data:",
            "connect-src": "'self'" if live else "'none'",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
        return "; ".join(f"{name} {value}" for name, value in parts.items())

    def parts(
        self, title: str, head: Any, pieces: Iterable[tuple[str, str]] = (), *, styles: Iterable[str] = ()
    ) -> Iterator[str]:
        """Yield the document.

        Args:
            title: of the window.
            head: what the page is about, or a function that returns it once all pieces are taken.
            pieces: what `Packer.pieces` yields; without any the page asks its server.
            styles: see `policy`.
        """
        live = not callable(head)
        yield "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        if not live:  # a server says it in a header
            yield f'<meta http-equiv="Content-Security-Policy" content="{self.policy(live=False, styles=styles)}">\n'
        yield "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        yield "<meta name='referrer' content='no-referrer'>\n<link rel='icon' href='data:,'>\n"
        yield f"<title>{_escaped(title)}</title>\n<style>{self._style}</style>\n</head>\n<body>\n"
        yield "<div id='app'><p class='loading'>Reading the journal …</p></div>\n"
        for columns, fields in pieces:
            yield f"<script type='text/plain' class='columns'>{columns}</script>"
            yield f"<script type='text/plain' class='fields'>{fields}</script>\n"
        yield f"<script type='application/json' id='head'>{_json(head if live else head())}</script>\n"
        yield f"<script type='text/plain' id='licences'>{_licences()}</script>\n"
        yield f"<script type='text/plain' id='engine'>{self._engine}</script>\n"
        for script in (*self._libraries, self._main):
            yield f"<script>{script}</script>\n"
        yield "</body>\n</html>\n"


def _pictures() -> Iterator[str]:
    """Give the pictures of machines the colours that were chosen in the page, whatever the system prefers."""
    for theme in THEMES:
        yield palette.variables(theme, f':root[data-theme="{theme}"] svg.statecore-machine')


def _licences() -> str:
    return "\n\n".join(f"{name}\n\n{(VENDOR / f'{name}.LICENSE').read_text(encoding='utf-8')}" for name in LICENCES)


def _json(value: Any) -> str:
    """Write JSON that cannot end the element it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
