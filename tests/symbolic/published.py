"""Formulas that people use for the cost of transformers, beside ours, each difference split into named parts.

Ours are the formulas that ``profiler formula`` derives for the networks in ``shapes/``.  They are stored there as JSON;
``tests/symbolic/test_published.py`` derives them again, and finds that a training step has exactly three times their
MACs.  All symbols are those of the configs: B sequences of s tokens, width h, L layers, V words, for Llama also f, the
width of the feed-forward part, and d, the width of a head.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sympy

from profiler.symbolic.expressions import Expression, symbol, value_of

FOLDER = Path(__file__).parent / "shapes"

B, s, h, L, V, f, d = (symbol(name) for name in ("B", "s", "h", "L", "V", "f", "d"))
SYMBOLS = {name.name: name for name in (B, s, h, L, V, f, d)}

NARAYANAN = "[Narayanan et al.](https://arxiv.org/abs/2104.04473), "
NANOGPT_CODE = "https://github.com/karpathy/nanoGPT/blob/3adf61e154c3fe3fca428ad6bc3818b27a3b8291/model.py#L289"
NANOGPT = f"[nanoGPT]({NANOGPT_CODE}), `estimate_mfu`"
PALM = f"[PaLM, appendix B](https://arxiv.org/abs/2204.02311), as [nanoGPT]({NANOGPT_CODE}) quotes it"
KAPLAN = (
    "[Kaplan et al., table 1](https://arxiv.org/abs/2001.08361), as quoted in [a question about it]("
    "https://discuss.huggingface.co/t/understanding-flops-per-token-estimates-from-openais-scaling-laws/23133)"
)
MEGATRON = (
    "[Megatron-LM](https://github.com/NVIDIA/Megatron-LM/blob/d98e8a64ddf34856e74b24714e3bedb2f5a39553/"
    "megatron/training/training.py#L802), `num_floating_point_operations`"
)
TORCHTITAN = (
    "[torchtitan](https://github.com/pytorch/torchtitan/blob/b5bcd76c66d0acb1a08b176d9639425bc55e0b2a/"
    "torchtitan/models/utils.py#L412), `get_dense_model_nparams_and_flops`"
)


@dataclass(frozen=True)
class Shape:
    """A network with the formulas that were derived for it.

    ``attended`` is the width of all heads together, ``heads`` their number if it is fixed, ``positions`` the number of
    rows in a table of positions, ``gated`` says that the feed-forward part has three matrices, and ``tied`` that the
    matrix of the logits is the table of the words.
    """

    name: str
    heading: str
    attended: Expression
    heads: int | None
    positions: int
    gated: bool
    tied: bool

    @property
    def config(self) -> Path:
        return FOLDER / f"{self.name}.yaml"

    @property
    def stored(self) -> Path:
        """The file with the derived formulas."""
        return FOLDER / f"{self.name}.json"

    @cached_property
    def content(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.stored.read_text(encoding="utf-8"))
        return found

    @property
    def sizes(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.content["sizes"]
        return found

    def figure(self, figure: str, kind: str | None = None) -> Expression:
        """A figure of the whole network, or of one kind, for all tokens, forward."""
        row = self.content["total"] if kind is None else self.content["kinds"].get(kind, {})
        return sympy.expand(sympy.sympify(row.get(figure, "0"), locals=SYMBOLS))

    def per_token(self, figure: str, kind: str | None = None) -> Expression:
        """The same for one token."""
        return sympy.expand(self.figure(figure, kind) / (B * s))

    def value(self, expression: Expression) -> int:
        """The value for the sizes of the tables."""
        return value_of(sympy.expand(expression), self.sizes)

    # What the parts of the differences are made from, each from another row of the derived formulas.

    @property
    def matrices(self) -> Expression:
        """The weights of all matrices that every token is multiplied by, the one of the logits too."""
        return self.per_token("macs", "linear")

    @property
    def biases(self) -> Expression:
        return sympy.expand(self.figure("parameters", "linear") - self.matrices)

    @property
    def norms(self) -> Expression:
        """The weights of norms; Llama's norms are products of elements."""
        return self.figure("parameters", "norm") + self.figure("parameters", "elementwise")

    @property
    def logits(self) -> Expression:
        return h * V

    @property
    def tables(self) -> Expression:
        """The rows of embeddings that are looked up and never multiplied."""
        return self.figure("parameters", "embedding")

    @property
    def attention(self) -> Expression:
        """The multiply–accumulates of both products of attention."""
        return self.per_token("macs", "attention")


