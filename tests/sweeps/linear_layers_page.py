"""Writes docs/linear-layers.md and its picture: ``python -m tests.sweeps.linear_layers_page``."""

from __future__ import annotations

import csv
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner
from tabulate import tabulate

import profiler
from profiler.cli import cli
from profiler.config import load_config
from profiler.formatting import thousands
from profiler.formulas import Formula
from profiler.symbolic.writing import simplified, text

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "linear-layers.md"
PICTURE = ROOT / "docs" / "linear-layers.svg"
CONFIG = "configs/alexnet_torchvision.yaml"
SIZES = "64:448:32"


@dataclass(frozen=True)
class Swept:
    """What the command of the page wrote: its rows, its sentence about the crossover, and its picture."""

    rows: list[dict[str, str]]
    sentence: str
    picture: bytes


def swept() -> Swept:
    """Run the sweep of the page."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["sweep", str(ROOT / CONFIG), "--vary", f"H,W={SIZES}", "--jobs", "1", "--output", folder]
        result = CliRunner(env={"COLUMNS": "200"}).invoke(cli, command, prog_name="profiler")
        assert result.exit_code == 0, result.output
        sentence = next(line.strip() for line in result.output.splitlines() if "do more multiplies than" in line)
        with (Path(folder) / "sweep.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return Swept(rows, sentence, (Path(folder) / "sweep.svg").read_bytes())


def crossover(formula: Formula) -> int:
    """The first size of an image, H = W, at which convolutions do more multiplies, by the formula at every size."""
    size = 63
    while True:
        kinds = formula.kinds_at(B=1, H=size, W=size)
        if kinds["conv"]["multiplies"] > kinds["linear"]["multiplies"]:
            return size
        size += 1


def page(formula: Formula, found: Swept) -> str:
    """The page as text."""
    rows = [
        [
            row["H"],
            thousands(int(row["conv_multiplies"])),
            thousands(int(row["linear_multiplies"])),
            f"{100 * int(row['linear_multiplies']) / int(row['multiplies']):.2f} %",
        ]
        for row in found.rows
    ]
    heads = ["H = W", "convolutions", "linear layers", "share of linear layers"]
    table = tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=["right"] * 4)
    first = crossover(formula)
    before, after = (formula.kinds_at(B=1, H=size, W=size) for size in (first - 1, first))
    names = tuple(formula.sizes)
    kinds = {kind: text(simplified(formula.kinds[kind].multiplies), names) for kind in ("conv", "linear")}
    held = formula.kinds["linear"].parameters / formula.total.parameters
    return f"""# Are linear layers compute-heavy?

In AlexNet they hold {100 * float(held):.2f} % of the parameters. What they compute does not depend on the size of
the image: a pool before them averages every image to 6 × 6 positions. Convolutions use each weight once for every
position, so their work grows with the image. Which of the two computes more depends on the size of the image.

![{found.sentence.replace("alexnet_torchvision: ", "AlexNet: ")}](linear-layers.svg)

{found.sentence.replace("alexnet_torchvision: from", "From")} At {first - 1} × {first - 1} convolutions do
{thousands(before["conv"]["multiplies"])} multiplies, at {first} × {first}
{thousands(after["conv"]["multiplies"])}; linear layers do {thousands(after["linear"]["multiplies"])} at both.

Multiplies for one image:

{table}

So linear layers are the larger part for small images only; at the usual 224 × 224 they are a twelfth of both. The
closed forms, by `profiler formula {CONFIG}`:

- convolutions: {kinds["conv"]}
- linear layers: {kinds["linear"]}

They hold for {"; ".join(formula.domain.words())}. The picture and the table are from this command:

```text
{shlex.join(["profiler", "sweep", CONFIG, "--vary", f"H,W={SIZES}", "--output", "out"])}
```

This page is written by `python -m tests.sweeps.linear_layers_page`.
"""


def alexnet() -> Formula:
    """The formulas of AlexNet in B, H and W."""
    return profiler.formula(load_config(ROOT / CONFIG))


if __name__ == "__main__":
    found = swept()
    PICTURE.write_bytes(found.picture)
    PAGE.write_text(page(alexnet(), found), encoding="utf-8")
