"""What one operation costs: importing this package fills the registry, one module a family."""

import importlib
import pkgutil

from profiler.rules.registry import REGISTRY, Entry, Registry, free, rule, rules_replaced

for _family in sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "registry"):
    importlib.import_module(f"{__name__}.{_family}")

__all__ = ["REGISTRY", "Entry", "Registry", "free", "rule", "rules_replaced"]
