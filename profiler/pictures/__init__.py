"""Pictures of profiles, one file each: the file's name is the picture's name.

A new picture is a new file here that defines ``PICTURE``.  matplotlib is imported when a picture is used; its pyplot is
never used, so a picture can be drawn in any thread and leaves the user's figures and settings unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from profiler import catalog
from profiler.errors import OutputError, ProfilerError, did_you_mean, shown
from profiler.files import encoded
from profiler.measures import HEADLINE, Measure, find_measure
from profiler.profiles import Profile
from profiler.render.report import Report, ReportPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from profiler.pictures._drawing import Sheet

SUFFIXES = ("svg", "png", "pdf")
"""The formats of pictures."""

Profiles = Sequence[Profile]


def applies(profiles: Profiles) -> str | None:
    """There is no reason why a picture cannot be drawn."""
    return None


@dataclass(frozen=True, slots=True)
class Picture:
    """One kind of picture.

    ``title`` says what it shows.  ``draw`` draws it of profiles, with the figure that is shown, on axes; ``sheet`` says
    what is around the axes and how large they are.  ``words`` describe the picture, with its lesson, to a reader who
    does not see it.  It shows at least ``least`` profiles and at most ``most``.  ``refusal`` is the reason why it
    cannot be drawn of these profiles, if any.  ``figures`` names the figures that it can show; by default it shows the
    first of them that is not zero.
    """

    title: str
    draw: Callable[[Profiles, Measure, Axes], None]
    sheet: Callable[[Profiles, Measure], Sheet]
    words: Callable[[Profiles, Measure], str]
    least: int = 1
    most: int | None = 1
    refusal: Callable[[Profiles], str | None] = applies
    figures: tuple[str, ...] = ("macs", "multiplies", "adds", "flops", "parameters")

    @property
    def of_one(self) -> bool:
        """Whether it shows a single network."""
        return self.most == 1


@dataclass(frozen=True, slots=True)
class TerminalPicture:
    """The picture of what the terminal shows; ``document`` makes an SVG document of reports."""

    title: str
    document: Callable[[Sequence[Report]], str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture by its name, with the figure that it shows if it is not the default one."""

    name: str
    figure: str | None = None

    @property
    def stem(self) -> str:
        """The name of its file, without the suffix."""
        return self.name if self.figure is None else f"{self.name}-{self.figure}"


def find_picture(name: str) -> Picture | TerminalPicture:
    """The picture of that name.  Raises :class:`ProfilerError`."""
    names = catalog.pictures()
    if name not in names:
        hint = did_you_mean(name, names)
        raise ProfilerError(f"picture {name!r} is not known, expected one of {', '.join(names)}{hint}")
    found: Picture | TerminalPicture = catalog.extension(__name__, name, "PICTURE")
    return found


def parse_stem(stem: str) -> Wanted | None:
    """The picture that a file's name without its suffix stands for: its last part is a picture's name.

    A figure may follow: ``icicle``, ``resnet50-icicle`` and ``resnet50_icicle-parameters`` are icicles.
    """
    names, figures = ("|".join(map(re.escape, found)) for found in (catalog.pictures(), catalog.measures()))
    found = re.fullmatch(rf"(?:.*[-_])?({names})(?:[-_]({figures}))?", stem, re.DOTALL)
    return None if found is None else Wanted(found[1], found[2])


