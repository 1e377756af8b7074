"""Config files: a YAML file → a validated, frozen :class:`Config`, or one line that says what is wrong and where.

Nothing here imports torch: dtypes are names and targets are text, which are resolved later.
"""

from profiler.config.inputs import DTYPES, INTEGER_DTYPES, InputsFrom, InputsOfCall, InputSpec, InputValue
from profiler.config.reading import load_config, quick_config, with_options, with_sizes
from profiler.config.schema import DEFAULT_COUNTERS, OPTIMIZERS, Config, DottedName, ModelSection

__all__ = [
    "DEFAULT_COUNTERS",
    "DTYPES",
    "INTEGER_DTYPES",
    "OPTIMIZERS",
    "Config",
    "DottedName",
    "InputSpec",
    "InputValue",
    "InputsFrom",
    "InputsOfCall",
    "ModelSection",
    "load_config",
    "quick_config",
    "with_options",
    "with_sizes",
]
