"""Do the same work for several networks, in several processes at a time."""

from __future__ import annotations

import contextlib
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from profiler.errors import ProfilerError
from profiler.streams import ReaderGone

Item = TypeVar("Item")
Result = TypeVar("Result")


class JobsError(ProfilerError):
    """A process that ended before its work was done."""


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Generator[Result]:
    """``work(item)`` of each item, in the order of the items, ``jobs`` at a time in processes of their own.

    With one job or one item the work is done in this process.  ``work`` is a function of a module, and its items and
    results can be pickled.  An error is raised when it is the turn of its item, so that the first item that fails
    decides which error is raised, in any number of processes; all processes are then ended, as they are when this
    generator is closed.  Raises :class:`JobsError` if a process ends too early.
    """
    jobs = min(jobs, len(items))
    if jobs < 2:
        yield from map(work, items)
        return
    with contextlib.closing(_outcomes(work, items, jobs)) as outcomes:
        for outcome in outcomes:
            yield outcome.result()


def attempts(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Generator[Result | BaseException]:
    """The same, but an error takes the place of the result of its item, and the work goes on.

    If a process ends too early, the unfinished items are done one at a time until it is known which of them ends its
    process; that one's error is a :class:`JobsError`.
    """
    jobs = min(jobs, len(items))
    if jobs < 2:
        for item in items:
            yield _attempt(work, item)
        return
    left = list(items)
    while left:
        done = 0
        try:
            with contextlib.closing(_outcomes(work, left, jobs)) as outcomes:
                for outcome in outcomes:
                    done += 1
                    yield outcome.attempt()
        except JobsError:
            left = left[done:]
            died = False
            while left and not died:
                alone = _alone(work, left.pop(0), jobs)
                died = isinstance(alone, JobsError)
                yield alone
        else:
            return


def _attempt(work: Callable[[Item], Result], item: Item) -> Result | BaseException:
    """The result of the work in this process, or its error, unless it ends the command."""
    try:
        return work(item)
    except (KeyboardInterrupt, ReaderGone):
        raise
    except BaseException as error:
        return error


def _alone(work: Callable[[Item], Result], item: Item, jobs: int) -> Result | BaseException:
    """The same in another process while no other work is done."""
    try:
        with contextlib.closing(_outcomes(work, [item], jobs)) as outcomes:
            outcome: _Outcome = next(outcomes)
            found: Result | BaseException = outcome.attempt()
            return found
    except JobsError:
        return JobsError("its process ended before it was profiled, as it does if memory runs out")


def _outcomes(work: Callable[[Item], Any], items: Sequence[Item], jobs: int) -> Generator[_Outcome]:
    """The outcome of each item's work in another process; all processes are ended when this generator is closed."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    parallel = Parallel(
        jobs, "loky", return_as="generator", batch_size=1, max_nbytes=None, initializer=_leave_interrupts_to_the_parent
    )
    outcomes = parallel(delayed(_outcome)(work, item) for item in items)
    try:
        for outcome in outcomes:  # noqa: UP028 -- "yield from" would close them without the code below
            yield outcome
    except TerminatedWorkerError as error:
        raise JobsError(
            f"--jobs {jobs}: a process ended before its network was profiled, as it does if memory runs out; "
            "try fewer jobs"
        ) from error
    finally:
        with warnings.catch_warnings():  # joblib warns of results that nobody takes
            warnings.simplefilter("ignore")
            outcomes.close()


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of a terminal; the parent then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a process sends to its parent: a value, or an error as its class, its message and its traceback.

    The class of an error may be defined in the file of a network, which the parent does not import.  So only the
    profiler's own classes are sent; of others the parent gets the name, and whether they are ordinary exceptions.
    """

    value: Any = None
    error: type[ProfilerError] | str | None = None
    message: str = ""
    ordinary: bool = True
    trace: str = ""

    def attempt(self) -> Any:
        """The value, or the error."""
        try:
            return self.result()
        except BaseException as error:
            return error

    def result(self) -> Any:
        """The value; raises the error."""
        if self.error is None:
            return self.value
        if isinstance(self.error, str):
            raised = type(self.error, (Exception if self.ordinary else BaseException,), {})(self.message)
        else:
            raised = self.error(self.message)
        raise raised from _InAnotherProcess(self.trace)


class _InAnotherProcess(Exception):
    """Shows the traceback of an error in the process where it was raised."""

    def __init__(self, trace: str) -> None:
        super().__init__(f"in another process:\n{trace}")


def _outcome(work: Callable[[Any], Any], item: Any) -> _Outcome:
    try:
        return _Outcome(work(item))
    except ProfilerError as error:
        return _Outcome(error=type(error), message=str(error), trace=traceback.format_exc())
    except BaseException as error:
        name, ordinary = type(error).__name__, isinstance(error, Exception)
        return _Outcome(error=name, message=str(error), ordinary=ordinary, trace=traceback.format_exc())
