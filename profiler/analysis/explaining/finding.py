"""A name as people write it → the modules, or the operations, that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from profiler.errors import ProfilerError, did_you_mean, shown
from profiler.profiles import Profile
from profiler.records import KINDS, ROOT


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means: ``modules`` by their fully qualified names, operators, or a kind of work."""

    what: Literal["module", "modules", "operator", "kind"]
    names: tuple[str, ...]


def find(profile: Profile, name: str) -> Found:
    """The meaning of ``name`` in a profile.

    In this order: a module by its fully qualified name, by the end of its name if only one module's name ends so, an
    operator with or without its namespace, a kind of work, modules by a pattern (as in ``fnmatch``).  Raises
    :class:`~profiler.errors.ProfilerError` for a name that means nothing, or several modules.
    """
    modules = _modules(profile)
    if name in modules:
        return Found("module", (name,))
    if name == ROOT and "" in modules:
        return Found("module", ("",))
    ends = [module for module in modules if module.endswith(f".{name}")]
    if len(ends) == 1:
        return Found("module", (ends[0],))
    operators = _operators(profile)
    matching = tuple(op for op in operators if name.removesuffix("_") in _short(op))
    if matching:
        return Found("operator", matching)
    kinds = {tally.call.kind for tally in profile.work.tallies}
    if name in kinds:
        return Found("kind", (name,))
    if any(sign in name for sign in "*?["):
        patterned = tuple(module for module in modules if module and fnmatchcase(module, name))
        if patterned:
            return Found("modules", patterned)
    raise ProfilerError(_unknown(name, ends, modules, operators, [kind for kind in KINDS if kind in kinds]))


def _short(op: str) -> tuple[str, str]:
    """An operator with and without its namespace; one that works in place has the name of the other."""
    op = op.removesuffix("_")
    return op, op.rpartition("::")[2]


def _modules(profile: Profile) -> list[str]:
    """The modules of the network, also those that its records do not list but that ran operations."""
    listed = [record.name for record in profile.trace.modules]
    return list(dict.fromkeys([*listed, *(tally.call.module for tally in profile.work.tallies)]))


def _operators(profile: Profile) -> list[str]:
    return list(dict.fromkeys(tally.call.op for tally in profile.work.tallies))


def _unknown(name: str, ends: Sequence[str], modules: Sequence[str], ops: Sequence[str], kinds: Sequence[str]) -> str:
    """The message about a name that means nothing, or too much."""
    if ends:
        several = ", ".join(map(shown, ends[:3])) + (", …" if len(ends) > 3 else "")
        pattern = shown(f"*.{name}")
        return (
            f"explain: the names of {len(ends)} modules end in {shown(name)} ({several}); "
            f"give more of the name, or {pattern} for all of them"
        )
    last_parts = [module.rpartition(".")[2] for module in modules]
    known = [*modules, *last_parts, *ops, *(_short(op)[1] for op in ops), *kinds]
    hint = did_you_mean(name, (word for word in known if word)) or f"; kinds of work here: {', '.join(kinds)}"
    return f"explain: {shown(name)} is no module, operator or kind of work of this network{_shown_hint(hint)}"


def _shown_hint(hint: str) -> str:
    return " ".join(hint.split()) if hint.startswith(";") else hint
