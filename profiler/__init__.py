"""Static FLOP and parameter profiler for PyTorch: what a network costs, where, and why the number is right.

    import profiler
    profile = profiler.profile(model, torch.empty(1, 3, 224, 224, device="meta"))
    print(profile.total.macs, profile.parameters_total)
    profile.layers  # a pandas data frame

Functions that need torch import it when they are first used; reading and comparing saved profiles does not need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiler.analysis.comparison import compare
    from profiler.analysis.diffing import Diff, DiffRow, diff
    from profiler.api import crosscheck, generation, profile, profile_config
    from profiler.config import Config, load_config, with_sizes
    from profiler.crosschecks.tables import unexplained
    from profiler.deriving import formula
    from profiler.errors import (
        ClusterError,
        ConfigError,
        DataDependentError,
        NeedsDataError,
        OutputError,
        ProfilerError,
        ResumeError,
        RuleError,
        StoredProfileError,
        TargetError,
        TraceError,
        UncountedError,
    )
    from profiler.formulas import Formula, FormulaError
    from profiler.generations import Generation
    from profiler.memory import MemoryRecord
    from profiler.models.torchvision_ops import import_torchvision
    from profiler.opcount import OpCount, Term, contraction, each
    from profiler.pictures import plot
    from profiler.profiles import Profile, load_profile
    from profiler.recordings import CodeRecording, record
    from profiler.records import (
        Answer,
        CounterFigure,
        CounterRecord,
        Event,
        Excluded,
        ModuleRecord,
        OpCall,
        ParameterRecord,
        Trace,
        Unseen,
    )
    from profiler.rules import free, rule, rules_replaced
    from profiler.signatures import Signature, TensorSpec
    from profiler.sweeps.sweeping import sweep

_HOMES = {
    "Answer": "profiler.records",
    "ClusterError": "profiler.errors",
    "CodeRecording": "profiler.recordings",
    "Config": "profiler.config",
    "ConfigError": "profiler.errors",
    "CounterFigure": "profiler.records",
    "CounterRecord": "profiler.records",
    "DataDependentError": "profiler.errors",
    "Diff": "profiler.analysis.diffing",
    "DiffRow": "profiler.analysis.diffing",
    "Event": "profiler.records",
    "Formula": "profiler.formulas",
    "FormulaError": "profiler.formulas",
    "Generation": "profiler.generations",
    "formula": "profiler.deriving",
    "Excluded": "profiler.records",
    "MemoryRecord": "profiler.memory",
    "ModuleRecord": "profiler.records",
    "NeedsDataError": "profiler.errors",
    "OpCall": "profiler.records",
    "OpCount": "profiler.opcount",
    "OutputError": "profiler.errors",
    "ParameterRecord": "profiler.records",
    "Profile": "profiler.profiles",
    "ProfilerError": "profiler.errors",
    "ResumeError": "profiler.errors",
    "RuleError": "profiler.errors",
    "Signature": "profiler.signatures",
    "StoredProfileError": "profiler.errors",
    "TargetError": "profiler.errors",
    "TensorSpec": "profiler.signatures",
    "Term": "profiler.opcount",
    "Trace": "profiler.records",
    "TraceError": "profiler.errors",
    "UncountedError": "profiler.errors",
    "Unseen": "profiler.records",
    "compare": "profiler.analysis.comparison",
    "contraction": "profiler.opcount",
    "crosscheck": "profiler.api",
    "diff": "profiler.analysis.diffing",
    "each": "profiler.opcount",
    "free": "profiler.rules",
    "generation": "profiler.api",
    "import_torchvision": "profiler.models.torchvision_ops",
    "load_config": "profiler.config",
    "load_profile": "profiler.profiles",
    "plot": "profiler.pictures",
    "profile": "profiler.api",
    "profile_config": "profiler.api",
    "record": "profiler.recordings",
    "rule": "profiler.rules",
    "rules_replaced": "profiler.rules",
    "sweep": "profiler.sweeps.sweeping",
    "unexplained": "profiler.crosschecks.tables",
    "with_sizes": "profiler.config",
}

__all__ = [
    "Answer",
    "ClusterError",
    "CodeRecording",
    "Config",
    "ConfigError",
    "CounterFigure",
    "CounterRecord",
    "DataDependentError",
    "Diff",
    "DiffRow",
    "Event",
    "Excluded",
    "Formula",
    "FormulaError",
    "Generation",
    "MemoryRecord",
    "ModuleRecord",
    "NeedsDataError",
    "OpCall",
    "OpCount",
    "OutputError",
    "ParameterRecord",
    "Profile",
    "ProfilerError",
    "ResumeError",
    "RuleError",
    "Signature",
    "StoredProfileError",
    "TargetError",
    "TensorSpec",
    "Term",
    "Trace",
    "TraceError",
    "UncountedError",
    "Unseen",
    "compare",
    "contraction",
    "crosscheck",
    "diff",
    "each",
    "formula",
    "free",
    "generation",
    "import_torchvision",
    "load_config",
    "load_profile",
    "plot",
    "profile",
    "profile_config",
    "record",
    "rule",
    "rules_replaced",
    "sweep",
    "unexplained",
    "with_sizes",
]


_SUBPACKAGES = ("rewrites", "testing")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
