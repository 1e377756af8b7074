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
    """How many batch norms can be folded, and why the others cannot."""
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
    """The promised bounds; tests/rewrites/test_proofs.py holds the measured differences to them."""
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

A rewrite makes a new network that is the same function at another cost; the old one is left as it was. `profiler
rewrite CONFIG` does what a config's `rewrites` say, and `profiler.rewrites` has the functions. Each is held to the
original on real tensors.

## Folding batch norms

A batch norm in eval mode that directly follows a convolution or a linear layer disappears into its weights and bias,

    w' = w·γ/√(σ² + ε)        b' = (b − μ)·γ/√(σ² + ε) + β

computed in float64 and rounded once. What follows what is found by following the data through the network with
torch.fx, and not by names. A batch norm is left, with the reason, where the layer's output is used elsewhere, its
weights are shared, nothing to fold into comes before it, or the graph cannot be followed.

{table(folded_rows())}

The course's small network (`zoo.SmallNet`), with weights and statistics like a trained network's, on generated
images. What is left of a difference in float32 is rounding: the same in float64 is nearly nothing. Rounding grows with
the square of the scores, which are up to about 20 here. It depends on the processor and on its number of threads, so
these are the bounds that a test holds the measured differences to.

{table(rounding_rows())}

## Linear layers as convolutions

The classifier behind a flatten becomes a convolution of the size of the feature map, the layers after it 1×1
convolutions. At its own size the network costs and says the same; on a larger image it slides, and gives a map of
scores in one pass. An adaptive pool before the classifier is dropped where the map has its output size, or becomes a
sliding pool where its windows divide evenly; otherwise the rewrite is refused. Layers with padding see zeros at a
window's rim and the image at a slide's: such networks are equal at their own size only, and the report lists them.

The course's `zoo.Net1` (32×32) becomes Net2. On a 36×38 image there are 5·7 windows. Multiplies:

{table(layers)}

The linear layers have nothing to share between windows, so the ratio levels off as the image grows:

{table(sizes)}

## Merged branches

Networks such as RepVGG, MobileOne and FastViT are trained with parallel branches and deployed as one convolution.
`reparameterize` calls the method that their modules bring for it: `fuse`, `reparameterize` or `switch_to_deploy`,
without arguments. The method changes its module in place or returns the module that takes its place. It is the
network's own code, so the comparison on real tensors is the only proof that the function stayed the same.

This page is written by `python -m tests.rewrites_page`.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
