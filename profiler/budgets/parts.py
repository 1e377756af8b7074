"""Parts of a network that a budget can limit: the whole, the modules of a pattern, or a kind of work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from profiler.budgets.model import Layer
from profiler.config.budget import HEADLINE, OF_MEMORY
from profiler.conventions import find_convention
from profiler.errors import ConfigError, did_you_mean
from profiler.limits import Certainty
from profiler.measures import Measure, find_measure
from profiler.profiles import Profile
from profiler.records import ROOT, ParameterRecord
from profiler.tabulate import Group, gathered

TRAINABLE = "trainable"
"""The figure that is no measure: the number of parameters that require a gradient."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some calls and parameters of a network, each once; ``partial`` if some of its work is not counted.

    What is not counted is in the modules ``names``, or anywhere in the network if they are missing.
    """

    profile: Profile
    group: Group
    partial: bool
    names: frozenset[str] | None = None

    def figure(self, name: str) -> int:
        """The figure of that name of everything in the part."""
        return _figure(self.profile, name, self.group)

    def certainty(self, name: str) -> Certainty:
        """Parameters are always known; counts of a partial part are lower bounds."""
        return "at least" if self.partial and _of_calls(self.profile, name) else "exact"

    def layers(self, name: str) -> list[Layer]:
        """The layers that have some of the figure, the costliest first."""
        if name in OF_MEMORY:
            rows = self.profile.with_memory().tabulated("peak").records()
            made = {row["storage"]: 0 for row in rows}
            for row in rows:
                made[row["storage"]] += row["at_peak_bytes"]
            found = [Layer(storage, "", size) for storage, size in made.items()]
            return sorted(found, key=lambda layer: -layer.figure)
        types = {record.name: record.type for record in self.profile.trace.modules}
        calls = gathered(self.group.tallies, lambda call: call.module)
        held: dict[str, list[ParameterRecord]] = {}
        for record in self.group.parameters:
            held.setdefault(record.module, []).append(record)
        groups = {
            module: Group(tallies=calls[module].tallies if module in calls else (), parameters=held.get(module, ()))
            for module in dict.fromkeys((*calls, *held))
        }
        layers = [
            Layer(module or ROOT, types.get(module, ""), _figure(self.profile, name, group))
            for module, group in groups.items()
        ]
        return sorted((layer for layer in layers if layer.figure), key=lambda layer: -layer.figure)

    def uncounted(self) -> list[Layer]:
        """What is not counted: each operation of each layer with its number of calls, and unseen work."""
        found: dict[tuple[str, str, str], int] = {}
        for tally in self.profile.work.tallies:
            call = tally.call
            if call.status == "uncounted" and self._has(call.module):
                key = (call.module or ROOT, call.op, call.reason or "it has no rule")
                found[key] = found.get(key, 0) + tally.times
        for item in self.profile.trace.unseen:
            if self._has(item.module):
                found[item.module or ROOT, "", item.reason] = 1
        return [Layer(module, op, times, reason=reason) for (module, op, reason), times in found.items()]

    def _has(self, module: str) -> bool:
        return self.names is None or module in self.names


def measure_of(profile: Profile, name: str) -> Measure:
    """The measure of that name; that of the profile's convention for the headline."""
    return find_convention(profile.convention).measure if name == HEADLINE else find_measure(name)


def heading(profile: Profile, name: str) -> str:
    """The name of a figure in a sentence."""
    if name in OF_MEMORY:
        return "peak activations in bytes" if name == "peak_activation_bytes" else "memory needed in bytes"
    return "trainable parameters" if name == TRAINABLE else measure_of(profile, name).heading


def _of_calls(profile: Profile, name: str) -> bool:
    return name not in (TRAINABLE, *OF_MEMORY) and measure_of(profile, name).figure is not None


def _figure(profile: Profile, name: str, group: Group) -> int:
    if name in OF_MEMORY:
        return profile.peak_activation_bytes if name == "peak_activation_bytes" else profile.memory_needed
    if name == TRAINABLE:
        return sum(record.size for record in group.parameters if record.trainable and not record.buffer)
    return profile.work.figures.sum(measure_of(profile, name), group)


def whole(profile: Profile) -> Part:
    """The whole network."""
    return Part(profile, profile.work.whole, not profile.complete)


def matching_modules(profile: Profile, pattern: str, place: str) -> Part:
    """The modules whose names match ``pattern``, with everything below them, each operation and parameter once.

    A shared parameter belongs to the first module that holds it, as in the table of modules.  Raises
    :class:`ConfigError` if no module matches; ``place`` says where the pattern was found.
    """
    names = [record.name for record in profile.trace.modules if record.name]
    matched = {name for name in names if fnmatchcase(name, pattern)}
    if not matched:
        hint = did_you_mean(pattern.replace("*", "").replace("?", ""), names)
        raise ConfigError(f"{place}: matches no module of {profile.name}{hint}")
    groups = {name: group for name, group in profile.work.by_module.items() if _is_below(name, matched)}
    partial = any(map(profile.work.figures.partial, groups.values()))
    return Part(profile, _together(groups.values()), partial, frozenset(groups))


def of_kind(profile: Profile, kind: str) -> Part:
    """The work of that kind, and the parameters that it uses."""
    tallies = [tally for tally in profile.work.tallies if tally.call.kind == kind]
    parameters = [record for record in profile.trace.parameters if record.use == kind and not record.buffer]
    return Part(profile, Group(tallies=tallies, parameters=parameters), not profile.complete)


def _is_below(name: str, matched: set[str]) -> bool:
    while name:
        if name in matched:
            return True
        name = name.rpartition(".")[0]
    return False


def _together(groups: Iterable[Group]) -> Group:
    groups = list(groups)
    return Group(
        tallies=[tally for group in groups for tally in group.tallies],
        parameters=[record for group in groups for record in group.parameters],
    )
