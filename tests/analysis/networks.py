"""Random trees of modules with work and parameters, and changes to networks, for tests of comparisons."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from profiler.profiles import Profile
from tests.sample_profiles import Network

NAMES = ("a", "b", "layer.0", "layer.1", "layer.1.x", "backbone", "backbone.a", "backbone.layer.0", "head")


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """A profile with at most eight layers of several types below several parents; some of their work is unknown.

    Some parameters are never read, some layers never run, some work is in no module, and some modules are excluded.
    """
    net = Network(
        draw(st.sampled_from(["one", "other"])), (1, 2), mode=draw(st.sampled_from(["inference", "training"]))
    )
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8))
    for name in names:
        kind = draw(st.sampled_from(["linear", "relu", "dropout", "uncounted", "idle"]))
        if kind == "linear":
            net.linear(name, draw(st.integers(1, 3)))
        elif kind == "uncounted":
            net.uncounted(name, "mylib::odd")
        elif kind == "idle":
            net.idle(name, draw(st.sampled_from([None, (2, 2)])))
        else:
            getattr(net, kind)(name)
    net.linear("", 2)
    made = net.profile()
    if draw(st.booleans()) and "head" in names:
        made = made.excluding("head")
    return made


def retyped(profile: Profile, **types: str) -> Profile:
    """The profile with other types of the modules of these names; ``root`` is the network itself."""
    names = {"" if name == "root" else name: type for name, type in types.items()}
    modules = tuple(replace(record, type=names.get(record.name, record.type)) for record in profile.trace.modules)
    return replace(profile, trace=replace(profile.trace, modules=modules))
