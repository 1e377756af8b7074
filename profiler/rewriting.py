"""A config with rewrites → profiles before and after, what changed, and whether the networks are equivalent."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.api import profile_config
from profiler.config import Config
from profiler.errors import ConfigError
from profiler.models.large_weights import LargeWeightsInFiles
from profiler.profiles import Profile
from profiler.rewrites import Equivalence, Rewritten, apply_rewrites, check_equivalence, imitate_training
from profiler.subjects import configured


@dataclass(frozen=True, slots=True)
class Rewriting:
    """The effect of a config's rewrites on its network."""

    before: Profile
    after: Profile
    steps: tuple[Rewritten, ...]
    equivalence: Equivalence

    def findings(self) -> tuple[str, ...]:
        """What each rewrite changed, and whether the network still computes the same function."""
        done = [f"{step.rewrite}: {_plural(len(step.changes), 'module')} changed." for step in self.steps]
        return (*done, self.verdict())

    def statements(self) -> tuple[str, ...]:
        """The findings without measured differences, which depend on the machine that runs the networks."""
        found = self.equivalence
        word = "within" if found.passed else "not within"
        measure = found.measure.replace("_", " ")
        return (*self.findings()[:-1], f"The {measure} difference in {found.dtype} is {word} {found.tolerance:.3g}.")

    def verdict(self) -> str:
        """Whether the two networks agree, how much they differ, and how much is allowed."""
        found = self.equivalence
        measure = found.measure.replace("_", " ")
        word = "Equivalent" if found.passed else "Not equivalent"
        return (
            f"{word} in {found.dtype}: {measure} difference {found.difference:.3g}, allowed {found.tolerance:.3g} "
            f"(largest absolute {found.largest_absolute:.3g} at outputs up to {found.largest_output:.3g}; "
            f"{found.values:,} values compared)."
        )

    def reasons_left(self) -> tuple[str, ...]:
        """Why modules were not changed, grouped by reason."""
        reasons: dict[str, list[str]] = {}
        for step in self.steps:
            for left in step.left:
                reasons.setdefault(f"{left.type}: {left.reason}", []).append(left.module)
        return tuple(
            f"{_plural(len(names), reason)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            for reason, names in reasons.items()
        )


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 or ":" in noun else f"{number} {noun}s"


def rewrite_config(config: Config) -> Rewriting:
    """Profile the network of ``config`` before and after its rewrites, and compare both on real tensors.

    The real network has seeded random weights, and batch norms like a trained network's.  Raises
    :class:`~profiler.errors.ConfigError` if the config has no rewrites, and the errors of ``profile_config``.
    """
    if not config.rewrites:
        raise ConfigError(f"{config.path or config.name}: rewrites: missing, expected a list such as [fold_batchnorm]")
    plain = config.model_copy(update={"rewrites": ()})
    after = config.model_copy(update={"name": f"{config.name}, rewritten"})
    wanted = config.equivalence
    with LargeWeightsInFiles():
        model, inputs = configured(plain).real(True)
        model = imitate_training(model.eval(), inputs)
        steps = apply_rewrites(model, config.rewrites, inputs)
        found = check_equivalence(model, steps[-1].model, inputs, wanted.tolerance, measure=wanted.measure)
    return Rewriting(
        before=profile_config(plain, crosscheck=False),
        after=profile_config(after, crosscheck=False),
        steps=steps,
        equivalence=found,
    )
