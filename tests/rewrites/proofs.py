"""The proof for the course's small network: how much folding changes its outputs, and how much of this is rounding."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

from profiler.models.zoo import SmallNet
from profiler.rewrites.equivalence import check_equivalence, in_float64
from profiler.rewrites.folding import fold_batchnorm
from profiler.rewrites.imitation import imitate_training
from profiler.schema import make_table
from tests.rewrites.images import generated_images

BATCH = 100
TOLERANCE = 1e-8
"""The bound of the largest squared difference of a batch of 100 in float32; rounding grows with the squared scores."""

SCORES = 2.5

ROUNDING_BOUNDS = {
    "folded and original, both float32": TOLERANCE,
    "folding alone, all in float64": 1e-20,
    "folded weights rounded to float32": TOLERANCE,
    "arithmetic of the original in float32": TOLERANCE,
    "arithmetic of the folded in float32": TOLERANCE,
}
"""The comparisons of :func:`rounding_table`, with the bound of each largest squared difference.

The bounds have a margin: rounding errors depend on the processor and on the number of threads.
"""

ROUNDING_COLUMNS = ("compared", "largest_output", "largest_absolute", "largest_squared", "mean_squared")


def trained_small_net(seed: int = 0, width: int = 16, hidden: int = 1024) -> SmallNet:
    """A SmallNet in eval mode, with weights and running statistics like those of a trained network.

    Its scores have a deviation of ``SCORES`` before the last ReLU; the largest scores are then about 20.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallNet(width=width, hidden=hidden)
    imitate_training(network.eval(), generated_images(256, seed=seed + 1), seed=seed, scores=SCORES)
    return network


def rounding_table(before: nn.Module, images: torch.Tensor, batch: int = BATCH) -> pd.DataFrame:
    """The sources of the difference between a float32 network and its folded form, one row for each comparison.

    In order: both networks in float32; folding alone, all in float64; the folded weights rounded to float32, everything
    else in float64; the arithmetic of the original in float32; that of the folded network in float32.  Columns as in
    :class:`~profiler.rewrites.equivalence.Equivalence`.
    """
    after = fold_batchnorm(before)
    exact = in_float64(before)
    wide = images.double()
    pairs = (
        (before, after, images),
        (exact, fold_batchnorm(exact), wide),
        (exact, in_float64(after), wide),
        (exact, _Widened(before), wide),
        (in_float64(after), _Widened(after), wide),
    )
    rows = [
        (text, check_equivalence(first, second, inputs, bound, batch=batch))
        for (text, bound), (first, second, inputs) in zip(ROUNDING_BOUNDS.items(), pairs, strict=True)
    ]
    return make_table(
        ROUNDING_COLUMNS, [(text, *(getattr(found, name) for name in ROUNDING_COLUMNS[1:])) for text, found in rows]
    )


class _Widened(nn.Module):
    """A float32 network that takes float64 inputs; they are exact in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's outputs in float64."""
        outputs: torch.Tensor = self.network(x.float())
        return outputs.double()
