"""A formula equals the profile in every figure of every row, at points that it was not made from."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import sympy
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler.cli import cli
from profiler.config import load_config, with_sizes
from profiler.deriving import counts_of, formula
from profiler.formulas import FIGURES, Formula, FormulaError
from profiler.profiles import Profile
from profiler.records import Mode
from profiler.render.formulas import _hanging


class Convolutional(nn.Module):
    """Convolutions with stride, padding and groups, a pool with a remainder, and linear layers behind windows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1)
        self.window = nn.AdaptiveAvgPool2d((6, 4))
        self.head = nn.Linear(4 * 24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) → (B, 10)."""
        x = self.depthwise(torch.relu(self.norm(self.stem(x))))
        x = self.window(self.up(self.pool(x)))
        made: torch.Tensor = self.head(x.flatten(1)).softmax(1)
        return made


class Attending(nn.Module):
    """Attention over tokens, with a table of positions that fixes nothing."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 4 * width, batch_first=True)
        self.head = nn.Linear(width, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, s) integers → (B, s, 20)."""
        made: torch.Tensor = self.head(self.layer(self.tokens(tokens)))
        return made


class Fixing(nn.Module):
    """A view to a constant fixes the height."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, 12), where H has to be 7 → (B, 7, 5)."""
        assert x.shape[2] == 12, "the width"
        assert x.shape[1] == 7, "the height"
        made: torch.Tensor = self.head(x)
        return made


def assert_equal(found: Formula, profile: Profile, point: Mapping[str, int]) -> None:
    """Every figure of the total, of each kind and of each layer equals the profile's."""
    assert tuple(found.at(**point).values()) == counts_of(profile)["total", ""]
    rows = {("kind", name): row for name, row in found.kinds_at(**point).items()}
    rows |= {("layer", name): row for name, row in found.layers_at(**point).items()}
    for key, expected in counts_of(profile).items():
        if key[0] != "total":
            assert tuple(rows[key].values()) == expected, (key, point)


def points(found: Formula, limits: Mapping[str, int], number: int) -> list[dict[str, int]]:
    """Random points within the domain, with a seed."""
    draw = random.Random(3)
    made: list[dict[str, int]] = []
    while len(made) < number:
        point = {name: draw.randint(1, limit) for name, limit in limits.items()}
        if not found.domain.violated(point):
            made.append(point)
    return made


