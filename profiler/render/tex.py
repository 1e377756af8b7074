"""Text → LaTeX that shows it literally, with any engine and without a font for every script.

Letters with accents, Greek letters and the signs that the profiler writes have commands.  All other characters that are
not ASCII, and control characters, are shown by their code point: ``\\codepoint{202E}`` is U+202E.
"""

from __future__ import annotations

import re
import unicodedata

CODEPOINT = r"\providecommand{\codepoint}[1]{\texttt{U+#1}}"
"""The definition that a text may need; a document may define it otherwise."""

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\textellipsis{}",
    "≥": r"\ensuremath{\ge}",
    "≤": r"\ensuremath{\le}",
    "→": r"\ensuremath{\to}",
    "−": r"\ensuremath{-}",
    "⌊": r"\ensuremath{\lfloor}",
    "⌋": r"\ensuremath{\rfloor}",
    "²": r"\ensuremath{^2}",
    "⁹": r"\ensuremath{^9}",
    "∞": r"\ensuremath{\infty}",
    "±": r"\ensuremath{\pm}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
"""The characters that have a command, in the fonts that every installation has."""

SMALL = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon varphi chi "
    "psi omega"
)
GREEK = {
    unicodedata.lookup(f"GREEK SMALL LETTER {name.removeprefix('var').replace('lambda', 'lamda')}"): name
    for name in SMALL.split()
}
CAPITAL = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
GREEK |= {
    unicodedata.lookup(f"GREEK CAPITAL LETTER {name.replace('Lambda', 'Lamda')}"): name for name in CAPITAL.split()
}
"""The Greek letters that are not also Latin ones, and the names of their commands."""

ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0307": ".", "\u0308": '"'}
ACCENTS |= {"\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c"}
"""The commands that put an accent on a letter; an i loses its dot."""

COMMANDS = {**SPECIAL, **{letter: rf"\ensuremath{{\{name}}}" for letter, name in GREEK.items()}}

LIGATURES = re.compile(r"--|,,|''|[`?!]`")
"""Characters that fonts would join to another one."""

WORD = 20
"""The number of characters of a word after which it may be broken anywhere."""

BREAK = r"\allowbreak{}"


def escape(text: str, *, breakable: bool = False) -> str:
    """The text as LaTeX, on one line; with ``breakable`` a long name may be broken behind its dots."""
    blanks = {place for place, character in enumerate(text) if character == " " and _is_lost(text, place)}
    parts: list[str] = []
    run = 0
    for place, character in enumerate(text):
        parts.append("\\ " if place in blanks else command(character))
        if LIGATURES.match(text, place):
            parts.append("{}")
        run = 0 if character == " " else run + width(character)
        following = text[place + 1 : place + 2].strip(" ._/")
        if breakable and run and following and (run >= WORD or character in "._/:;,="):
            parts.append(BREAK)
            run = 0
    return "".join(parts)


def _is_lost(text: str, place: int) -> bool:
    """Whether LaTeX would leave out the blank at this place."""
    return place in (0, len(text) - 1) or text[place - 1] == " "


def command(character: str) -> str:
    """One character as LaTeX."""
    if character in COMMANDS:
        return COMMANDS[character]
    if " " <= character <= "~":
        return character
    letter, mark = unicodedata.normalize("NFD", character)[:1], unicodedata.normalize("NFD", character)[1:]
    if mark in ACCENTS and letter.isascii() and letter.isalpha():
        letter = rf"\{letter}" if letter in "ij" else letter
        return rf"\{ACCENTS[mark]}{{{letter}}}"
    return rf"\codepoint{{{ord(character):04X}}}"


def width(text: str) -> int:
    """The number of characters that the escaped text shows."""
    return sum(
        1 if len(found) == 1 or not found.startswith("\\codepoint") else len(found) - 10 for found in map(command, text)
    )
