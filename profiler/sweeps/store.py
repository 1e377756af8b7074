"""The results of a sweep ↔ one SQLite file, which an interrupted sweep goes on from.

One process writes at a time.  Results are committed in batches, so that a killed process loses the last batch at most,
and those points are profiled again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from profiler.errors import OutputError, ResumeError, shown

FORMAT = "1"
"""The version of the tables in the file."""

COMMITTED_EVERY = 1.0
"""The maximum number of seconds for which results wait for their commit, if others arrive."""

COMMITTED_ROWS = 500
"""The maximum number of results in one commit."""

_TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    target TEXT NOT NULL,
    "values" TEXT NOT NULL,
    kwargs TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    figures TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one point; ``figures`` is JSON, and empty if the point failed."""

    number: int
    digest: bytes
    target: str
    values: str
    kwargs: str
    status: str
    error: str
    figures: str


class Store:
    """The rows of a sweep in a file, or in memory without a ``path``.

    ``identity`` says which sweep it is.  Raises :class:`ResumeError` if there are results and ``resume`` is not set, or
    if they belong to another sweep; :class:`OutputError` if the file is in use or cannot be written.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self.known: dict[int, bytes] = {}
        self._waiting: list[Row] = []
        self._is_new = path is not None and not path.exists()
        self._committed = time.monotonic()
        if path is not None and path.exists() and not resume:
            raise ResumeError(
                f"{path}: has results of an earlier sweep; give --resume to go on from them, "
                "or another --output (or delete the file) to begin again"
            )
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(":memory:" if path is None else path, timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
        try:
            with self._errors():
                self._open(identity)
        except BaseException:
            self._file.close()
            raise

    def _open(self, identity: Mapping[str, Any]) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")  # until the connection is closed
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute("BEGIN EXCLUSIVE")
        known = {name for (name,) in self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        wanted = {"format": FORMAT, **identity}
        if not known:
            for statement in filter(None, map(str.strip, _TABLES.split(";"))):
                self._file.execute(statement)
            rows = [(key, json.dumps(value)) for key, value in wanted.items()]
            self._file.executemany("INSERT INTO about VALUES (?, ?)", rows)
        elif not {"about", "points"} <= known:
            raise ResumeError(f"{self.path}: is no file of a sweep, expected one that a sweep has written")
        else:
            self._check(dict(self._file.execute("SELECT key, value FROM about")), wanted)
            self.known = dict(self._file.execute("SELECT number, digest FROM points"))
        self._file.execute("COMMIT")

    def _check(self, written: Mapping[str, str], wanted: Mapping[str, Any]) -> None:
        for key, value in wanted.items():
            now = json.dumps(value)
            if written.get(key) != now:
                then = shown(json.loads(written.get(key, "null")))
                values = (
                    ""
                    if len(now) > 80 or "digest" in key or "content" in key
                    else f" ({then} then, {shown(value)} now)"
                )
                raise ResumeError(
                    f"{self.path}: has results of another sweep: {key} differs{values}; "
                    "give another --output, or delete the file to begin again"
                )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OutputError(
                    f"{self.path}: another sweep is writing to this file; wait until it ends, or give another --output"
                ) from error
            raise OutputError(f"{self.path}: cannot be used as the file of a sweep: {error}") from error

    def is_known(self, number: int, digest: bytes) -> bool:
        """Whether the point has a result.  Raises :class:`ResumeError` if that is the result of another network."""
        found = self.known.get(number)
        if found is None or found == digest:
            return found is not None
        raise ResumeError(
            f"{self.path}: has another network as point {number}; a source must give the same networks in each run "
            "(random ones from a fixed seed): give another --output, or delete the file to begin again"
        )

    def add(self, row: Row) -> None:
        """Write a result with the next commit.  Raises :class:`OutputError`."""
        self._waiting.append(row)
        if len(self._waiting) >= COMMITTED_ROWS or time.monotonic() - self._committed > COMMITTED_EVERY:
            self.commit()

    def commit(self) -> None:
        """Write the results that wait.  Raises :class:`OutputError`."""
        rows = [(r.number, r.digest, r.target, r.values, r.kwargs, r.status, r.error, r.figures) for r in self._waiting]
        with self._errors():
            if self._file.in_transaction:  # a signal interrupted an earlier commit
                self._file.execute("ROLLBACK")
            if rows:
                self._file.execute("BEGIN")
                # An interrupted commit may have been complete: the same rows are written again.
                self._file.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
                self._file.execute("COMMIT")
        self._waiting.clear()
        self._committed = time.monotonic()

    def rows(self) -> Iterator[Row]:
        """Every committed result, in the order of the points' numbers."""
        with self._errors():
            for row in self._file.execute("SELECT * FROM points ORDER BY number"):
                yield Row(*row)

    def counts(self) -> tuple[int, int]:
        """The number of results, and how many of them are errors."""
        with self._errors():
            found = self._file.execute("SELECT count(*), coalesce(sum(status = 'failed'), 0) FROM points").fetchone()
        return int(found[0]), int(found[1])

    def number(self, status: str) -> int:
        """The number of results with this status."""
        with self._errors():
            found = self._file.execute("SELECT count(*) FROM points WHERE status = ?", (status,)).fetchone()
        return int(found[0])

    def figures(self) -> Iterable[str]:
        """The figures of every result, in no order."""
        return (figures for (figures,) in self._file.execute("SELECT figures FROM points WHERE figures != ''"))

    def close(self) -> None:
        """Commit what waits, and give the file free; a new file without results is removed."""
        empty = False
        try:
            if self._waiting:
                self.commit()
            empty = not self.counts()[0]
        finally:
            self._file.close()
        if empty and self._is_new and self.path is not None:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
