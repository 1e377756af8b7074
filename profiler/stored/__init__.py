"""Saved profiles: writing them, and reading them after complete validation."""

from profiler.stored.converting import write_trace
from profiler.stored.generation import write_generation
from profiler.stored.machines import write_device, write_energy_model
from profiler.stored.memory import write_memory
from profiler.stored.reading import SCHEMA, SCHEMA_VERSION, ProfileFields, read_profile

__all__ = [
    "SCHEMA",
    "SCHEMA_VERSION",
    "ProfileFields",
    "read_profile",
    "write_device",
    "write_energy_model",
    "write_generation",
    "write_memory",
    "write_trace",
]