def picture_of_file(path: PurePath) -> Wanted:
    """The picture that is written to the file ``path``.  Raises :class:`OutputError`."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: --picture: expected a name that ends in .{', .'.join(SUFFIXES)}")
    wanted = parse_stem(path.stem)
    if wanted is None:
        names = catalog.pictures()
        hint = did_you_mean(re.split("[-_]", path.stem)[-1], names)
        raise OutputError(
            f"{path}: --picture: found {shown(path.stem)}, expected the name of a picture or a name that ends in one"
            f" (alexnet-{names[0]}.{suffix}): {', '.join(names)}{hint}"
        )
    if wanted.name == "terminal" and suffix != "svg":
        raise OutputError(f"{path}: --picture: the picture of the terminal is written as .svg only")
    return wanted


def check_number(wanted: Wanted, number: int) -> None:
    """Raise :class:`ProfilerError` if the picture does not show this number of networks, or not this figure."""
    picture = find_picture(wanted.name)
    if isinstance(picture, TerminalPicture):
        if wanted.figure is not None:
            raise ProfilerError(f"picture {wanted.name}: found the figure {wanted.figure}, expected none")
        return
    if wanted.figure is not None and wanted.figure not in picture.figures:
        known = ", ".join(picture.figures) or "none"
        raise ProfilerError(f"picture {wanted.name}: found the figure {wanted.figure!r}, expected one of {known}")
    if number < picture.least or (picture.most is not None and number > picture.most):
        if picture.of_one:
            expected = "one network; see: profiler profile"
        elif picture.least == picture.most:
            expected = "two networks; see: profiler diff and profiler rewrite"
        else:
            expected = f"at least {picture.least} networks; see: profiler compare"
        raise ProfilerError(f"picture {wanted.name}: found {number} {_networks(number)}, expected {expected}")


def _networks(number: int) -> str:
    return "network" if number == 1 else "networks"


def _prepared(wanted: Wanted, profiles: Profiles) -> tuple[Picture, Measure]:
    """The picture and the figure that it shows of these profiles.  Raises :class:`ProfilerError`."""
    picture = find_picture(wanted.name)
    if isinstance(picture, TerminalPicture):
        raise ProfilerError("picture terminal: matplotlib does not draw it; see: profiler profile --picture")
    check_number(wanted, len(profiles))
    reason = picture.refusal(profiles)
    if reason is not None:
        raise ProfilerError(f"picture {wanted.name}: {reason}")
    if wanted.figure is not None:
        return picture, find_measure(wanted.figure)
    shown = (name for name in picture.figures if any(profile.figure(name) for profile in profiles))
    return picture, find_measure(next(shown, (*picture.figures, HEADLINE)[0]))


def plot(name: str, profiles: Profile | Profiles, *, ax: Axes | None = None, figure: str | None = None) -> Figure:
    """Draw the picture of that name, and return its matplotlib figure.

    ``profiles`` is a profile, or several for a picture of several networks; for ``rewriting`` the profiles before and
    after.  ``ax`` are axes to draw on; by default a new figure is made, in the size of a column of a paper.  ``figure``
    names what is shown (``"macs"``, ``"parameters"``), if the picture has a choice.  matplotlib's settings do not
    change the picture and are not changed.  Raises :class:`ProfilerError` for an unknown name, and if the picture
    cannot show these profiles.
    """
    given = (profiles,) if isinstance(profiles, Profile) else tuple(profiles)
    picture, measure = _prepared(Wanted(name, figure), given)
    return _drawn(picture, given, measure, ax)


def _drawn(picture: Picture, profiles: Profiles, measure: Measure, ax: Axes | None = None) -> Figure:
    from profiler.pictures._drawing import styled

    with styled():
        sheet = picture.sheet(profiles, measure)
        if ax is None:
            ax = sheet.axes()
        else:
            sheet = sheet.on(ax)
        picture.draw(profiles, measure, ax)
        sheet.decorate(ax)
        drawn: Any = ax.figure
    return drawn  # type: ignore[no-any-return]


def picture_file(
    wanted: Wanted,
    profiles: Profiles,
    suffix: str = "svg",
    reports: Callable[[], Sequence[Report]] | None = None,
) -> ReportPicture:
    """The picture as a file in the format ``suffix``, with its words.

    ``reports`` are what the terminal shows of the profiles, for the picture of the terminal; by default the report on
    each.  Raises :class:`ProfilerError` if the picture cannot show these profiles.
    """
    found = find_picture(wanted.name)
    if isinstance(found, TerminalPicture):
        from profiler.render.screen import screen_report

        shown = [screen_report(profile) for profile in profiles] if reports is None else reports()
        words = f"What the terminal shows: {', '.join(report.title for report in shown)}."
        return ReportPicture(f"{wanted.stem}.svg", words, encoded(found.document(shown)))
    from profiler.pictures._drawing import as_file

    picture, measure = _prepared(wanted, profiles)
    words = picture.words(profiles, measure)
    content = as_file(_drawn(picture, profiles, measure), suffix, picture.title, words)
    return ReportPicture(f"{wanted.stem}.{suffix}", words, content)


def report_pictures(names: Sequence[str], profiles: Profiles, networks: str = "one") -> tuple[ReportPicture, ...]:
    """Those of the pictures named in a config that show ``networks``, as SVG files of a report.

    ``"one"`` are pictures of one network, ``"many"`` of several, and ``"two"`` of a network before and after.  Raises
    :class:`ProfilerError` if a picture cannot show these profiles.
    """
    wanted = [found for name in names if (found := parse_stem(name)) is not None and _shows(found) == networks]
    return tuple(picture_file(found, profiles) for found in wanted)


def _shows(wanted: Wanted) -> str:
    picture = find_picture(wanted.name)
    if isinstance(picture, TerminalPicture) or picture.of_one:
        return "one"
    return "many" if picture.most is None else "two"
