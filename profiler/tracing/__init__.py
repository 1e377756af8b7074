"""Running a network on the meta device and recording what it does.  Nothing else here intercepts torch."""

from profiler.tracing.calls import Inputs, call_arguments
from profiler.tracing.running import trace, trace_for_real

__all__ = ["Inputs", "call_arguments", "trace", "trace_for_real"]
