"""Sources and what varies → a sweep: its points profiled into a store, its table, and its crossovers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from profiler.config import Config, load_config, quick_config
from profiler.errors import ConfigError
from profiler.schema import Table
from profiler.sweeps.asking import Asking
from profiler.sweeps.axes import axis_of
from profiler.sweeps.crossings import Crossing, Line, crossings_of, lines_of, located, sentences
from profiler.sweeps.measuring import FAILED
from profiler.sweeps.points import MAX_POINTS, Candidates, Grid, Points
from profiler.sweeps.running import Run
from profiler.sweeps.sources import is_stream, points_of, sizes_at_first, stream_of
from profiler.sweeps.store import Row, Store
from profiler.sweeps.tables import Layout, kinds_in, tables_of
from profiler.sweeps.workers import workers_of

if TYPE_CHECKING:
    import pandas as pd

STORE = "sweep.sqlite"
"""The file of results in the folder of a sweep."""

LARGEST_COMPARED = 20_000
"""Of more points, no crossovers are looked for."""

LOCATED = 24
"""The maximum number of crossovers of which the exact size is looked for."""


class Sweep:
    """The points of a sweep and the rows that it has so far, in a file in ``folder``, or in memory.

    Raises the errors of :class:`~profiler.sweeps.store.Store`.
    """

    def __init__(self, points: Points, folder: Path | None = None, *, resume: bool = False) -> None:
        self.points = points
        identity = {**points.identity(), "the version of the profiler": _version()}
        self.store = Store(None if folder is None else folder / STORE, identity, resume=resume)
        self.found_before = len(self.store.known)

    def run(
        self, jobs: int = 1, cluster: str | None = None, advance: Callable[[int], None] = lambda number: None
    ) -> None:
        """Profile the points without a result.

        Raises ClusterError, the errors of the source and of the store.
        """
        if self.points.total is not None and self.found_before >= self.points.total:
            return
        with workers_of(jobs, cluster) as workers:
            run = Run(self.points, self.store, workers, advance)
            run.finish()
        if isinstance(self.points, Candidates):
            self.points.total = run.seen

    @property
    def layout(self) -> Layout:
        return Layout(self.points.names, kinds_in(self.store), with_kwargs=isinstance(self.points, Candidates))

    def tables(self, most: int) -> Iterator[Table]:
        """The table in parts of at most ``most`` rows; see :func:`tables_of`."""
        return tables_of(self.store, self.layout, most)

    def table(self) -> Table:
        """The whole table."""
        return next(self.tables(max(1, self.counts()[0])))

    def counts(self) -> tuple[int, int]:
        """The number of rows, and how many of them failed."""
        return self.store.counts()

    def partial(self) -> int:
        """The number of points whose figures are lower bounds."""
        return self.store.number("partial")

    def failed(self, most: int = 10_000) -> list[Row]:
        """The first rows without figures."""
        return list(islice((row for row in self.store.rows() if row.status == FAILED), most))

    def lines(self) -> list[Line]:
        """The points that differ in one axis only; none of very many points, or of candidates."""
        if not isinstance(self.points, Grid) or self.counts()[0] > LARGEST_COMPARED:
            return []
        return list(lines_of(self.store.rows(), [axis.names for axis in self.points.axes]))

    def crossings(self) -> list[Crossing]:
        """From which sizes on one kind of work does more than another.

        At most ``LOCATED`` of them are located exactly, by the closed form of the network or by profiles of it at sizes
        between the points.
        """
        if not isinstance(self.points, Grid):
            return []
        asking = Asking({name: config for name, config in self.points.sources if isinstance(config, Config)})
        found = [(line, crossing) for line in self.lines() for crossing in crossings_of(line)]
        places = [located(crossing, *asking.about(line)) for line, crossing in found[:LOCATED]]
        return [*places, *(crossing for _, crossing in found[LOCATED:])]

    def crossovers(self) -> list[str]:
        """The crossings in words."""
        return sentences(self.crossings())

    def close(self) -> None:
        """Commit the results and give the file free."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("static-flop-profiler")
    except PackageNotFoundError:
        return "unknown"


Source = str | PathLike[str] | Config
Candidate = Config | Mapping[str, Any]


def sweep(
    source: Source | Sequence[Source] | Callable[[], Iterable[Candidate]],
    vary: Mapping[str | tuple[str, ...], Sequence[Any]] | None = None,
    *,
    shapes: Sequence[str] = (),
    sizes: Mapping[str, int] | None = None,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    max_points: int = MAX_POINTS,
) -> pd.DataFrame:
    """One row for each point: what varies, all totals and shares, ``status`` and ``error``.

    ``source`` is a config, the path of its file, a target, or several of them; or a function, or the name of one in a
    file, that yields candidates: configs, or mappings with the keys of one.  ``vary`` maps names to their values: sizes
    (``"B"``), names that vary together (``"H,W"``), ``"kwargs.width"``, ``"dtype"``, ``"mode"``.  ``shapes`` are those
    of a target's inputs, ``"Bx3xHxW"``, and ``sizes`` the values of names that do not vary.

    ``output`` is a folder for the file of results, ``sweep.sqlite``; with ``resume`` the sweep goes on from what that
    has.  Points are profiled by ``jobs`` processes, or on a ``cluster`` (``"dask:tcp://…"``, ``"ray:auto"``).  A point
    that fails is a row with its reason.  Raises ConfigError for something that cannot vary, and for more than
    ``max_points`` points; ResumeError, ClusterError and OutputError.
    """
    points = _points(source, vary or {}, shapes, dict(sizes or {}), max_points)
    with ExitStack() as stack:
        run = stack.enter_context(Sweep(points, None if output is None else Path(output), resume=resume))
        run.run(jobs, cluster)
        return run.table().frame


def _points(
    source: Source | Sequence[Source] | Callable[[], Iterable[Candidate]],
    vary: Mapping[str | tuple[str, ...], Sequence[Any]],
    shapes: Sequence[str],
    sizes: Mapping[str, int],
    most: int,
) -> Points:
    axes = [axis_of(names, values) for names, values in vary.items()]
    stream: Any = source if callable(source) and not isinstance(source, Config) else None
    if stream is None and isinstance(source, str) and is_stream(source):
        stream = stream_of(source, most)
    if stream is not None:
        if axes or shapes or sizes:
            raise ConfigError("vary: found values for a function that yields candidates, expected them in its configs")
        return stream if isinstance(stream, Candidates) else Candidates(_name(stream), stream, Path.cwd(), most)
    known = {**sizes_at_first(axes), **sizes}
    several = [source] if isinstance(source, str | PathLike | Config) else list(source)  # type: ignore[arg-type]
    return points_of([_read(one, shapes, known) for one in several], axes, most)


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _read(source: Source, shapes: Sequence[str], sizes: Mapping[str, int]) -> tuple[str, Config]:
    if isinstance(source, Config):
        return source.name, source
    text = str(source)
    if text.endswith((".yaml", ".yml")):
        config = load_config(text, sizes)
        return config.name, config
    return text, quick_config(text, shapes, sizes)
