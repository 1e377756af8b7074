"""Running a network on the meta device and recording its operations.  No other package intercepts torch."""

from profiler.tracing.calls import Inputs, call_arguments
from profiler.tracing.running import record, record_for_real
from profiler.tracing.surroundings import unaffected_by_caller

__all__ = ["Inputs", "call_arguments", "record", "record_for_real", "unaffected_by_caller"]
