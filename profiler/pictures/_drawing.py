"""What pictures share: one style for all of them, colors and hatches of kinds, text that stays text, and files.

Nothing here uses pyplot.  matplotlib's settings are global, so they are set to the style of the pictures for the time
of one drawing, by one thread at a time, and set back.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, cast

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle

from profiler.printable import visible

POINTS = 72
"""Points in an inch."""

COLUMN, PAGE = 244.0, 506.0
"""The widths of pictures in points: one column of a paper with two, and both."""

SIZE, SMALL, TITLE = 7.0, 6.0, 8.0
"""The sizes of text in points: ordinary text, remarks, the title."""

LINE = 1.35
"""The height of a line of text, as a multiple of its size."""

INK, GRAY, FAINT = "#1a1a1a", "#595959", "#d9d9d9"
"""Text, remarks, and lines in the background."""

STYLE = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],  # Verdana is as wide, for viewers without the first
    "font.size": SIZE,
    "text.color": INK,
    "text.parse_math": False,  # a name with $ in it is no formula
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.labelsize": SIZE,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
    "svg.fonttype": "none",
    "svg.hashsalt": "profiler",
    "pdf.fonttype": 42,
}
"""What differs from matplotlib's own defaults; a user's settings have no effect."""

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def styled() -> Iterator[None]:
    """Within it, matplotlib has the style of the pictures, for one thread at a time; then the user's settings again."""
    with _ONE_AT_A_TIME, style.context(["default", STYLE]):
        yield


