"""Config files: a YAML file → a validated, frozen :class:`Config`; whatever is wrong becomes one line that says where.

Nothing here imports torch: dtypes are names, targets are text, and what they stand for is found out later.
"""

from profiler.config.schema import (
    CONVENTIONS,
    COUNTERS,
    DEFAULT_COUNTERS,
    DTYPES,
    FORMATS,
    INTEGER_DTYPES,
    TABLES,
    VIEWS,
    CacheSection,
    Config,
    DottedName,
    EquivalenceSection,
    InputsFrom,
    InputsOfCall,
    InputSpec,
    InputValue,
    ModelSection,
    ReportSection,
    load_config,
    quick_config,
    with_options,
)

__all__ = [
    "CONVENTIONS",
    "COUNTERS",
    "DEFAULT_COUNTERS",
    "DTYPES",
    "FORMATS",
    "INTEGER_DTYPES",
    "TABLES",
    "VIEWS",
    "CacheSection",
    "Config",
    "DottedName",
    "EquivalenceSection",
    "InputSpec",
    "InputValue",
    "InputsFrom",
    "InputsOfCall",
    "ModelSection",
    "ReportSection",
    "load_config",
    "quick_config",
    "with_options",
]
