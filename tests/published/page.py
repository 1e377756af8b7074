"""The page of published figures, docs/published-figures.md: ``python -m tests.published.page`` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from profiler.files import write_text
from profiler.records import show_shapes
from tests.published.figures import UNITS, Figure, Network, Table
from tests.published.literature import TABLES
from tests.published.weights import Weights, all_weights, measure, unique

PAGE = Path(__file__).parents[2] / "docs" / "published-figures.md"

INTRODUCTION = """\
# Published figures, and ours

What papers, model libraries and other tools print of networks, and what this profiler counts. Every line is a test
(`tests/published`). **MACs** are the multiply–accumulates of contractions; the sources often call them FLOPs. A
difference is by how much ours is above the printed figure; it is left out where ours prints as published. This page
is written by `python -m tests.published.page`.
"""

TORCHVISION = """\
## torchvision

torchvision publishes `_ops` (billions of MACs) and `num_params` with each set of weights. They were counted by
[its own script](https://github.com/pytorch/vision/blob/main/test/common_extended_utils.py) on an image of 512×512 after
the weights' transforms: the crop for classification, 520×520 for segmentation, 16 frames for video, the image itself
for optical flow. The segmentation networks run their auxiliary heads; GoogLeNet's figures leave its out. Quantized
networks count as their float form. All of them are reached: to the last printed digit of the MACs, and the parameters
exactly.
"""

DETECTION = """\
## Detection networks

What a detection network costs depends on how many of its proposals survive. These figures were printed after a run on
a random image with the trained weights.
"""


def page() -> str:
    """The whole page; measures every torchvision network, which takes a while."""
    return "\n".join((INTRODUCTION, *map(table_section, TABLES), torchvision_section(), detection_section()))


def table_section(table: Table) -> str:
    """One table of the literature."""
    work = "FLOPs" if table.flops else "MACs"
    lines = [
        f"## {table.title}\n",
        f"Source: {table.source}.\n",
        *([f"{table.note}\n"] if table.note else []),
        f"| network | {work}, published | {work}, ours | difference | parameters, published | parameters, ours "
        "| difference | reason |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
        *(_row(network, work) for network in table.networks),
    ]
    return "\n".join(lines) + "\n"


def _row(network: Network, work: str) -> str:
    cells = [network.name]
    reasons = []
    for what, figure in ((work, network.work), ("parameters", network.parameters)):
        cells += _cells(figure)
        if figure is not None and figure.reason is not None:
            reasons.append(f"{what}: {figure.reason.text}")
    return f"| {' | '.join((*cells, '; '.join(reasons)))} |"


def _cells(figure: Figure | None) -> tuple[str, str, str]:
    if figure is None:
        return "", "", ""
    digits, _, unit = figure.printed.partition(" ")
    printed = figure.printed if unit else f"{int(digits):,}"
    if figure.reason is None:
        return printed, f"{figure.ours:,}", ""
    published = float(digits) * UNITS[unit]
    return printed, f"{figure.ours:,}", f"{figure.ours / published - 1:+.2%}".replace("-", "−")


def torchvision_section() -> str:
    """Every set of weights but those of the detection networks, one line for what is measured once."""
    lines = [
        TORCHVISION,
        "| network | weights | input | GMACs, published | MACs, ours | parameters |",
        "|---|---|---|---:|---:|---:|",
    ]
    for group in unique(all_weights()).values():
        if group[0].family != "detection":
            lines += _weight_rows(group)
    return "\n".join(lines) + "\n"


def _weight_rows(group: list[Weights]) -> Iterator[str]:
    macs = measure(group[0]).total.macs
    first = group[0]
    names = ", ".join(weights.name for weights in group)
    shapes = show_shapes(first.shapes)
    yield f"| {first.network} | {names} | {shapes} | {first.gmacs:.3f} | {macs:,} | {first.parameters:,} |"


def detection_section() -> str:
    """What torchvision publishes of the detection networks."""
    rows = [
        f"| {one.network} | {one.name} | {one.gmacs:.3f} | {one.parameters:,} |"
        for one in all_weights()
        if one.family == "detection"
    ]
    heading = "| network | weights | GMACs, published | parameters |\n|---|---|---:|---:|"
    return "\n".join((DETECTION, heading, *rows)) + "\n"


if __name__ == "__main__":
    write_text(PAGE, page())