GPT2 = Shape("gpt2", "GPT-2 (small)", h, None, positions=1024, gated=False, tied=True)
LLAMA = Shape("llama3_8b", "Llama 3 8B", 32 * d, 32, positions=0, gated=True, tied=False)
SHAPES = (GPT2, LLAMA)


@dataclass(frozen=True)
class Claim:
    """A formula in use: FLOPs of one token, and the named parts of its difference to twice our MACs."""

    name: str
    source: str
    training: bool
    words: str
    theirs: Callable[[Shape], Expression]
    parts: Callable[[Shape], Mapping[str, Expression]]

    def ours(self, shape: Shape) -> Expression:
        """Twice our MACs for one token; a training step has three times those of the forward pass."""
        return (6 if self.training else 2) * shape.per_token("macs")

    def difference(self, shape: Shape) -> Expression:
        return sympy.expand(self.theirs(shape) - self.ours(shape))

    def named(self, shape: Shape) -> Mapping[str, Expression]:
        """The parts that are not 0."""
        parts = {name: sympy.expand(part) for name, part in self.parts(shape).items()}
        return {name: part for name, part in parts.items() if part != 0}


def non_embedding(shape: Shape) -> Expression:
    """Kaplan's N, without embeddings, biases and norms: the matrices of all blocks."""
    return shape.matrices - shape.logits


def feed_forward(shape: Shape) -> tuple[int, Expression]:
    """The number of matrices of a feed-forward part, and its inner width."""
    return (3, f) if shape.gated else (2, 4 * h)


def queries(shape: Shape) -> tuple[Expression, Expression]:
    """The widths of all queries, and of all keys."""
    return (h, h) if shape.heads is None else (32 * d, 8 * d)


def megatron(shape: Shape) -> Expression:
    """FLOPs of a token: three passes of the feed-forward part, projections, causal attention and logits."""
    number, inner = feed_forward(shape)
    query, key = queries(shape)
    projections = h * (query + 2 * key) + query * h
    return 6 * (L * (number * h * inner + projections + query * s) + h * V)


def untied(shape: Shape) -> Expression:
    """The tables of embeddings of a network without a tied one."""
    return sympy.Integer(0) if shape.tied else shape.tables


def narayanan(forward: int, backward_logits: int) -> Callable[[Shape], Expression]:
    """``forward``·h²·L·(1 + s/(6h) + V/(``backward_logits``·L·h)) for one token."""
    return lambda shape: forward * L * h**2 * (1 + s / (6 * h) + V / (backward_logits * L * h))


def gpt_block(shape: Shape) -> Expression:
    """How many more weights the blocks of Narayanan's GPT have than those of this network."""
    return 12 * h**2 * L - non_embedding(shape)


ATTENTION = "attention's two products are left out"
HALF = "one of attention's two products is left out"
LOGITS = "the logits are left out"
BIASES = "biases, counted as if they were matrices"
NORMS = "weights of norms, counted as if they were matrices"
LOOKUPS = "tables of embeddings, counted as if they were matrices"
CAUSAL = "causal half: half of all scores are counted"
HEADS = "h/heads taken for the width of a head"
FEED_FORWARD = "12·h² weights taken for a block"
WIDTH = "h taken for the width of all heads together"
RECOMPUTE = "a second forward pass of the blocks (activation checkpointing), which our run does not make"


