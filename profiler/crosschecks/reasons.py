"""The catalogue of reasons why another counter's figure is not our MACs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """``meaning`` for the catalogue; ``text`` follows the counter's name, with what is in hand for ``{0}``."""

    meaning: str
    text: str


REASONS: Mapping[str, Reason] = {
    "no-rule": Reason(
        "It met the operation and has no rule for it: it counts nothing.",
        "has no rule for {0}",
    ),
    "fused": Reason(
        "A fused kernel did the work of a module and of all below it in one operation, which it has no rule for.",
        "has no rule for {0}, which does all of it in one kernel",
    ),
    "dead-code": Reason(
        "The module is not in its graph: its result is not used, or it was not seen to run.",
        "dropped it as dead code or did not see it run",
    ),
    "dead-call": Reason(
        "Some calls are not in its graph, since their results are not used.",
        "dropped {0} as dead code",
    ),
    "no-hook": Reason(
        "It hooks modules of certain exact types, and this is none of them (a subclass is not): "
        "it sees neither the module nor the functions and operators that its forward calls.",
        "has no hook for {0}",
    ),
    "not-patched": Reason(
        "It patches functions of torch, and the work was called in another way: as an operator (@), "
        "as a function that is not patched, or that was imported before it was.",
        "does not patch what called {0}",
    ),
    "has-children": Reason(
        "It counts modules without children only.",
        "counts nothing of modules that have children",
    ),
    "no-parameters": Reason(
        "It multiplies parameters by sizes, and there are none in the products.",
        "counts nothing where no parameter is a factor",
    ),
    "below": Reason(
        "It counts the module above by a rule of its own and leaves out what is below it.",
        "leaves out what is below a module of type {0}, which it has a hook for",
    ),
    "bias": Reason(
        "It counts the addition of a bias as a multiply–accumulate.",
        "counts the bias",
    ),
    "norm": Reason("It counts a normalization as multiply–accumulates.", "counts {0}"),
    "pool": Reason("It counts pooling as multiply–accumulates.", "counts {0}"),
    "activation": Reason("It counts an activation function as multiply–accumulates.", "counts {0}"),
    "softmax": Reason("It counts softmax as multiply–accumulates.", "counts {0}"),
    "resample": Reason("It counts resampling as multiply–accumulates.", "counts {0}"),
    "elementwise": Reason("It counts elementwise work as multiply–accumulates.", "counts {0}"),
    "twice": Reason(
        "A function that it patched runs inside a module that it hooked, so that it counts the work twice.",
        "counts {0} once more, as a function inside a module that it counts",
    ),
    "sizes": Reason(
        "It counts multiplications of integers that only compute sizes.",
        "counts multiplications of sizes",
    ),
    "parameters": Reason(
        "It counts each parameter once a sample, whether or not it is a factor of a product.",
        "counts parameters, once a sample",
    ),
    "positions": Reason(
        "It multiplies the weights by some sizes of the result that are not the number of positions they work at.",
        "takes {0} for the number of positions",
    ),
    "transposed": Reason(
        "It counts a transposed convolution at the positions of its result, not of its input.",
        "counts a transposed convolution at the positions of its result",
    ),
    "unbatched": Reason(
        "It takes the first dimension for the batch and the second for the channels, and there is no batch.",
        "takes the dimensions of an input without batch for those of one with a batch",
    ),
    "groups": Reason(
        "It divides by the number of groups once too often.",
        "divides by the groups twice",
    ),
    "same-padding": Reason(
        "It computes the size of the result itself and is off by one for padding='same'.",
        "computes another size of the result for padding='same'",
    ),
    "broadcast": Reason(
        "It multiplies the first operand's size by the last one of the second: what is broadcast is left out.",
        "multiplies the first operand's size by the last one, not broadcast",
    ),
    "rounding": Reason(
        "It reads the count from NumPy's report, which prints four digits.",
        "rounds an einsum's count to four digits",
    ),
    "no-sum": Reason(
        "It counts the products of an einsum or a product that sums nothing.",
        "counts products that nothing is summed of",
    ),
    "flops-only": Reason(
        "It counts the operation in its FLOPs and gives no MACs for it.",
        "gives no MACs for {0}",
    ),
    "complex": Reason(
        "It counts a complex product as one multiply–accumulate; it is four real ones.",
        "counts a complex product as one",
    ),
    "projection": Reason(
        "It leaves the projection of an LSTM (proj_size) out, or takes the hidden size for it.",
        "does not count an LSTM's projection as it is",
    ),
    "gates": Reason(
        "It counts the elementwise work of recurrent gates as multiply–accumulates.",
        "counts the elementwise work of the gates",
    ),
    "scaling": Reason("It counts the scaling of attention's queries.", "counts the scaling of the queries"),
    "heads": Reason(
        "Its formula for attention is another one than the products that were run.",
        "counts attention by another formula",
    ),
    "per-sample": Reason(
        "Its figure is for one sample: what its hooks count is divided by the length of the first input.",
        "divides by the length of the first input",
    ),
    "remainder": Reason(
        "It rounds the sum of what it divided by the length of the first input once, for the whole network.",
        "rounds once, for the whole network",
    ),
    "parents": Reason(
        "It adds a shared module up for each of its parents, or hooks it once for each.",
        "counts a module once for each parent that holds it",
    ),
}
"""Code → what it means, and how a difference with that reason reads."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference: how much of it, the code of its reason, and what the reason is about."""

    amount: int
    code: str
    about: str = ""

    def text(self, counter: str) -> str:
        """The reason as it is shown, without the amount."""
        return f"{counter} {REASONS[self.code].text.format(self.about)}"


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts with one reason put together, those that come to nothing left out."""
    amounts: dict[tuple[str, str], int] = {}
    for part in parts:
        key = (part.code, part.about)
        amounts[key] = amounts.get(key, 0) + part.amount
    return tuple(Part(amount, code, about) for (code, about), amount in amounts.items() if amount)
