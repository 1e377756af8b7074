"""Writes docs/published-formulas.md: ``python -m tests.symbolic.page``; ``--derive`` derives our formulas again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import sympy
from tabulate import tabulate

from profiler.config import load_config
from profiler.formatting import thousands
from profiler.symbolic.expressions import Expression
from profiler.symbolic.writing import simplified, text
from tests.symbolic.published import CLAIMS, SHAPES, B, Claim, Shape

PAGE = Path(__file__).parents[2] / "docs" / "published-formulas.md"

KEPT = ("name", "target", "mode", "sizes", "words", "fitted", "total", "kinds")
"""The keys of a formula's JSON that are stored."""


def derived(shape: Shape) -> dict[str, Any]:
    """What is stored of the formula of a shape, derived now; this takes a minute."""
    import profiler

    content = json.loads(profiler.formula(load_config(shape.config)).to_json())
    content["kinds"] = {kind: row for kind, row in content["kinds"].items() if set(row.values()) != {"0"}}
    return {key: content[key] for key in KEPT}


def write_derived() -> None:
    """Store the formulas of all shapes."""
    for shape in SHAPES:
        stored = json.dumps(derived(shape), ensure_ascii=False, indent=1) + "\n"
        shape.stored.write_text(stored, encoding="utf-8")


def table(rows: list[list[str]], heads: list[str], numbers: tuple[int, ...] = ()) -> str:
    """A Markdown table; the columns with these places are numbers."""
    aligned = ["right" if place in numbers else "left" for place in range(len(heads))]
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=aligned)


def written(shape: Shape, expression: Expression) -> str:
    """A formula of one token as text; ``2·h·V``."""
    return text(simplified(sympy.expand(expression)), tuple(shape.sizes))


def signed(value: int) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{thousands(abs(value))}"


def percent(value: int, of: int) -> str:
    share = abs(100 * value / of)
    digits = f"{share:.2f}" if share >= 0.01 else f"{share:.4f}"
    return f"{'+' if value > 0 else '−'}{digits} %" if value else "0"


def overview(shape: Shape) -> str:
    """All formulas in numbers."""
    rows = []
    for claim in CLAIMS:
        theirs, ours = shape.value(claim.theirs(shape)), shape.value(claim.ours(shape))
        rows.append(
            [
                claim.name,
                "training" if claim.training else "forward",
                thousands(theirs),
                thousands(ours),
                percent(theirs - ours, ours),
            ]
        )
    return table(rows, ["formula", "pass", "theirs", "ours, 2 × MACs", "difference"], (2, 3, 4))


def differences(shape: Shape) -> str:
    """Each difference in its parts, in symbols and numbers."""
    rows = []
    for claim in CLAIMS:
        named = claim.named(shape)
        for place, (name, part) in enumerate(named.items()):
            rows.append([claim.name if place == 0 else "", name, written(shape, part), signed(shape.value(part))])
        if not named:
            rows.append([claim.name, "none", "0", "0"])
    return table(rows, ["formula", "part of theirs − ours", "in symbols", "FLOPs"], (3,))


def left_out(shape: Shape) -> str:
    """What is in all our FLOPs but not in twice the MACs, by kind of work, for one token."""
    rows, sum_of = [], sympy.Integer(0)
    for kind in shape.content["kinds"]:
        rest = shape.per_token("flops", kind) - 2 * shape.per_token("macs", kind)
        if rest != 0:
            sum_of += rest
            rows.append([kind, written(shape, rest.subs(B, 1)), signed(shape.value(rest.subs(B, 1)))])
    assert sympy.expand(sum_of - shape.per_token("flops") + 2 * shape.per_token("macs")) == 0
    return table(rows, ["kind", "FLOPs − 2·MACs of one token", "FLOPs"], (2,))


def section(shape: Shape) -> str:
    """Everything about one network."""
    sizes = ", ".join(f"{name} = {value:,}" for name, value in shape.sizes.items())
    return f"""## {shape.heading}

For {sizes}. Derived from `{shape.config.name}`:

- parameters = {written(shape, shape.figure("parameters"))}
- MACs of one token = {written(shape, shape.per_token("macs"))}
- FLOPs of one token = {written(shape, shape.per_token("flops").subs(B, 1))}, if B = 1

FLOPs of one token:

{overview(shape)}

{differences(shape)}

What all formulas leave out, in the forward pass: operations that are no products of matrices, and as a negative number
that a sum of n products needs n − 1 additions only.

{left_out(shape)}
"""


def source(claim: Claim) -> list[str]:
    return [claim.name, claim.words, claim.source]


def page() -> str:
    """The page as text, from the stored formulas."""
    return f"""# Formulas in use, and ours

People estimate the cost of a transformer by formulas. This page has some of them beside what
[`profiler formula`](formulas.md) derives from the networks themselves, for the shapes of GPT-2 (small) and Llama 3 8B.
Every difference is a sum of named parts. Each part is made from another row of our formula than the total, such as the
parameters of norms or the MACs of attention. A test adds the parts up to the difference, in symbols, exactly.

B is the number of sequences, s of tokens, L of layers, V of words, h the width, f the width of Llama's feed-forward
part, and d that of one of its 32 heads. **Ours** is twice the MACs. A training step has three times the MACs of the
forward pass: each matrix is multiplied once more for the gradient of its input and once more for the gradient of its
weights, and each product of attention once more for each of its factors. A test compares this with profiles of
training. FlashAttention computes the scores again; the attention of our run, which torch decomposes, does not.

{table([source(claim) for claim in CLAIMS], ["formula", "FLOPs of one token", "source"])}

Narayanan et al. print 96·B·s·L·h²·(1 + s/(6·h) + V/(16·L·h)) for a batch. The 96 holds for training with
recomputation. There the blocks run forward twice and backward once, which is 4 × 24, but the logits only 3 × 2, and
6/96 is 1/16. The forward pass alone is 24·B·s·L·h²·(1 + s/(6·h) + V/(12·L·h)), since 2/24 is 1/12, and training without
recomputation is three times as much. So both fractions of V are right, each with its own factor: 16 goes with 96, and
12 with 24 and 72.

The code was read at the commits that the links name. Equation 3 and the appendix of Narayanan et al. were read in a
copy of the paper's text. The papers of Kaplan et al. and on PaLM were not read for this page. What it has of them is
what others quote: nanoGPT says in a comment that its formula is that of PaLM's appendix B; the linked question quotes
2·N and that the logits are not in it; and code of several public repositories has 2·L·s·h for attention from the same
table. Frameworks change their formulas from time to time: torchtitan now leaves no table out if the logits are tied to
one, as those of GPT-2 are.

{(chr(10)).join(section(shape) for shape in SHAPES)}
This page is written by `python -m tests.symbolic.page`.
"""


if __name__ == "__main__":
    if "--derive" in sys.argv[1:]:
        write_derived()
    PAGE.write_text(page(), encoding="utf-8")
