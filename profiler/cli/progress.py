"""A progress bar for several networks, on standard error: how many are done, how quickly, and the time left."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from profiler.printable import visible
from profiler.streams import HEIGHT, screen_width


@contextlib.contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that is called with the name of each network when its work begins.

    There is a bar only on a terminal, for more than one network, and unless ``quiet``.
    """
    if quiet or total < 2 or not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        """The number of networks per second, or the seconds that one takes."""

        def render(self, task: Task) -> Text:
            return Text(rate(task.speed))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    console = Console(stderr=True, width=screen_width(sys.stderr), height=HEIGHT)
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as bar:
        task = bar.add_task("", total=total)
        started = False

        def advance(name: str) -> None:
            nonlocal started
            bar.update(task, description=visible(name), advance=int(started))
            started = True

        yield advance


def rate(speed: float | None) -> str:
    """``3.1/s``, ``12 s each``; empty while it is not known."""
    if not speed:
        return ""
    return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.0f} s each"
