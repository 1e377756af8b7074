"""What one operation costs: importing this package fills the registry, one module a family.

Gradients are in ``backward/``, under the names of their families; what is stored in another way is in ``layouts/``.
What several families share is in ``costs.py`` and ``terms.py``.  No module has to be imported before another.
"""

import importlib
import pkgutil

from profiler.rules.registry import REGISTRY, Entry, Registry, free, rule, rules_replaced

for _family in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_family.name)

__all__ = ["REGISTRY", "Entry", "Registry", "free", "rule", "rules_replaced"]
