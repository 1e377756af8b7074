"""Dotted names → short forms that fit in a number of cells, shortened in the middle and still different."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, zip_longest

from rich.cells import cell_len

LEAST = 4
"""The minimum number of cells for a piece of one part of a name."""


def shorten(names: Sequence[str], most: int, mark: str = "…") -> list[str]:
    """The names in at most ``most`` cells: ``encoder.…attention.query``; different names have different short forms.

    A short form has the first and the last part of the name, and the parts by which it differs from names that would
    otherwise look the same.
    """
    short = {name: _short(name, set(), most, mark) for name in dict.fromkeys(names)}
    for same in _alike(short):
        for name, differing in zip(same, _differing(same), strict=True):
            short[name] = _short(name, differing, most, mark)
    used = set(short.values())
    for same in _alike(short):  # not even the parts that differ fit: they are numbered
        ends = map("~{}".format, count(2))
        for name in same[1:]:
            forms = (cut_middle(short[name], most - len(end), mark) + end for end in ends)
            short[name] = next(form for form in forms if form not in used)
            used.add(short[name])
    return [short[name] for name in names]


def _alike(short: dict[str, str]) -> list[list[str]]:
    """The names that share a short form, in groups."""
    groups: dict[str, list[str]] = {}
    for name, form in short.items():
        groups.setdefault(form, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _differing(names: Sequence[str]) -> list[set[int]]:
    """For each name the places of the parts that not all names have there, counted from the front or from the end."""
    every = [name.split(".") for name in names]
    front = [len(set(parts)) > 1 for parts in zip_longest(*every)]
    back = [len(set(parts)) > 1 for parts in zip_longest(*(parts[::-1] for parts in every))]
    found = []
    for parts in every:
        from_front = {place for place in range(len(parts)) if front[place]}
        from_back = {place for place in range(len(parts)) if back[len(parts) - 1 - place]}
        found.append(min(from_front, from_back, key=lambda places: (not places, len(places))))
    return found


def _short(name: str, needed: set[int], most: int, mark: str) -> str:
    """The name in ``most`` cells with its needed parts, its last and its first one, and more parts from the end."""
    if cell_len(name) <= most:
        return name
    parts = name.split(".")
    kept = {len(parts) - 1, *needed}
    text = _joined(parts, kept, mark)
    if cell_len(text) > most:
        frame = _joined(["" for _ in parts], kept, mark)
        pieces = _shared([parts[place] for place in sorted(kept)], most - cell_len(frame), mark)
        if pieces is None:
            return cut_middle(text, most, mark)
        shorter = dict(zip(sorted(kept), pieces, strict=True))
        return _joined([shorter.get(place, "") for place in range(len(parts))], kept, mark)
    for place in (0, *range(len(parts) - 2, 0, -1)):
        if cell_len(_joined(parts, kept | {place}, mark)) <= most:
            kept.add(place)
        elif place:
            break
    text = _joined(parts, kept, mark)
    if 0 in kept or most - cell_len(text) < LEAST:
        return text
    return taken(parts[0], most - cell_len(text)) + text


def _shared(pieces: Sequence[str], room: int, mark: str) -> list[str] | None:
    """The pieces in ``room`` cells together, the long ones shortened to the same width; None if that is too little."""
    widths = sorted(map(cell_len, pieces))
    for place, width in enumerate(widths):
        most = room // (len(widths) - place)
        if width > most:
            return [cut_middle(piece, most, mark) for piece in pieces] if most >= LEAST else None
        room -= width
    return list(pieces)


def _joined(parts: Sequence[str], kept: set[int], mark: str) -> str:
    """The kept parts, with a mark where others are missing."""
    text = ""
    previous = -1
    for place in sorted(kept):
        text += ("." if place and previous >= 0 else "") + (mark if place > previous + 1 else "") + parts[place]
        previous = place
    return text


def cut_middle(text: str, most: int, mark: str = "…") -> str:
    """The beginning and, mostly, the end of the text, in at most ``most`` cells."""
    if cell_len(text) <= most:
        return text
    room = max(0, most - cell_len(mark))
    front = taken(text, room // 3)
    end = taken(text[::-1], room - cell_len(front))[::-1]
    return taken(front + mark + end, most)


def cut_end(text: str, most: int, mark: str = "…") -> str:
    """The first cells of the text."""
    return text if cell_len(text) <= most else taken(text, most - cell_len(mark)) + mark


def taken(text: Iterable[str], most: int) -> str:
    """As many of the first characters as fit in ``most`` cells."""
    kept = []
    for character in text:
        most -= cell_len(character)
        if most < 0:
            break
        kept.append(character)
    return "".join(kept)
