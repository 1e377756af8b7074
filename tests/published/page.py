"""The page of published figures, docs/published-figures.md: ``python -m tests.published.page`` writes it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from profiler.files import write_text
from profiler.records import show_shapes
from tests.published.detection import (
    PUBLISHED,
    Costs,
    Survivors,
    costs,
    detection_weights,
    frozen_parameters,
    most_survivors,
    published_survivors,
    real_run,
    survivors,
)
from tests.published.figures import UNITS, Figure, Network, Table
from tests.published.literature import TABLES
from tests.published.weights import Weights, all_weights, measure, unique

PAGE = Path(__file__).parents[2] / "docs" / "published-figures.md"

INTRODUCTION = """\
# Published figures, and ours

The figures that papers, model libraries and other tools print of networks, and ours. Every line is a test
(`tests/published`). **MACs** are the multiply–accumulates of contractions; the sources often call them FLOPs. A
difference says by how much ours is above the printed figure; it is left out if ours prints as published. A reason
that changes the number ends with our figure after that change, which prints as published. This page is written by
`python -m tests.published.page`.
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

torchvision counted these on a random image, 800×800 for most
([its test](https://github.com/pytorch/vision/blob/main/test/test_extended_models.py) lists the sizes), with the
trained weights. The profiler runs them for real, on one seeded image with seeded initial weights, since what they do
depends on their data.
"""

ONE_STAGE = """\
### Without proposals

Every convolution runs on whole maps, so what survives changes no MACs. The published figure is reached by the seeded
run.
"""

TWO_STAGES = """\
### With proposals

The box head runs on each proposal that survives, the head of the masks or keypoints on each detection. So the MACs are
what is done once + proposals × the one head + detections × the other.
"""

SURVIVORS = """\
Every published figure comes out at whole numbers of survivors, those that noise left the trained network. They are
inferred: no other numbers print as published, except for Mask R-CNN 963 proposals with 1 detection, and 296 with 19.
And they fit the networks: the proposals of MobileNet need a score of 0.05, and none has it; those of ResNet need no
score, so the full 1,000 survive. *Full* is what the network lets survive at most. In the *seeded run* other boxes
survive, since the weights are initial ones: every proposal of MobileNet scores a half; many of the first ResNets' are
stretched until they overlap or leave the image. It is in double precision, so that rounding does not decide which. A
*distance* is from ours at the published survivors: what the survivors more or less cost.
"""

FROZEN = """\
### Parameters

The published numbers are those of the networks as they are built for weights: there most backbones have frozen batch
normalizations, whose scales and shifts are buffers. Built without weights, as here, they are parameters. The
difference is exactly those.
"""


def page() -> str:
    """The whole page; it measures every torchvision network and runs those that detect, which takes minutes."""
    return "\n".join((opening(), torchvision_section(), detection_section()))


def opening() -> str:
    """The part without measurements: the introduction, how many figures are reached, and the literature."""
    return "\n".join((INTRODUCTION, summary(TABLES), *map(table_section, TABLES)))


def summary(tables: Sequence[Table]) -> str:
    """How many figures of the literature print as published, and how many differ with and without a reason."""
    networks = [network for table in tables for network in table.networks]
    figures = [figure for one in networks for figure in (one.work, one.parameters) if figure is not None]
    reasons = [figure.reason for figure in figures if figure.reason is not None]
    known = sum(reason.known for reason in reasons)
    return (
        f"Of the {len(figures)} figures of the literature, {len(figures) - len(reasons)} print as published, {known} "
        f"differ for a reason that leads to the published one, and {len(reasons) - known} are not explained.\n"
    )


def table_section(table: Table) -> str:
    """One table of the literature; the column of work is left out if its source prints none."""
    work = "FLOPs" if table.flops else "MACs"
    kinds = [work, "parameters"] if any(network.work for network in table.networks) else ["parameters"]
    lines = [
        f"## {table.title}\n",
        f"Source: {table.source}.\n",
        *([f"{table.note}\n"] if table.note else []),
        f"| network |{''.join(f' {kind}, published | {kind}, ours | difference |' for kind in kinds)} reason |",
        f"|---|{'---:|---:|---:|' * len(kinds)}---|",
        *(_row(network, kinds) for network in table.networks),
    ]
    return "\n".join(lines) + "\n"


def _row(network: Network, kinds: Sequence[str]) -> str:
    cells = [network.name]
    reasons = []
    for kind in kinds:
        figure = network.parameters if kind == "parameters" else network.work
        cells += _cells(figure)
        if figure is not None and figure.reason is not None:
            theirs = "" if figure.theirs is None else f": {figure.theirs:,}"
            reasons.append(f"{kind}: {figure.reason.text}{theirs}")
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
    """Every set of weights except those of the detection networks, with one line for each measurement."""
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
    """The detection networks, each run once for real."""
    weights = detection_weights()
    with_proposals = [one for one in weights if (one.network, one.name) in PUBLISHED]
    lines = [
        DETECTION,
        ONE_STAGE,
        "| network | weights | input | GMACs, published | MACs, ours |",
        "|---|---|---|---:|---:|",
        *(one_stage_row(one) for one in weights if one not in with_proposals),
        "",
        TWO_STAGES,
        "| network | once | each proposal | each detection |",
        "|---|---:|---:|---:|",
        *dict.fromkeys(cost_row(one.network) for one in with_proposals),
        "",
        SURVIVORS,
        "| network | weights | GMACs, published | survivors there | MACs, ours | full | MACs, ours | distance "
        "| seeded run | MACs, ours | distance |",
        "|---|---|---:|---|---:|---|---:|---|---|---:|---|",
        *map(survivors_row, with_proposals),
        "",
        parameters_section(),
    ]
    return "\n".join(lines)


def one_stage_row(weights: Weights) -> str:
    """A network without proposals."""
    macs = real_run(weights.network).total.macs
    return f"| {weights.network} | {weights.name} | {show_shapes(weights.shapes)} | {weights.gmacs:.3f} | {macs:,} |"


def cost_row(network: str) -> str:
    """What a network with proposals costs once, and for each survivor."""
    cost = costs(network)
    detection = f"{cost.detection:,}" if cost.detection else ""
    return f"| {network} | {cost.once:,} | {cost.proposal:,} | {detection} |"


def survivors_row(weights: Weights) -> str:
    """A network with proposals at three numbers of survivors."""
    cost, there = costs(weights.network), published_survivors(weights)
    cells = [weights.network, weights.name, f"{weights.gmacs:.3f}", _survivors(there, cost), f"{cost.at(there):,}"]
    for lived in (most_survivors(weights.network), survivors(real_run(weights.network))):
        cells += [_survivors(lived, cost), f"{cost.at(lived):,}", distance(lived, there, cost)]
    return f"| {' | '.join(cells)} |"


def _survivors(lived: Survivors, cost: Costs) -> str:
    proposals = _plural(lived.proposals, "proposal")
    return f"{proposals}, {_plural(lived.detections, 'detection')}" if cost.detection else proposals


def _plural(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def distance(lived: Survivors, there: Survivors, cost: Costs) -> str:
    """The difference in cost between two numbers of survivors: ``+2,153,932,800 = 150 × 14,359,552``."""
    parts = (
        (lived.proposals - there.proposals, cost.proposal),
        (lived.detections - there.detections, cost.detection),
    )
    terms = " + ".join(f"{more:,} × {each:,}" for more, each in parts if more).replace("+ -", "- ")
    text = f"{sum(more * each for more, each in parts):+,} = {terms}" if terms else ""
    return text.replace("-", "−")


def parameters_section() -> str:
    """The parameters of the detection networks with and without weights."""
    lines = [
        FROZEN,
        "| network | weights | parameters, published | parameters, ours | frozen with weights |",
        "|---|---|---:|---:|---:|",
    ]
    for one in detection_weights():
        frozen = frozen_parameters(one)
        more = f"{frozen:,}" if frozen else ""
        lines.append(f"| {one.network} | {one.name} | {one.parameters:,} | {one.parameters + frozen:,} | {more} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_text(PAGE, page())
