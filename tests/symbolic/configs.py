"""Writes docs/formulas/ from the configs that name sizes: ``python -m tests.symbolic.configs [NAME…]``."""

from __future__ import annotations

import sys
from pathlib import Path

import profiler
from profiler.config import load_config
from profiler.render.formulas import render_formula

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "formulas"

NAMES = (
    "alexnet_torchvision",
    "vgg16",
    "resnet50",
    "vit_b_16",
    "llama_prefill",
    "llama_decode",
    "mixtral",
    "gpt2",
    "gpt2_decode",
)
"""The configs whose formulas are in the docs."""


def place(name: str) -> Path:
    """The file with the formulas of a config."""
    return FOLDER / f"{name}.md"


def derived(name: str) -> str:
    """The formulas of a config as Markdown, derived now; this takes up to a minute."""
    formula = profiler.formula(load_config(ROOT / "configs" / f"{name}.yaml"))
    (content,) = render_formula(formula, ("markdown",)).values()
    assert isinstance(content, str)
    return content


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NAMES:
        place(chosen).write_text(derived(chosen), encoding="utf-8")
