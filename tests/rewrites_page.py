"""Writes docs/rewrites.md: ``python -m tests.rewrites_page``."""

from __future__ import annotations

from pathlib import Path

import torch

import profiler
from profiler.models.building import build_model
from profiler.profiles import Profile
from profiler.rewrites import linear_to_convolution, rewrite
from tests.rewrites.proofs import BATCH, ROUNDING_BOUNDS
from tests.rewrites.sliding import sliding_sizes, sliding_table
from tests.training_page import table

PAGE = Path(__file__).parents[1] / "docs" / "rewrites.md"

FOLDED = ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121", "googlenet")
IMAGES = ((32, 32), (36, 38), (224, 224), (512, 512))


def folded_rows() -> list[dict[str, object]]:
    """How many batch norms can be folded, and the reasons why others cannot."""
    rows: list[dict[str, object]] = []
    for name in FOLDED:
        image = torch.empty(1, 3, 224, 224, device="meta")
        result = rewrite(build_model(f"torchvision:{name}").eval(), "fold_batchnorm", image)
        reasons = sorted({left.reason for left in result.left})
        rows.append(
            {
                "network": name,
                "folded": len(result.changes),
                "left": len(result.left),
                "why": "; ".join(reasons)
                if len(reasons) < 3
                else f"{reasons[0]}; and {len(reasons) - 1} other reasons",
            }
        )
    return rows


def rounding_rows() -> list[dict[str, object]]:
    """The documented bounds; tests/rewrites/test_proofs.py compares the measured differences with them."""
    return [
        {"compared": text, f"largest squared difference of a batch of {BATCH}, at most": f"{bound:g}"}
        for text, bound in ROUNDING_BOUNDS.items()
    ]


def network_on(model: torch.nn.Module, height: int, width: int) -> Profile:
    return profiler.profile(model, torch.empty(1, 3, height, width, device="meta"))


def sliding() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """What Net2 saves: layer by layer on 36×38, and as the image grows."""
    net1 = build_model("profiler.models.zoo:Net1").eval()
    net2 = linear_to_convolution(net1, (3, 32, 32))
    window = network_on(net1, 32, 32)
    profiles = [network_on(net2, *size) for size in IMAGES]
    layers = [
        {
            "layer": row["layer"],
            "35 windows, one by one": row["multiplies_windows"],
            "one pass": row["multiplies_pass"],
            "ratio": f"{row['multiplies_ratio']:.2f}",
        }
        for row in sliding_table(window, profiles[1]).to_dict("records")
        if row["multiplies_pass"]
    ]
    sizes = [
        {
            "image": row["image"],
            "windows": row["windows"],
            "multiplies, window by window": row["multiplies_windows"],
            "one pass": row["multiplies_pass"],
            "ratio": f"{row['multiplies_ratio']:.3f}",
        }
        for row in sliding_sizes(window, profiles).to_dict("records")
    ]
    return layers, sizes


def page() -> str:
    """The page as text."""
    layers, sizes = sliding()
    return f"""# Rewrites

A rewrite makes a new network with the same function and another cost; the old network is not changed. `profiler
rewrite CONFIG` applies the `rewrites` of a config, and `profiler.rewrites` has the functions. The result is compared
with the original on real tensors.

## Folding batch norms

A batch norm in eval mode that directly follows a convolution or a linear layer is folded into its weights and bias:

    w' = w·γ/√(σ² + ε)        b' = (b − μ)·γ/√(σ² + ε) + β

They are computed in float64 and rounded once. torch.fx finds the layer before a batch norm by the data flow, not by
names. A batch norm is not folded if the layer's output is also used elsewhere, if its weights are shared, if there is
no such layer before it, or if the graph cannot be followed; the report says why.

{table(folded_rows())}

The course's small network (`zoo.SmallNet`), with weights and statistics like a trained network's, on generated
images. The difference in float32 is rounding: in float64 it almost vanishes. The squared rounding error grows with the
square of the scores, which are up to about 20 here. It depends on the processor and on the number of threads, so the
table has the bounds that a test checks, not the measured differences.

{table(rounding_rows())}

## Linear layers as convolutions

The linear layer after a flatten becomes a convolution with the size of the feature map, and later linear layers
become 1×1 convolutions. At its original input size the network has the same cost and results. On a larger image it
slides, and returns a map of scores in one pass. An adaptive pool before the classifier is removed if the map has its
output size, or becomes a sliding pool if its windows divide the map evenly; otherwise the rewrite is refused. A layer
with padding reads zeros at the edge of a separate window, and the image at the edge of a window in a larger image.
Such networks are only equal at their original input size, and the report lists the layers.

The course's `zoo.Net1` (32×32) becomes Net2. On a 36×38 image there are 5·7 windows. Multiplies:

{table(layers)}

Linear layers share no work between windows, so the ratio levels off as the image grows:

{table(sizes)}

## Merged branches

Networks such as RepVGG, MobileOne and FastViT are trained with parallel branches and deployed as one convolution.
`reparameterize` calls the method of their modules that merges them: `fuse`, `reparameterize` or `switch_to_deploy`,
without arguments. The method changes its module in place or returns a module that replaces it. It is the network's own
code, so the comparison on real tensors is the only check that the function stayed the same.

This page is written by `python -m tests.rewrites_page`.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
