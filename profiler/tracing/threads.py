"""Work that a forward gives to other threads is recorded too.

Hooks, modes and grad mode belong to one thread.  While a network is traced, a thread that a traced thread starts, and
work that it submits to a thread pool, get their own modes, which write to the same records.  So does a module of the
network that is called in any other thread.  Unrelated threads are not traced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.pool import Pool, ThreadPool
from multiprocessing.process import BaseProcess
from typing import Any, cast

import torch

from profiler.errors import FOREIGN_ERRORS
from profiler.tracing import symbols
from profiler.tracing.failures import caused_by_missing_data
from profiler.tracing.functions import FunctionWatcher
from profiler.tracing.noted import Noted
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope, Running
from profiler.tracing.unseen import GOES_ON, OTHER_PROCESS


class _Here(threading.local):
    """The run that traces this thread, if any, and whether it creates a pool, whose threads are not traced."""

    recorder: OpRecorder | None = None
    run: RunInThreads | None = None
    makes_pool: bool = False


_here = _Here()


class RunInThreads:
    """One run of a network, with all the threads that take part in it."""

    def __init__(self, scope: ModuleScope, recorder: OpRecorder, home: torch.device | None) -> None:
        self._scope = scope
        self._recorders = [recorder]
        self._home = home
        self._is_over = False
        self._going_on: list[str] = []
        self._raised: list[tuple[BaseException, OpRecorder]] = []

    @property
    def calls(self) -> list[Noted]:
        """The recorded calls of all threads, one thread after the other."""
        return [call for recorder in self._recorders for call in recorder.calls]

    def lacked_data(self) -> bool:
        """Whether work in another thread failed because the meta device could not do it."""
        return any(_lacks_data(error, recorder) for error, recorder in self._raised)

    def met_lack_of_data(self) -> bool:
        """Whether anything in another thread failed for that reason, even if the exception was caught there."""
        failures = [(other.failure.error, other) for other in self._recorders[1:] if other.failure is not None]
        return any(_lacks_data(error, recorder) for error, recorder in (*self._raised, *failures))

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Within it, this thread is the first of the run, and other threads are recorded."""
        with _patched(), self._as_this_thread(self._recorders[0]):
            self._scope.in_thread = self.in_this_thread
            try:
                yield
            finally:
                self._is_over = True
                for module in self._going_on:
                    self._recorders[0].unseen.note(module, GOES_ON)
                self._scope.in_thread = None
                for recorder in self._recorders[1:]:
                    recorder.close()

    def note_process(self) -> None:
        """Record that the running module gives work to another process."""
        self._recorders[0].unseen.note(self._scope.current[0], OTHER_PROCESS)

    def following(self, function: Callable[..., Any], *, quietly: bool = False) -> Callable[..., Any]:
        """``function``, recorded as if it were called here, in any thread that calls it.

        If it fails because data is missing, which does not happen in a real run, ``quietly`` suppresses the exception.
        """
        module = self._scope.current[0]
        recorder = cast(OpRecorder, _here.recorder)
        stack, kind = list(self._scope.stack), recorder.kind_within

        def followed(*args: Any, **kwargs: Any) -> Any:
            if _here.run is self or self._is_over:
                return function(*args, **kwargs)
            self._going_on.append(module)
            with self._recording(recorder, stack, kind) as own:
                try:
                    return function(*args, **kwargs)
                except FOREIGN_ERRORS as error:
                    self._raised.append((error, own))
                    if not (quietly and _lacks_data(error, own)):
                        raise
                    return None
                finally:
                    self._going_on.remove(module)

        return followed

    def includes_this_thread(self) -> bool:
        """Whether the running thread takes part in the run."""
        return _here.run is self

    def in_this_thread(self) -> AbstractContextManager[None] | None:
        """Within it, this thread, which may not belong to the run, calls a module; None if there is nothing to do."""
        return None if _here.run is self or self._is_over else self._taken_in()

    @contextmanager
    def _taken_in(self) -> Iterator[None]:
        with self._recording(self._recorders[0], None, None) as own:
            try:
                yield
            except FOREIGN_ERRORS as error:
                self._raised.append((error, own))
                raise

    @contextmanager
    def _recording(
        self, source: OpRecorder, stack: list[Running] | None, kind_within: str | None
    ) -> Iterator[OpRecorder]:
        own = source.in_other_thread(kind_within)
        self._recorders.append(own)
        watcher = FunctionWatcher(own, self._home)
        with self._scope.stack_of_thread(stack), self._as_this_thread(own), own.autograd, watcher, own:
            yield own

    @contextmanager
    def _as_this_thread(self, recorder: OpRecorder) -> Iterator[None]:
        before = _here.recorder, _here.run
        _here.recorder, _here.run = recorder, self
        try:
            with symbols.in_this_thread(recorder.symbolic):
                yield
        finally:
            _here.recorder, _here.run = before


