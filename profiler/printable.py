"""Untrusted text (names, messages) → text that is safe for a terminal, an XML file and an ASCII stream.

Names of modules, targets and messages may contain characters that move a terminal's cursor, reverse the direction of
writing, or are forbidden in XML.  They are shown as escapes (``\\x1b``).
"""

from __future__ import annotations

import re
import unicodedata

DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""The characters that change the direction in which text is written."""

INVISIBLE = re.compile(
    f"[\x00-\x1f\x7f-\x9f{DIRECTIONS}\u200b\u2028\u2029\u2060-\u2064\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Control characters (C0, C1), directions, line separators, unpaired surrogates, characters without a width that no
script needs, and code points that are no characters."""

ESCAPE = re.compile(r"\\(?:\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
"""What :func:`escaped` writes: a doubled backslash, or an escape for one character."""

ASCII = {
    "×": "x",
    "·": "*",
    "–": "-",
    "—": "-",
    "…": "..",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "²": "^2",
    "⁹": "^9",
    "█": "#",
    "▒": "=",
    "│": "|",
    "─": "-",
    "├": "|",
    "└": "`",
    "⌊": "floor(",
    "⌋": ")",
    "−": "-",
}
"""How the signs that the profiler writes are spelled in ASCII."""


def visible(text: str, keep: str = "") -> str:
    """``text`` with an escape (``\\x1b``, ``\\u202e``) for each character that is unsafe on a terminal.

    The characters in ``keep``, such as a line feed, stay.
    """
    return INVISIBLE.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def escaped(text: str, unsafe: re.Pattern[str] = INVISIBLE) -> str:
    """``text`` with an escape for each character that ``unsafe`` finds, for a file; :func:`unescaped` undoes it.

    If a text has an unsafe character, or looks as if it had an escape, its backslashes are doubled.  All other texts
    are unchanged.
    """
    if not unsafe.search(text) and not ESCAPE.search(text):
        return text
    return unsafe.sub(lambda match: _escape(match[0]), text.replace("\\", "\\\\"))


def unescaped(text: str) -> str:
    """The text of which :func:`escaped` made ``text``."""
    return ESCAPE.sub(lambda match: "\\" if match[0] == "\\\\" else chr(int(match[0][2:], 16)), text)


def in_ascii(text: str) -> str:
    """``text`` in ASCII: signs spelled out, letters without their accents, and an escape for every other character."""
    if text.isascii():
        return text
    return "".join(ASCII.get(character) or _plain(character) for character in text)


def json_in_ascii(text: str) -> str:
    """The JSON document ``text`` in ASCII, with JSON escapes for all other characters."""
    return re.sub(r"[^\x00-\x7e]", lambda match: _json_escape(match[0]), text)


def html_in_ascii(text: str) -> str:
    """The HTML document ``text`` in ASCII: with JSON escapes in its data, and character references elsewhere.

    Its scripts and styles have to be ASCII.
    """
    parts = re.split(r'(<script type="application/json".*?</script>)', text, flags=re.DOTALL)
    return "".join(
        json_in_ascii(part) if number % 2 else part.encode("ascii", "xmlcharrefreplace").decode()
        for number, part in enumerate(parts)
    )


def one_line(text: str) -> str:
    """``text`` on one line, with single spaces, for a message."""
    return visible(" ".join(text.split()))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(character: str) -> str:
    if character.isascii():
        return character
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters if letters.isalnum() else _escape(character)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
