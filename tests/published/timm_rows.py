"""timm's table of inference benchmarks, row by row, and this profiler's counts of each network.

``timm_rows.csv`` holds both: the network, the image size and the two figures as timm prints them, then the form of
the installed timm's network that our figures belong to, our figure by the fvcore convention, and our parameters.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import torch
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.files import write_text
from profiler.models.building import build_model
from profiler.models.from_timm import timm_networks
from profiler.rewrites import reparameterize

ROWS = Path(__file__).parent / "timm_rows.csv"

SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/main/results/"
TABLE = "benchmark-infer-amp-nchw-pt291-cu130-pro6000maxq.csv"

AS_BUILT = "as built"
REPARAMETERIZED = "reparameterized"
NOT_FUSED = "attention not fused"
NOT_THERE = "not in the installed timm"


@dataclass(frozen=True, slots=True)
class Row:
    """One network at one image size: the figures that timm prints, in billions and in millions, and ours."""

    network: str
    size: int
    gmacs: str
    mparameters: str
    form: str = ""
    figure: int = 0
    parameters: int = 0

    @property
    def agrees(self) -> bool:
        """Whether both figures print as published: timm rounds to two decimals."""
        return self.form != NOT_THERE and (
            round(self.figure / 1e9, 2) == float(self.gmacs)
            and round(self.parameters / 1e6, 2) == float(self.mparameters)
        )


def rows() -> list[Row]:
    """All stored rows, in the order of timm's table."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [
            Row(**{**line, **{name: int(line[name]) for name in ("size", "figure", "parameters")}})  # type: ignore[arg-type]
            for line in csv.DictReader(file)
        ]


def store(found: list[Row]) -> None:
    """Write the rows to ``timm_rows.csv``."""
    names = [field.name for field in fields(Row)]
    write_text(ROWS, "".join(",".join(map(str, line)) + "\n" for line in (names, *map(astuple, found))))


def published(path: Path) -> Iterator[Row]:
    """The rows of a table as timm writes it, without our figures; a network may be in it at several sizes."""
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            yield Row(line["model"], int(float(line["infer_img_size"])), line["infer_gmacs"], line["param_count"])


def measured(row: Row) -> Row:
    """The row with our figures, of the first form that prints as published, or of the network as it is built."""
    if row.network not in timm_networks(Path()):
        return replace(row, form=NOT_THERE)
    first = _counted(row, AS_BUILT, _unchanged)
    if first.agrees:
        return first
    for form, change in ((REPARAMETERIZED, _reparameterized), (NOT_FUSED, _unchanged)):
        try:
            found = _counted(row, form, change)
        except ProfilerError:
            continue  # it has no branches to merge
        if found.agrees:
            return found
    return first


def _counted(row: Row, form: str, change: Callable[[nn.Module], nn.Module]) -> Row:
    with _fused_attention(form != NOT_FUSED):
        network = change(build_model(f"timm:{row.network}").eval())
        settings = getattr(network, "default_cfg", {})
        image = torch.empty(1, settings.get("input_size", (3,))[0], row.size, row.size, device="meta")
        found = profiler.profile(network, image)
    return replace(row, form=form, figure=found.with_convention("fvcore").headline, parameters=found.parameters_total)


def _unchanged(network: nn.Module) -> nn.Module:
    return network


def _reparameterized(network: nn.Module) -> nn.Module:
    return reparameterize(network)


@contextmanager
def _fused_attention(enabled: bool) -> Iterator[None]:
    """timm's own switch, which it reads when it builds a network."""
    timm_networks(Path())  # import timm as the profiler does
    from timm.layers.config import set_fused_attn

    set_fused_attn(enabled)
    try:
        yield
    finally:
        set_fused_attn(True)
