"""Writes docs/training.md: ``python -m tests.training_page``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tabulate import tabulate
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import profiler
from profiler.formatting import ratio_text, thousands

PAGE = Path(__file__).parents[1] / "docs" / "training.md"

NETWORKS = ("resnet50", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vit_b_16")


def table(rows: Sequence[dict[str, object]]) -> str:
    """A Markdown table with numbers to the right."""
    cells = [[thousands(cell) if isinstance(cell, int) else str(cell) for cell in row.values()] for row in rows]
    aligned = ["right" if isinstance(cell, (int, float)) else "left" for cell in rows[0].values()]
    return tabulate(cells, list(rows[0]), tablefmt="pipe", disable_numparse=True, colalign=aligned)


def split_rows() -> list[dict[str, object]]:
    """The cost of a training step of real networks, in MACs; the input requires a gradient."""
    from profiler.models.building import build_model

    rows: list[dict[str, object]] = []
    for name in NETWORKS:
        x = torch.empty(1, 3, 224, 224, device="meta", requires_grad=True)
        model = build_model(f"torchvision:{name}")
        total = profiler.profile(model, x, mode="training").training.iloc[-1]
        rows.append(
            {
                "network": name,
                "forward": int(total["forward_macs"]),
                "for inputs": int(total["input_gradient_macs"]),
                "for weights": int(total["weight_gradient_macs"]),
                "backward / forward": float(total["backward_forward_ratio"]),
                "FlopCounterMode": f"{flop_counter_ratio(model, x):.1f}",
            }
        )
    return rows


def flop_counter_ratio(model: nn.Module, x: torch.Tensor) -> float:
    """Backward over forward by torch's own counter."""
    with FlopCounterMode(display=False) as counter:
        result = model(x)
        forward = counter.get_total_flops()
        result.sum().backward()
    backward: int = counter.get_total_flops() - forward
    return backward / float(forward)


def explicit_rows() -> list[dict[str, object]]:
    """The product of v·A_w with the matrix A_w, and as autograd computes it."""
    cases: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
        ("1-d: 1 → 1 channel, kernel 3, length 16", lambda: nn.Conv1d(1, 1, 3, bias=False), (1, 1, 16)),
        ("2-d: 3 → 8 channels, kernel 3 × 3, 32 × 32", lambda: nn.Conv2d(3, 8, 3, bias=False), (1, 3, 32, 32)),
    ]
    rows: list[dict[str, object]] = []
    for name, make, shape in cases:
        x = torch.empty(shape, device="meta", requires_grad=True)
        layer = make()
        profile = profiler.profile(layer, x, mode="training")
        results = profile.trace.modules[0].output_shapes[0][0]
        rows_of_matrix, columns = torch.Size(results).numel(), x.numel()
        free = int(profile.training.iloc[-1]["input_gradient_macs"])
        rows.append(
            {
                "convolution": name,
                "A_w": f"{rows_of_matrix:,} × {columns:,}",
                "explicit matrix": rows_of_matrix * columns,
                "matrix-free": free,
                "ratio": ratio_text(rows_of_matrix * columns / free),
            }
        )
    return rows


def page() -> str:
    """The page as text."""
    return f"""# What training costs

`mode: training` counts the forward pass in train mode and the backward pass, from the operations that autograd really
runs. `optimizer:` adds a step of the optimizer. The table `training` splits each layer's work:

- **forward**, and **recompute** if activation checkpointing runs it again;
- the **input gradient**, for the layers before, and the **weight gradient**, for the layer's own weights;
- the **optimizer**.

If a layer has K MACs, each of its gradients costs K MACs again. The first layer needs no input gradient unless the
input requires one, a frozen layer needs no weight gradient, and layers before all trainable ones need neither. If the
input requires a gradient, the contractions of the backward pass cost exactly twice those of the forward pass, also in
grouped and depthwise convolutions (MACs of one image at 224 × 224):

{table(split_rows())}

The last column is what the `FlopCounterMode` of torch {torch.__version__.partition("+")[0]} reports. It counts the
weight gradient of a grouped convolution as that of a dense one, which is too much by a factor of the number of groups.

## A convolution's gradient without its matrix

A convolution is linear: y = A_w·x, where the rows of the Toeplitz matrix A_w hold the kernel, shifted. Its
vector–Jacobian product v·A_w is the transposed convolution of v with the same kernel. It costs what the convolution
costs, and A_w, which is nearly all zeros, is never formed. In multiply–accumulates:

{table(explicit_rows())}

This page is written by `python -m tests.training_page`.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