@dataclass(frozen=True, slots=True)
class Fill:
    """How an area is filled: its color, and a hatch with the hatch's color, so that it differs in gray too."""

    color: str
    hatch: str = ""
    line: str = "white"

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of a patch."""
        return {"facecolor": self.color, "edgecolor": self.line, "hatch": self.hatch or None, "linewidth": 0.4}


BLUE, ORANGE, GREEN, SKY = "#0072b2", "#e69f00", "#009e73", "#56b4e9"
RED, PURPLE, YELLOW, SILVER = "#d55e00", "#cc79a7", "#f0e442", "#bdbdbd"
"""The colors of Okabe and Ito, which people with a color vision deficiency can tell from each other, and a gray."""

FILLS = {
    "conv": Fill(BLUE),
    "linear": Fill(ORANGE, "////"),
    "depthwise": Fill(RED, "++++"),
    "attention": Fill(GREEN, r"\\\\"),
    "recurrent": Fill(RED, "----"),
    "matmul": Fill(SKY, "xxxx"),
    "norm": Fill(PURPLE, "...."),
    "activation": Fill(YELLOW, "ooo", GRAY),
    "softmax": Fill(YELLOW, "//..", GRAY),
    "pool": Fill(SKY, "||||"),
    "loss": Fill(RED, "++.."),
    "embedding": Fill(GREEN, "--.."),
    "elementwise": Fill("#8c8c8c", r"\\.."),
    "unused": Fill("#f2f2f2", "xx", SILVER),
    "uncounted": Fill("#ffffff", "**", INK),
}
OTHER = Fill(SILVER)
"""The fill of every other kind, and of several kinds together."""

FIRST, SECOND = Fill(BLUE), Fill(ORANGE, "////")
"""The two of a pair."""

PLAIN = Fill("#ededed", "", "#9a9a9a")
"""What only groups others."""


def fill_of(kind: str) -> Fill:
    """The fill of a kind of work."""
    return FILLS.get(kind, OTHER)


IN_WORDS = {
    "conv": "convolutions",
    "linear": "linear layers",
    "norm": "normalizations",
    "activation": "activations",
    "pool": "pooling",
    "matmul": "matrix products",
    "embedding": "embeddings",
    "unused": "unused parameters",
    "uncounted": "uncounted work",
}


def words_of(kind: str) -> str:
    """The kind in words."""
    return IN_WORDS.get(kind, kind)


@cache
def _font(bold: bool) -> Any:
    return get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))


@lru_cache(maxsize=4096)
def _advance(character: str, bold: bool) -> float:
    """The width of a character of size 1; None stands in the font for a character that it does not have."""
    font = _font(bold)
    font.set_size(100, POINTS)
    return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / 100


@cache
def _characters() -> frozenset[int]:
    return frozenset(_font(False).get_charmap()) & frozenset(_font(True).get_charmap())


def safe(text: str) -> str:
    """The text on one line, with an escape for each character that is unsafe or that the font does not have."""
    shown = visible(text)
    if shown.isascii():
        return shown
    known = _characters()
    return "".join(c if ord(c) in known else c.encode("ascii", "backslashreplace").decode() for c in shown)


def width_of(text: str, size: float = SIZE, *, bold: bool = False) -> float:
    """The width of a text in points, as it is shown."""
    return size * sum(_advance(character, bold) for character in safe(text))


def shortened(text: str, most: float, size: float = SIZE, *, bold: bool = False) -> str:
    """The text, safe, and without its middle if it is wider than ``most`` points."""
    shown = safe(text)
    if width_of(shown, size, bold=bold) <= most:
        return shown
    room = most - width_of("…", size, bold=bold)
    front, back = "", ""
    while len(front) + len(back) < len(shown):
        longer = shown[len(front)] if len(front) <= len(back) else shown[-1 - len(back)]
        if width_of(front + back + longer, size, bold=bold) > room:
            break
        if len(front) <= len(back):
            front += longer
        else:
            back = longer + back
    return f"{front}…{back}"


def wrapped(text: str, most: float, size: float) -> list[str]:
    """The text in lines of at most ``most`` points; a word that is longer is shortened."""
    lines = [""]
    for word in safe(text).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if width_of(longer, size) <= most:
            lines[-1] = longer
        else:
            lines.append(shortened(word, most, size))
    return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is around the axes of a picture; lengths are in points.

    ``key`` says which fill stands for what, ``notes`` are remarks below.  ``left``, ``right`` and ``below`` is the room
    for names and numbers around the axes.
    """

    title: str
    subtitle: str = ""
    key: tuple[tuple[Fill, str], ...] = ()
    notes: tuple[str, ...] = ()
    width: float = COLUMN
    height: float = 100
    left: float = 4
    right: float = 4
    below: float = 4

    def axes(self) -> Axes:
        """Axes of this size in a new figure."""
        above, under = self._above(), self.below + self._under()
        whole = self.height + above + under
        figure = Drawing(figsize=(self.width / POINTS, whole / POINTS), facecolor="white")
        across = (self.width - self.left - self.right) / self.width
        return figure.add_axes((self.left / self.width, under / whole, across, self.height / whole))

    def on(self, ax: Axes) -> Sheet:
        """The sheet with the size of existing axes."""
        box = ax.get_window_extent()
        scale = POINTS / ax.figure.dpi
        across = float(box.width) * scale
        return replace(self, width=across + self.left + self.right, height=float(box.height) * scale)

    @property
    def across(self) -> float:
        """The width of the axes."""
        return self.width - self.left - self.right

    def _rows(self) -> list[list[tuple[Fill, str]]]:
        """The entries of the key, in rows that fit."""
        rows: list[list[tuple[Fill, str]]] = []
        room = 0.0
        for fill, words in self.key:
            needs = _entry_width(words)
            if not rows or needs > room:
                rows.append([])
                room = self.width - 8
            rows[-1].append((fill, words))
            room -= needs
        return rows

    def _head(self) -> list[str]:
        return wrapped(self.subtitle, self.width - 8, SMALL) if self.subtitle else []

    def _foot(self) -> list[str]:
        return [line for note in self.notes for line in wrapped(note, self.width - 8, SMALL)]

    def _above(self) -> float:
        return LINE * (TITLE + SMALL * len(self._head()) + SIZE * len(self._rows())) + 10 + 2 * bool(self.key)

    def _under(self) -> float:
        lines = len(self._foot())
        return LINE * SMALL * lines + 4 * bool(lines) + 2

    def decorate(self, ax: Axes) -> None:
        """Write the title, the key and the notes around the axes."""
        edge = 4 - self.left
        above = self._above() - 4
        put(ax, shortened(self.title, self.width - 8, TITLE, bold=True), edge, above, TITLE, weight="bold")
        above -= LINE * TITLE
        for line in self._head():
            put(ax, line, edge, above, SMALL, color=GRAY)
            above -= LINE * SMALL
        above -= 2 * bool(self.key)
        for row in self._rows():
            x = edge
            for fill, words in row:
                swatch(ax, fill, x, above - SIZE * 0.98)
                put(ax, safe(words), x + SIZE * 1.25, above, SIZE)
                x += _entry_width(words)
            above -= LINE * SIZE
        below = -self.below - 3
        for line in self._foot():
            put(ax, line, edge, below, SMALL, color=GRAY, base=0)
            below -= LINE * SMALL