CLAIMS = (
    Claim(
        "Kaplan, 2N",
        KAPLAN,
        False,
        "2·N, where N is the weights of all matrices in blocks",
        lambda shape: 2 * non_embedding(shape),
        lambda shape: {ATTENTION: -2 * shape.attention, LOGITS: -2 * shape.logits},
    ),
    Claim(
        "Kaplan with attention",
        KAPLAN,
        False,
        "2·N + 2·L·s·h, where h is the width of all heads together",
        lambda shape: 2 * non_embedding(shape) + 2 * L * s * shape.attended,
        lambda shape: {HALF: -shape.attention, LOGITS: -2 * shape.logits},
    ),
    Claim(
        "2N of all parameters",
        "in common use",
        False,
        "2·N, where N is all parameters",
        lambda shape: 2 * shape.figure("parameters"),
        lambda shape: {
            ATTENTION: -2 * shape.attention,
            LOOKUPS: 2 * shape.tables,
            BIASES: 2 * shape.biases,
            NORMS: 2 * shape.norms,
        },
    ),
    Claim(
        "Narayanan, forward",
        NARAYANAN + "from the operations of a layer and of the logits in the appendix",
        False,
        "24·L·h²·(1 + s/(6·h) + V/(12·L·h))",
        narayanan(24, 12),
        lambda shape: {
            FEED_FORWARD: 2 * gpt_block(shape),
            WIDTH: 4 * s * L * h - 2 * shape.attention,
        },
    ),
    Claim(
        "Narayanan, with recomputation",
        NARAYANAN + "equation 3 and appendix",
        True,
        "96·L·h²·(1 + s/(6·h) + V/(16·L·h))",
        narayanan(96, 16),
        lambda shape: {
            RECOMPUTE: 2 * (non_embedding(shape) + shape.attention),
            FEED_FORWARD: 8 * gpt_block(shape),
            WIDTH: 4 * (4 * s * L * h - 2 * shape.attention),
        },
    ),
    Claim(
        "Narayanan, without recomputation",
        NARAYANAN + "the same without the second forward pass",
        True,
        "72·L·h²·(1 + s/(6·h) + V/(12·L·h))",
        narayanan(72, 12),
        lambda shape: {
            FEED_FORWARD: 6 * gpt_block(shape),
            WIDTH: 3 * (4 * s * L * h - 2 * shape.attention),
        },
    ),
    Claim(
        "PaLM",
        PALM,
        True,
        "6·N + 12·L·H·Q·T, where N is all parameters, H·Q the width of all heads, T = s",
        lambda shape: 6 * shape.figure("parameters") + 12 * L * shape.attended * s,
        lambda shape: {
            LOOKUPS: 6 * shape.tables,
            BIASES: 6 * shape.biases,
            NORMS: 6 * shape.norms,
        },
    ),
    Claim(
        "nanoGPT",
        NANOGPT,
        True,
        "6·N + 12·L·H·Q·T, where N is all parameters but positions, and Q = h/H",
        lambda shape: 6 * (shape.figure("parameters") - shape.positions * h) + 12 * L * h * s,
        lambda shape: {
            LOOKUPS: 6 * (shape.tables - shape.positions * h),
            BIASES: 6 * shape.biases,
            NORMS: 6 * shape.norms,
            HEADS: 12 * L * s * h - 6 * shape.attention,
        },
    ),
    Claim(
        "Megatron-LM",
        MEGATRON,
        True,
        "6·(L·(matrices of a block + H·Q·s) + h·V), for all tokens divided by their number",
        megatron,
        lambda shape: {CAUSAL: -3 * shape.attention},
    ),
    Claim(
        "torchtitan",
        TORCHTITAN,
        True,
        "6·N + 6·L·H·(Q + Q)·s, where N is all parameters, without the tables of embeddings if the logits are not tied",
        lambda shape: 6 * (shape.figure("parameters") - untied(shape)) + 12 * L * shape.attended * s,
        lambda shape: {
            LOOKUPS: 6 * (shape.tables - untied(shape)),
            BIASES: 6 * shape.biases,
            NORMS: 6 * shape.norms,
        },
    ),
)
