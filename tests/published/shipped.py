"""The published figures that the package ships for its picture; ``python -m tests.published.shipped`` writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from profiler.config import InputSpec
from profiler.files import write_text
from profiler.pictures.published import DATA, NOT_KNOWN
from profiler.records import show_shapes
from tests.published.figures import Figure, Network
from tests.published.literature import TABLES
from tests.published.weights import all_weights, unique

COLUMNS = (
    "source",
    "target",
    "input",
    "counted_parameters",
    "macs",
    "macs_reason",
    "parameters",
    "parameters_reason",
    "twice",
)
"""``twice`` is ``yes`` where the source counts two for each multiply–accumulate."""


def text() -> str:
    """The file: the literature, then torchvision's weights, without the detection networks."""
    rows = [*_literature(), *_torchvision()]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


def _literature() -> Iterator[Sequence[object]]:
    for table in TABLES:
        for network in table.networks:
            yield (
                "literature",
                network.target,
                show_shapes(_shapes(network)),
                network.parameters.ours,
                *(("", "") if network.work is None else _cells(network.work)),
                *_cells(network.parameters),
                "yes" if table.flops else "",
            )


def _shapes(network: Network) -> tuple[tuple[int, ...], ...]:
    inputs = network.inputs
    specs = inputs if isinstance(inputs, tuple) else tuple(inputs.values())
    return tuple(spec.shape for spec in specs if isinstance(spec, InputSpec))


def _cells(figure: Figure) -> tuple[str, str]:
    reason = figure.reason
    return figure.printed, "" if reason is None else reason.text if reason.known else NOT_KNOWN


def _torchvision() -> Iterator[Sequence[object]]:
    groups = unique(one for one in all_weights() if one.family != "detection")
    for (network, _, shapes), found in groups.items():
        one = found[0]
        macs = f"{one.gmacs:.3f} G"
        target = f"torchvision:{network}"
        yield "torchvision", target, show_shapes(shapes), one.parameters, macs, "", str(one.parameters), "", ""


if __name__ == "__main__":
    write_text(DATA, text())
