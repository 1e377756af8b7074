"""The content of a page → HTML: one document with styles, scripts and a policy that forbids all requests."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from profiler.errors import ProfilerError
from profiler.render.page.content import Section

ASSETS = Path(__file__).parent / "assets"

LIBRARY = "html/dt_bundle"
"""The files of DataTables in the package itables, without their endings."""

EXPORTS = re.compile(r"export\s*{([^{}]*)};?")
"""The statement in which a module of JavaScript names what it gives to others."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The styles and the scripts of a page: those of the library for tables, and those of this package."""

    library_style: str
    library_script: str
    style: str
    scripts: tuple[str, ...]

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: these scripts and no others run, and nothing is loaded or sent."""
        hashes = " ".join(f"'{_hash(text)}'" for text in (self.library_script, *self.scripts))
        return (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )


def document(
    title: str, sections: Sequence[Section], articles: Sequence[Markup] = (), assets: Assets | None = None
) -> str:
    """The HTML of a page with these sections; of several sections a reader sees one at a time.

    ``articles`` are the sections as HTML, if they are known.
    """
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            sections=sections,
            articles=articles or [article(section, first=section is sections[0]) for section in sections],
            assets=assets or page_assets(),
            inline=Markup,  # styles and scripts of this package and of the library, which are trusted
        )
    )
    return text.rstrip("\n") + "\n"


def article(section: Section, *, first: bool) -> Markup:
    """One section as HTML; the headings of the ``first`` one are those of the page."""
    parts: Any = _environment().get_template("parts.html").module
    return Markup(parts.article(section, first))


@cache
def page_assets() -> Assets:
    """The styles and scripts of a page.  Raises :class:`ProfilerError` if the library is not installed."""
    style, script = (_library_file(f"{LIBRARY}.{ending}") for ending in ("css", "js"))
    return Assets(
        library_style=style,
        library_script=as_script(script),
        style=_asset("page.css"),
        scripts=tuple(_asset(name) for name in ("tables.js", "tree.js", "page.js")),
    )


def as_script(module: str) -> str:
    """A JavaScript module as a script that can be written into HTML; its exports become ``window.dataTables``.

    All characters are ASCII, and none begins a comment or the end of a script in HTML.
    """
    found = list(EXPORTS.finditer(module))
    if len(found) != 1:
        raise ProfilerError(f"itables: {LIBRARY}.js: found {len(found)} export statements, expected 1: install itables")
    pairs = [pair.split(" as ") for pair in found[0][1].split(",")]
    names = ",".join(f"{pair[-1].strip()}:{pair[0].strip()}" for pair in pairs)
    body = module[: found[0].start()] + f"window.dataTables={{{names}}};" + module[found[0].end() :]
    escaped = re.sub(r"[^\x00-\x7e]", lambda match: _escape(match[0]), f'(()=>{{"use strict";{body}\n}})();')
    return escaped.replace("\r\n", "\n").replace("<!--", "<\\!--").replace("</script", "<\\/script")


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _library_file(name: str) -> str:
    found = find_spec("itables")  # finding it does not import it, which would take longer than a page
    for folder in found.submodule_search_locations or () if found is not None else ():
        path = Path(folder, name)
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise ProfilerError(f"format html: itables/{name} was not found, expected it in itables>=2.6: install itables")


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    """Templates that escape every text; an unknown name in a template is an error."""
    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