def _entry_width(words: str) -> float:
    return width_of(safe(words)) + SIZE * 2.2


def put(
    ax: Axes, text: str, x: float, y: float, size: float, *, color: str = INK, weight: str = "normal", base: int = 1
) -> None:
    """Write a safe text whose upper left corner is at (x, y), in points from a left corner of the axes.

    The corner is the upper one if ``base`` is 1 and the lower one if it is 0.
    """
    ax.annotate(
        text,
        (0, base),
        xycoords="axes fraction",
        xytext=(x, y),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=size,
        color=color,
        fontweight=weight,
        annotation_clip=False,
        parse_math=False,
    )


def swatch(ax: Axes, fill: Fill, x: float, y: float) -> None:
    """A square in the fill, in points from the upper left corner of the axes."""
    from matplotlib.transforms import ScaledTranslation

    figure: Any = ax.figure
    corner: Any = ScaledTranslation(0, 1, cast("Any", ax.transAxes))
    square = Rectangle((x / POINTS, y / POINTS), SIZE / POINTS, SIZE * 0.85 / POINTS, clip_on=False, **fill.options)
    square.set_transform(figure.dpi_scale_trans + corner)
    ax.add_artist(square)


def label(
    ax: Axes, text: str, at: tuple[float, float], by: tuple[float, float] = (0, 0), size: float = SIZE, **options: Any
) -> Any:
    """Write a safe text at a point of the data, moved by points; other arguments are those of matplotlib's text.

    Lines of the grid do not go through it.
    """
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    return ax.annotate(
        text,
        at,
        xytext=by,
        textcoords="offset points",
        fontsize=size,
        annotation_clip=False,
        parse_math=False,
        **{"ha": "left", "va": "center", "bbox": box, **options},
    )


def name_rows(
    ax: Axes, names: Sequence[str], most: float, size: float = SIZE, *, at: Sequence[float] | None = None
) -> None:
    """Write the names of rows 0, 1, … to the left of the axes, or of rows ``at`` other places."""
    for place, name in zip(range(len(names)) if at is None else at, names, strict=True):
        ax.annotate(
            shortened(name, most, size),
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=size,
            annotation_clip=False,
            parse_math=False,
        )


def room_for(names: Sequence[str], most: float, size: float = SIZE) -> float:
    """The room in points that these names need to the left of the axes, at most ``most``."""
    return min(most, max((width_of(safe(name), size) for name in names), default=0)) + 9


def bare(ax: Axes, *, keep: Sequence[str] = ()) -> None:
    """Axes without frame and ticks, except for the sides in ``keep``."""
    for side, spine in ax.spines.items():
        spine.set_visible(side in keep)
    if "left" not in keep:
        ax.set_yticks([])
    if "bottom" not in keep:
        ax.set_xticks([])


def tinted(color: str, part: float = 0.5) -> str:
    """The color mixed with white."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(value * part + 255 * (1 - part)):02x}" for value in (red, green, blue))


class Drawing(Figure):
    """A figure that a notebook shows as the picture that files have."""

    def _repr_svg_(self) -> str:
        return as_file(self, "svg", "", "").decode()


SUFFIXES = ("svg", "png", "pdf")


def as_file(figure: Figure, suffix: str, title: str, words: str) -> bytes:
    """The figure as a file; ``words`` describe it for those who do not see it.

    The bytes depend on the figure, matplotlib and its font alone: they hold no date, no version and no random number.
    """
    title, words = visible(title), visible(words)
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": None, "Title": title, "Description": words},
        "png": {"Software": None, "Title": title, "Description": words},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None, "Title": title, "Subject": words},
    }
    text = io.BytesIO()
    with styled():
        figure.savefig(text, format=suffix, metadata=metadata[suffix], facecolor="white")
    content = text.getvalue()
    return _with_steady_names(content) if suffix == "pdf" else content


_SUBSET = re.compile(rb"/([A-Z]{6})\+DejaVuSans")


def _with_steady_names(content: bytes) -> bytes:
    """A PDF whose subsets of fonts have names that do not change from run to run; no length changes."""
    names = dict.fromkeys(_SUBSET.findall(content))
    for place, name in enumerate(names):
        digits = sha256(f"profiler {place}".encode()).digest()[:6]
        content = content.replace(b"/" + name + b"+", b"/" + bytes(65 + digit % 26 for digit in digits) + b"+")
    return content
