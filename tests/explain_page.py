"""Writes docs/explain.md: ``python -m tests.explain_page``."""

from __future__ import annotations

from pathlib import Path

from profiler.analysis.explaining import Explanation
from tests.config_profiles import of_config

PAGE = Path(__file__).parents[1] / "docs" / "explain.md"

INTRODUCTION = """\
# Why it costs what it costs

`profiler explain SOURCE [NAME]` derives counts as one would write them in an exercise. `SOURCE` is a config, a target
or a saved profile; saved ones are explained without torch. `NAME` is one of these, in this order:

| name | example | what is explained |
|:--|:--|:--|
| a layer, or the end of its name | `features.0`, `conv1` | its operations, their sum, gradients, other counters |
| an operator | `conv2d`, `aten::addmm` | all its calls: a table of the layers, and each different call once |
| a kind of work | `norm` | the same |
| a pattern | `layer1.*` | the same for these layers |
| nothing | | the network: what holds the parameters, what does the work, and why |

`--format markdown` prints formulas that GitHub shows, as on this page, and `--format latex` a whole document that needs
`amsmath` only. `--output DIR` writes files: `DIR/<network>/explanation.md`, `.tex` and `.txt`, or
`explanation-features.0.md` for a layer. In Python, `profile.explain("features.0")` returns an object with `text`,
`markdown` and `latex`, which a notebook shows.

Every number follows from the terms that the tables are made of, by the rules in [counting.md](counting.md). The names
of sizes come from the family of the operator; an operation without a family is derived in plain numbers. A formula is
only shown if it gives exactly the number in the table.

If other counters were run (`--crosscheck`), their reports are explained. Otherwise the explanation says what they
report by their own rules: these are the conventions of the cross-check, applied to the recorded shapes. Counters whose
report depends on more than shapes (ptflops, torchprofile) are only explained if they were run, and so are some modules:
`nn.MultiheadAttention`, which may run as one fused kernel, `einsum`, and convolutions with `padding="same"`.

The rest of this page is the output of three commands. It is written by `python -m tests.explain_page`.
"""


def section(command: str, explanation: Explanation) -> str:
    """A command and its output, with headings below those of the page."""
    lines = explanation.markdown.splitlines()
    body = "\n".join(f"##{line}" if line.startswith("#") else line for line in lines)
    return f"## `profiler explain {command} --format markdown`\n\n{body}\n"


def page() -> str:
    """The page as text."""
    return "\n".join(
        (
            INTRODUCTION,
            section("configs/alexnet.yaml", of_config("alexnet").explain()),
            section("configs/alexnet.yaml features.3", of_config("alexnet").explain("features.3")),
            section(
                "configs/transformer_training.yaml encoder.layers.0.linear1",
                of_config("transformer_training").explain("encoder.layers.0.linear1"),
            ),
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
