"""The reasons why another counter's figure is not our MACs: those that several counters share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with its ``code``. ``text`` follows the counter's name; ``{0}`` in it is what the part is about."""

    code: str
    meaning: str
    text: str


NO_RULE = Reason("no-rule", "It met the operation and has no rule for it: it counts nothing.", "has no rule for {0}")
FUSED = Reason(
    "fused",
    "A fused kernel did the work of a module and of all below it in one operation, which it has no rule for.",
    "has no rule for {0}, which does all of it in one kernel",
)
DEAD_CODE = Reason(
    "dead-code",
    "The module is not in its graph: its result is not used, or it was not seen to run.",
    "dropped it as dead code or did not see it run",
)
DEAD_CALL = Reason(
    "dead-call",
    "Some calls are not in its graph, since their results are not used.",
    "dropped {0} as dead code",
)
NO_HOOK = Reason(
    "no-hook",
    "It hooks modules of certain exact types, and this is not one of them (a subclass is not either): it sees "
    "neither the module nor the functions and operators that its forward calls.",
    "has no hook for {0}",
)
NOT_PATCHED = Reason(
    "not-patched",
    "It patches functions of torch, and the work was called in another way: as an operator (@), as a "
    "function that is not patched, or that was imported before it was.",
    "does not patch what called {0}",
)
BELOW = Reason(
    "below",
    "It counts the parent module by its own rule and leaves out the modules below it.",
    "leaves out what is below a module of type {0}, which it has a hook for",
)
BIAS = Reason("bias", "It counts the addition of a bias as a multiply–accumulate.", "counts the bias")
NORM = Reason("norm", "It counts a normalization as multiply–accumulates.", "counts {0}")
POOL = Reason("pool", "It counts pooling as multiply–accumulates.", "counts {0}")
ACTIVATION = Reason("activation", "It counts an activation function as multiply–accumulates.", "counts {0}")
SOFTMAX = Reason("softmax", "It counts softmax as multiply–accumulates.", "counts {0}")
RESAMPLE = Reason("resample", "It counts resampling as multiply–accumulates.", "counts {0}")
ELEMENTWISE = Reason("elementwise", "It counts elementwise work as multiply–accumulates.", "counts {0}")
TRANSPOSED = Reason(
    "transposed",
    "It counts a transposed convolution at the positions of its result, not of its input.",
    "counts a transposed convolution at the positions of its result",
)
UNBATCHED = Reason(
    "unbatched",
    "It treats the first dimension as the batch and the second as the channels, and there is no batch.",
    "reads the dimensions of an input without a batch as if it had one",
)
BROADCAST = Reason(
    "broadcast",
    "It multiplies the first operand's size by the last one of the second: broadcasting is left out.",
    "multiplies the first operand's size by the last one, not broadcast",
)
NO_SUM = Reason(
    "no-sum",
    "It counts the products of an einsum or a matrix product that sums nothing.",
    "counts products without a sum",
)
COMPLEX = Reason(
    "complex",
    "It counts a complex product as one multiply–accumulate; it is four real ones.",
    "counts a complex product as one",
)
PROJECTION = Reason(
    "projection",
    "It leaves out the projection of an LSTM (proj_size), or uses the hidden size in its place.",
    "counts an LSTM's projection by another formula",
)
GATES = Reason(
    "gates",
    "It counts the elementwise work of recurrent gates as multiply–accumulates.",
    "counts the elementwise work of the gates",
)
HEADS = Reason(
    "heads",
    "Its formula for attention differs from the products that were run.",
    "counts attention by another formula",
)
PARENTS = Reason(
    "parents",
    "It counts a shared module for each of its parents, or hooks it once for each.",
    "counts a module once for each parent that holds it",
)

SHARED = tuple(value for value in tuple(vars().values()) if isinstance(value, Reason))
"""All shared reasons, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference: how much of it, its reason, and what the reason is about."""

    amount: int
    reason: Reason
    about: str = ""

    def text(self, counter: str) -> str:
        """The reason as text, without the amount."""
        return f"{counter} {self.reason.text.format(self.about)}"


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The sum of the parts of each reason, without sums of zero."""
    amounts: dict[tuple[Reason, str], int] = {}
    for part in parts:
        key = (part.reason, part.about)
        amounts[key] = amounts.get(key, 0) + part.amount
    return tuple(Part(amount, reason, about) for (reason, about), amount in amounts.items() if amount)