def profiled(
    model: nn.Module,
    shape: Sequence[int | str],
    point: Mapping[str, int],
    mode: Mode = "inference",
    dtype: torch.dtype = torch.float32,
) -> Profile:
    """The profile at a point."""
    sizes = [point[size] if isinstance(size, str) else size for size in shape]
    return profiler.profile(model, torch.empty(sizes, device="meta", dtype=dtype), mode=mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_convolutions_in_batch_height_and_width(mode: Mode) -> None:
    """Strides, dilation, rounding up and adaptive windows are floors of the sizes."""
    shape = ("B", 3, "H", "W")
    found = formula(Convolutional(), shape, sizes={"B": 2, "H": 40, "W": 33}, mode=mode)
    assert found.fitted == ()
    assert found.domain.least["B"] == 1
    for point in points(found, {"B": 5, "H": 90, "W": 90}, 6):
        assert_equal(found, profiled(Convolutional(), shape, point, mode), point)


@pytest.mark.slow
def test_attention_in_batch_and_tokens() -> None:
    """Attention is quadratic in the number of tokens, and everything else linear."""
    found = formula(Attending(), ("B", "s"), sizes={"B": 1, "s": 10}, dtype=torch.int64)
    b, s = sympy.symbols("B s", integer=True, positive=True)
    assert sympy.Poly(found.total.macs, b, s).degree(s) == 2
    assert found.domain.words()[0] == "B ≥ 1"
    for point in points(found, {"B": 5, "s": 40}, 5):
        assert_equal(found, profiled(Attending(), ("B", "s"), point, dtype=torch.int64), point)


@pytest.mark.slow
def test_a_linear_layer() -> None:
    """The formula is the textbook's."""
    found = formula(nn.Linear(6, 4), ("B", 6), sizes={"B": 1})
    assert found.text("macs") == "24·B"
    assert found.text("parameters") == str(6 * 4 + 4)
    assert found.at(B=8)["macs"] == 8 * 6 * 4
    assert found.function("macs")(5) == 5 * 6 * 4
    assert "def macs(B):" in found.python("macs")
    assert found.latex("macs") == r"24 \cdot B"


@pytest.mark.slow
def test_a_size_that_the_network_fixes() -> None:
    """It is named with the code that asks for it, and stays a number."""
    found = formula(Fixing(), ("B", "H", "W"), sizes={"B": 2, "H": 7, "W": 12})
    assert [(item.name, item.value) for item in found.fixed] == [("H", 7), ("W", 12)]
    assert 'assert x.shape[1] == 7, "the height"' in found.fixed[0].reason
    assert 'assert x.shape[2] == 12, "the width"' in found.fixed[1].reason
    assert found.text("macs") == f"{7 * 12 * 5}·B"
    with pytest.raises(FormulaError, match="does not hold for B = 2, H = 8, W = 12: it needs H ≤ 7"):
        found.at(H=8)


class Masking(nn.Module):
    """A mask that is made from the sizes, as networks with windows and causal attention make them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, s, 4) → (B, s, s)."""
        mask = x.new_zeros(x.shape[1], x.shape[1])
        mask[torch.arange(x.shape[1]) > 2] = 1.0
        made: torch.Tensor = (x @ x.transpose(1, 2)).masked_fill(mask == 1, -1.0)
        return made


@pytest.mark.slow
def test_values_that_follow_from_sizes_fix_nothing() -> None:
    """The values of a mask are not looked at in a run with symbols."""
    found = formula(Masking(), ("B", "s", 4), sizes={"B": 2, "s": 9})
    assert (found.text("macs"), found.fixed, found.fitted) == ("4·B·s²", (), ())


@pytest.mark.slow
def test_outside_of_its_domain_a_formula_refuses() -> None:
    """The error names the condition; unknown names and numbers that are not whole are refused too."""
    found = formula(nn.Conv2d(1, 2, 5), ("B", 1, "H", 9), sizes={"B": 2, "H": 8})
    with pytest.raises(FormulaError, match="needs H ≥ 5"):
        found.at(H=4)
    with pytest.raises(FormulaError, match="size 'height' is not in the formula, expected one of B, H"):
        found.at(height=4)
    with pytest.raises(FormulaError, match=r"H: found 8\.5, expected a whole number"):
        found.at(H=8.5)  # type: ignore[arg-type]


def test_names_need_values() -> None:
    """A name without a value, a value without a name, and no names at all are errors of one line."""
    with pytest.raises(FormulaError, match="size 'B' has no value"):
        formula(nn.Linear(2, 2), ("B", 2))
    with pytest.raises(FormulaError, match="size 'C' is in no shape"):
        formula(nn.Linear(2, 2), ("B", 2), sizes={"B": 1, "C": 2})


CONFIG = """
model:
  target: {file}:Block
  kwargs: {{width: h, hidden: 4*h, depth: L}}
inputs:
  - shape: [B, s, h]
sizes: {{B: 2, s: 5, h: 8, L: 3}}
"""

BLOCK = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width, hidden, depth):
        super().__init__()
        if width % 4:
            raise ValueError("width has to be a multiple of 4")
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.Linear(hidden, width)) for _ in range(depth)
        )

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x
"""


@pytest.fixture(name="config_path")
def written_config(tmp_path: Path) -> Path:
    """A config of a block whose width and depth have names."""
    (tmp_path / "block.py").write_text(BLOCK, encoding="utf-8")
    path = tmp_path / "block.yaml"
    path.write_text(CONFIG.format(file="block.py"), encoding="utf-8")
    return path


@pytest.mark.slow
def test_names_that_reach_into_the_model(config_path: Path) -> None:
    """Width and depth are interpolated exactly, and the formula says between which points."""
    config = load_config(config_path)
    found = profiler.formula(config)
    assert found.fitted == ("h", "L")
    assert found.text("macs") == "8·B·s·h²·L"
    assert found.text("parameters") == "8·h²·L + 5·h·L"
    assert "h is a multiple of 4" in found.domain.words()
    assert len(found.points) == 3 * 2
    assert "fitted: in h, L: interpolated exactly between 6 profiles, at h = 4, 8, 12; L = 1, 2" in " ".join(
        str(found).split()
    )
    point = {"B": 3, "s": 4, "h": 20, "L": 5}
    assert found.at(**point)["flops"] == profiler.profile_config(with_sizes(config, point)).total.flops
    with pytest.raises(FormulaError, match="needs h is a multiple of 4"):
        found.at(h=6)


@pytest.mark.slow
def test_the_command_and_its_formats(config_path: Path, tmp_path: Path) -> None:
    """JSON is text that sympy reads, Python runs, and the terminal shows for which sizes the formulas hold."""
    run = CliRunner()
    arguments = ["formula", str(config_path), "--output", str(tmp_path / "out")]
    shown = run.invoke(cli, arguments, prog_name="profiler")
    assert shown.exit_code == 0, shown.output
    assert "MACs = 8·B·s·h²·L" in shown.stdout
    assert "holds for: B ≥ 1; s ≥ 1; h ≥ 4; L ≥ 1; h is a multiple of 4" in shown.stdout
    folder = tmp_path / "out" / "block"
    data = json.loads((folder / "formula.json").read_text(encoding="utf-8"))
    names = sympy.symbols("B s h L")
    at = dict(zip(names, (2, 5, 8, 3), strict=True))
    assert sympy.sympify(data["total"]["macs"]).subs(dict(zip("BshL", at.values(), strict=True))) == 8 * 2 * 5 * 64 * 3
    assert set(data["kinds"]) == {"linear", "elementwise"}
    assert set(data["total"]) == set(FIGURES)
    assert all(sympy.sympify(guard).subs(dict(zip("BshL", at.values(), strict=True))) for guard in data["guards"])
    scope: dict[str, object] = {}
    exec((folder / "formula.py").read_text(encoding="utf-8"), scope)
    assert scope["macs"](2, 5, 8, 3) == 8 * 2 * 5 * 64 * 3  # type: ignore[operator]
    assert "8·B·s·h²·L" in (folder / "formula.md").read_text(encoding="utf-8")
    assert r"8 \cdot B \cdot s \cdot h^{2} \cdot L" in (folder / "formula.tex").read_text(encoding="utf-8")
    assert (folder / "formula.csv").read_text(encoding="utf-8").startswith("of,name,type,parameters,multiplies")


@pytest.mark.slow
def test_views_and_excluded_modules_do_not_change_a_formula(tmp_path: Path) -> None:
    """The formula has all modules, in the kinds that the rules give."""
    path = tmp_path / "net.yaml"
    path.write_text(
        "model: {target: torchvision:mobilenet_v3_small}\ninputs:\n  - shape: [B, 3, 64, 64]\nsizes: {B: 2}\n"
        "views: [pointwise_as_linear]\nexclude: ['classifier*']\n",
        encoding="utf-8",
    )
    config = load_config(path)
    found = formula(config)
    whole = profiler.profile_config(config.model_copy(update={"views": (), "exclude": ()}))
    assert found.fitted == ()
    assert_equal(found, whole, {"B": 2})


def test_a_source_without_names(tmp_path: Path) -> None:
    """The message shows how sizes are named."""
    path = tmp_path / "net.yaml"
    path.write_text("model: {target: torchvision:alexnet}\ninputs:\n  - shape: [1, 3, 224, 224]\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["formula", str(path)], prog_name="profiler")
    assert result.exit_code != 0
    assert "no size has a name" in result.stderr


def test_lines_are_broken_before_signs() -> None:
    """Neither a floor nor what is within a function is divided, and lines begin with the sign of a term."""
    body = "B·(2·⌊(H − 3)/4⌋·gcd(⌊(W − 31)/32⌋, 6) + 2138112·⌊(H − 15)/16⌋ − 1536·gcd(⌊(H − 31)/32⌋, 6) + 7)"
    assert _hanging("  MACs = ", body, 60, 6) == [
        "  MACs = B·(2·⌊(H − 3)/4⌋·gcd(⌊(W − 31)/32⌋, 6)",
        "      + 2138112·⌊(H − 15)/16⌋ − 1536·gcd(⌊(H − 31)/32⌋, 6)",
        "      + 7)",
    ]
