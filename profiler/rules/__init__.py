"""The rules of operations, one module per family; importing this package fills the registry.

Gradients are in ``backward/``, under the names of their families; other storage layouts are in ``layouts/``.  Code that
several families share is in ``costs.py`` and ``terms.py``.  The modules can be imported in any order.
"""

import importlib
import pkgutil

from profiler.rules.registry import REGISTRY, Entry, Registry, free, rule, rules_replaced

for _family in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_family.name)

__all__ = ["REGISTRY", "Entry", "Registry", "free", "rule", "rules_replaced"]
