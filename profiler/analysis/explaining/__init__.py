"""A profile → why it costs what it costs, derived as in an exercise: a whole network, a layer, or an operation."""

from __future__ import annotations

from profiler.analysis.explaining.document import FORMATS, Explanation
from profiler.analysis.explaining.finding import find
from profiler.analysis.explaining.layers import explain_layer
from profiler.analysis.explaining.networks import explain_network
from profiler.analysis.explaining.selections import explain_selection
from profiler.profiles import Profile

__all__ = ["FORMATS", "Explanation", "explain"]


def explain(profile: Profile, name: str | None = None) -> Explanation:
    """The explanation of a network, or of the layer, operator or kind of work of that name.

    ``name`` is a fully qualified name (``features.0``), the end of one, a pattern (``layer1.*``), an operator
    (``conv2d``, ``aten::addmm``) or a kind (``norm``).  Every number is that of the profile's tables.  Raises
    :class:`~profiler.errors.ProfilerError` for a name that means nothing, or several layers.
    """
    if name is None:
        return explain_network(profile)
    found = find(profile, name)
    if found.what == "module":
        return explain_layer(profile, found.names[0])
    return explain_selection(profile, name, found)