def _lacks_data(error: BaseException, recorder: OpRecorder) -> bool:
    return not recorder.as_called and caused_by_missing_data(error, recorder.failure, recorder.function_failure)


def _follows_now() -> RunInThreads | None:
    """The run that newly submitted work belongs to; None within an operation, whose rule covers its work."""
    recorder = _here.recorder
    return None if recorder is None or recorder.muted or recorder.autograd.held else _here.run


def _followed(function: Any) -> Any:
    run = _follows_now()
    return function if run is None else run.following(function)


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(thread: threading.Thread) -> Any:
        run = None if _here.makes_pool else _follows_now()
        if run is not None:
            work = run.following(thread.run, quietly=True)

            def once() -> None:
                vars(thread).pop("run", None)
                work()

            vars(thread)["run"] = once
        return original(thread)

    return start


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces the submit method of a thread pool: the submitted function is traced, not the threads of the pool."""

    def submit(pool: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        with _making_pool():
            return original(pool, _followed(function), *args, **kwargs)

    return submit


def _submit_to_threads(original: Callable[..., Any]) -> Callable[..., Any]:
    """The same for pools of ``multiprocessing``, which may be of threads or of processes."""

    def submit(pool: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(pool, ThreadPool):
            func = _followed(func)
        else:
            _note_process()
        return original(pool, func, *args, **kwargs)

    return submit


def _make_pool(original: Callable[..., Any]) -> Callable[..., Any]:
    def make(pool: Any, *args: Any, **kwargs: Any) -> Any:
        with _making_pool():
            return original(pool, *args, **kwargs)

    return make


def _start_process(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces a method that gives work to another process or starts one, whose work cannot be seen."""

    def start(process: Any, *args: Any, **kwargs: Any) -> Any:
        _note_process()
        return original(process, *args, **kwargs)

    return start


def _note_process() -> None:
    run = _follows_now()
    if run is not None:
        run.note_process()


@contextmanager
def _making_pool() -> Iterator[None]:
    before, _here.makes_pool = _here.makes_pool, True
    try:
        yield
    finally:
        _here.makes_pool = before


_PATCHES: tuple[tuple[type, str, Callable[[Callable[..., Any]], Callable[..., Any]]], ...] = (
    (threading.Thread, "start", _start),
    (ThreadPoolExecutor, "submit", _submit),
    (ProcessPoolExecutor, "submit", _start_process),
    (BaseProcess, "start", _start_process),
    (Pool, "__init__", _make_pool),
    (Pool, "apply_async", _submit_to_threads),
    (Pool, "_map_async", _submit_to_threads),
    (Pool, "imap", _submit_to_threads),
    (Pool, "imap_unordered", _submit_to_threads),
)
"""The methods by which Python starts threads and gives them work, each with its replacement in a trace."""

_LOCK = threading.Lock()
_runs = 0
_originals: dict[tuple[type, str], Any] = {}


@contextmanager
def _patched() -> Iterator[None]:
    """The methods are global for all threads: they are restored when the last trace ends."""
    global _runs
    with _LOCK:
        if not _runs:
            for owner, name, replacement in _PATCHES:
                _originals[owner, name] = vars(owner)[name]
                setattr(owner, name, replacement(_originals[owner, name]))
        _runs += 1
    try:
        yield
    finally:
        with _LOCK:
            _runs -= 1
            if not _runs:
                for (owner, name), original in _originals.items():
                    setattr(owner, name, original)
                _originals.clear()
