"""``with profiler.record() as recording:`` — code as it stands, recorded while it runs → a :class:`Profile`."""

from __future__ import annotations

from types import TracebackType

from profiler.calls import mode_of
from profiler.environment import environment
from profiler.errors import ProfilerError
from profiler.files import NAME_EXPECTED, is_folder_name
from profiler.pricing import price
from profiler.profiles import Profile
from profiler.records import Recording
from profiler.rules import REGISTRY
from profiler.tracing.live import LiveRun

TARGET = "recorded code"


class CodeRecording:
    """Records what torch does between entering and leaving it, once; see :func:`record`."""

    def __init__(self) -> None:
        self._rules = REGISTRY.seen_from_here()
        self._run: LiveRun | None = None
        self._recording: Recording | None = None

    def __enter__(self) -> CodeRecording:
        if self._run is not None or self._recording is not None:
            raise ProfilerError("record: this recording was started before; make a new one: profiler.record()")
        self._run = LiveRun(self._rules)
        self._run.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._run is not None:
            self._recording, self._run = self._run.stop(), None

    def profile(self, name: str = "recording") -> Profile:
        """What the code cost, by the rules that were registered when it was recorded.

        Its mode is ``"training"`` where a backward pass ran.  Raises :class:`~profiler.errors.ProfilerError` before the
        code is through, and where it ran no operation of torch.
        """
        if not is_folder_name(name):
            raise ProfilerError(f"name: found {name[:60]!r}, expected {NAME_EXPECTED}")
        if self._recording is None:
            raise ProfilerError("record: the code is still running; call profile() after the with block")
        if not self._recording.events:
            raise ProfilerError("record: the code ran no operation of torch, expected some inside the with block")
        trace = price(self._recording, self._rules)
        return Profile(name, TARGET, mode_of(trace), trace, environment())


def record() -> CodeRecording:
    """A context that records code while it runs, on its own objects and devices, and changes nothing.

    ``with profiler.record() as recording: …`` and then ``recording.profile()``.  Outermost modules are named by their
    classes (``ResNet``, ``ResNet_2`` for a second one), and the modules that they hold by their names below them; all
    other code is the root.  The operations that run decide what belongs to the backward pass and to the optimizer's
    steps.  What was recorded before an error stays.
    """
    return CodeRecording()
