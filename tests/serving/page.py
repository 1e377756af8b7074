"""Writes docs/serving-figures.md: ``python -m tests.serving.page``; ``--derive`` runs the networks again on meta."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import wrap
from typing import Any

from tabulate import tabulate

from profiler.devices import find_device
from profiler.formatting import share_text, thousands
from profiler.throughput import DAY, Throughput
from tests.serving.published import (
    LENGTH,
    LINEAR,
    LLAMA_2_7B,
    LLAMA_405B,
    LLAMA_FLOPS,
    LLAMA_HOURS,
    LLAMA_LENGTHS,
    LLAMA_RUNS,
    LLAMA_TOKENS,
    PALM_BLOCKS,
    PALM_LENGTH,
    PALM_THROUGHPUT,
    llama_with,
    palm_with,
    serving_of_llama_2,
    with_blocks,
)

PAGE = Path(__file__).parents[2] / "docs" / "serving-figures.md"

STORED = Path(__file__).with_name("figures.json")


def derived() -> dict[str, Any]:
    """Our figures of all networks, which takes a minute."""
    return {
        "llama_2_7b": serving_of_llama_2(),
        "palm": with_blocks(palm_with, PALM_BLOCKS, PALM_LENGTH),
        "llama_405b": {
            str(length): with_blocks(llama_with, LLAMA_405B["num_hidden_layers"], length) for length in LLAMA_LENGTHS
        },
    }


def table(heads: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    """A Markdown table; the columns with these places are numbers."""
    aligned = ["right" if place in numbers else "left" for place in range(len(heads))]
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=aligned)


def signed(number: int) -> str:
    """A difference, with a minus sign."""
    return f"{'+' if number > 0 else '−' if number < 0 else ''}{thousands(abs(number))}"


def terms(theirs: int, ours: int, named: list[tuple[str, str, int]]) -> str:
    """The parts of theirs − ours, which have to add up to it."""
    assert sum(number for _, _, number in named) == theirs - ours, (theirs - ours, named)
    rows = [[words, formula, signed(number)] for words, formula, number in named]
    rows.append(["together: theirs − ours", "", signed(theirs - ours)])
    return table(["part of theirs − ours", "in symbols", "number"], rows, (2,))


def text(found: dict[str, Any]) -> str:
    """The page."""
    blocks = [
        "# Published figures on serving and training",
        "Figures of papers and guides next to ours, each with its arithmetic. Our figures are those of the networks "
        "themselves, traced on the meta device in bfloat16. Training is that of networks with 2 and 4 blocks, from "
        "which the "
        "figures for all blocks follow, since blocks are equal and every figure is a line in their number. Words "
        "are defined in [serving.md](serving.md).",
        *of_llama_2(found["llama_2_7b"]),
        *of_palm(found["palm"]),
        *of_llama_405b(found["llama_405b"]),
        "This page is written by `python -m tests.serving.page`; `--derive` runs the networks again.",
    ]
    return "\n\n".join(map(wrapped, blocks)) + "\n"


def wrapped(block: str) -> str:
    """A block in lines of at most 120 characters, unless it is a table; headings keep their lines."""
    if "|" in block:
        return block
    parts = block.split("\n\n")
    return "\n\n".join("\n".join(wrap(part, 120, break_long_words=False, break_on_hyphens=False)) for part in parts)


VIEWER = "https://github.com/hahnyuan/LLM-Viewer/blob/main/model_analyzer.py"


def of_llama_2(found: dict[str, Any]) -> list[str]:
    """Llama-2-7B: layer by layer, and the rules of thumb for prefill and decode."""
    s, h, blocks = LENGTH, LLAMA_2_7B["hidden_size"], LLAMA_2_7B["num_hidden_layers"]
    heads, words, n = LLAMA_2_7B["num_attention_heads"], LLAMA_2_7B["vocab_size"], found["parameters"]
    rows = []
    for name, (before, after) in LINEAR.items():
        macs, moved = found["layers"][name]
        theirs = 2 * before * after * s, 2 * (before * after + s * before + s * after)
        rows.append([name, f"2·{before}·{after}·s", *_pair(theirs[0], 2 * macs), *_pair(theirs[1], moved)])
    macs, moved = found["attention"]
    products = 4 * s * s * h
    apart = 2 * 4 * s * h + 2 * (2 * heads * s * s)
    rows.append(["both products of attention", "4·s²·h", *_pair(products, 2 * macs), *_pair(apart, moved)])
    prefill, step = found["rows"]["prefill"], found["rows"]["first decode step"]
    joined, _ = found["joined"]
    cache, cache_after = found["cache"], step["cache_bytes"]
    moved_by_step = step["bytes_read"] + step["bytes_written"]
    h100 = find_device("h100")
    by_rule = found["parameter_bytes"] / h100.memory_bandwidth
    return [
        "## Llama-2-7B: prefill and decode",
        f"A prompt of s = {thousands(s)} tokens, one text, {thousands(n)} parameters in bfloat16; h = {thousands(h)}, "
        f"L = {blocks} blocks, V = {thousands(words)}.",
        f"### Layers of a block in prefill\n\nTheirs are the formulas of [LLM-Viewer]({VIEWER}) (read at commit "
        "01b269d), "
        "which the survey *LLM Inference Unveiled* (Z. Yuan et al., <https://arxiv.org/abs/2402.16363>) tabulates for "
        "this network. Ours are 2 × MACs, and the bytes read and written.",
        table(
            ["layer", "operations", "theirs", "ours", "their bytes", "our bytes"],
            rows,
            (2, 3, 4, 5),
        ),
        "The bytes of attention differ by its scores, s² of 2 bytes for each head: in theirs the first product "
        "writes them "
        "and the second reads them, in ours a fused kernel keeps them.",
        terms(apart, moved, [("scores, written and read", "2 · 2·32·s²", apart - moved)]),
        "### Prefill\n\nThe rule of thumb is 2 FLOPs for each parameter and token, 2·N·s "
        "(J. Kaplan et al., <https://arxiv.org/abs/2001.08361>, section 2.1). Ours are 2 × MACs.",
        terms(
            2 * n * s,
            2 * prefill["macs"],
            [
                ("attention's two products are left out", "−4·s²·h·L", -4 * s * s * h * blocks),
                ("the table of embeddings, counted as a matrix", "2·h·V·s", 2 * h * words * s),
                ("logits of all positions; ours are those of the last", "2·h·V·(s − 1)", 2 * h * words * (s - 1)),
                ("weights of norms, counted as matrices", "2·(2·L + 1)·h·s", 2 * found["norms"] * s),
            ],
        ),
        "### One decode step\n\nThe same rule, 2·N for a token:",
        terms(
            2 * n,
            2 * step["macs"],
            [
                ("attention over the cache and the token is left out", "−4·(s + 1)·h·L", -4 * (s + 1) * h * blocks),
                ("the table of embeddings, counted as a matrix", "2·h·V", 2 * h * words),
                ("weights of norms, counted as matrices", "2·(2·L + 1)·h", 2 * found["norms"]),
            ],
        ),
        "### The cache\n\n"
        "The rule is 2 (keys and values) × 2 bytes × L × h for a token "
        "(<https://www.baseten.co/blog/llm-transformer-inference-guide/>): "
        f"{thousands(2 * 2 * blocks * h)} bytes. Ours after prefill are {thousands(prefill['cache_bytes'])} bytes = "
        f"{thousands(2 * 2 * blocks * h)} · {thousands(s)}: equal, as is that after one more token.",
        "### The time of a token\n\nThe rule is the size of the parameters ÷ memory bandwidth (the same guide). On "
        f"{h100.name} "
        f"it is {found['parameter_bytes'] / 1e9:.2f} GB ÷ {h100.memory_bandwidth / 1e12:.2f} TB/s = "
        f"{by_rule * 1e3:.2f} ms. "
        f"Our least time is {step['time_at_least'] / 1e9:.2f} ms, that is at most {step['tokens_per_second']:.0f} "
        "tokens per "
        f"second, bound by {step['bound_by']}; the bytes of the step:",
        terms(
            found["parameter_bytes"],
            moved_by_step,
            [
                ("the table of embeddings, of which a step reads one row", "2·h·(V − 1)", 2 * h * (words - 1)),
                ("the cache, which attention reads with the new token", "", -cache_after),
                ("joining the cache and the token: reads and writes both", "", -joined),
                (
                    "activations",
                    "",
                    found["parameter_bytes"] - moved_by_step - 2 * h * (words - 1) + cache_after + joined,
                ),
            ],
        ),
        f"An engine that appends to its cache in place does not join it: {thousands(joined)} bytes fewer. The cache "
        "had "
        f"{thousands(cache)} bytes before the step.",
        "### A generation\n\n"
        + table(
            ["run", "MACs", "FLOPs", "bytes read", "bytes written", "cache, bytes", "time at least, ms", "tokens/s"],
            [
                [
                    name,
                    *(thousands(row[key]) for key in ("macs", "flops", "bytes_read", "bytes_written", "cache_bytes")),
                    f"{row['time_at_least'] / 1e9:,.2f}",
                    f"{row['tokens_per_second']:,.1f}",
                ]
                for name, row in found["rows"].items()
            ],
            tuple(range(1, 8)),
        ),
    ]


def _pair(theirs: int, ours: int) -> list[str]:
    return [thousands(theirs), thousands(ours)]


def of_palm(found: dict[str, Any]) -> list[str]:
    """PaLM 540B: its MFU from its published throughput."""
    speed = Throughput.read(**PALM_THROUGHPUT)
    blocks, heads, head, t, n = PALM_BLOCKS, 48, 256, PALM_LENGTH, found["parameters"]
    rate, devices, tokens = 238_300, 6144, PALM_LENGTH
    device = find_device("tpu_v4")
    peak = device.tensor["bfloat16"]
    attention = 12 * blocks * heads * head * t
    published = 6 * n + attention
    ours = found["flops"] // tokens
    assert ours * tokens == found["flops"]

    seconds = speed.seconds(tokens)
    assert seconds is not None

    def mfu(flops: int) -> str:
        return share_text(flops * rate / (devices * peak))

    return [
        "## PaLM 540B: 46.2 % MFU",
        "A. Chowdhery et al., *PaLM*, section 4.1 and appendix B, <https://arxiv.org/abs/2204.02311>: 238.3k "
        "tokens per "
        f"second on {thousands(devices)} TPU v4 chips of {peak / 1e12:.0f} TFLOP/s; N parameters, L = {blocks} layers, "
        f"H = {heads} heads of Q = {head}, T = {thousands(t)} tokens. FLOPs of a token are 6·N + 12·L·H·Q·T. The "
        "network "
        "is built from the paper in `tests/serving/palm.py`.",
        table(
            ["", "FLOPs per token", "arithmetic", "MFU", "published"],
            [
                ["appendix B, without attention", thousands(6 * n), f"6·{thousands(n)}", mfu(6 * n), "45.7 %"],
                [
                    "appendix B",
                    thousands(published),
                    f"6·{thousands(n)} + 12·{blocks}·{heads}·{head}·{thousands(t)}",
                    mfu(published),
                    "46.2 %",
                ],
                ["ours, contractions", thousands(ours), "2 × MACs ÷ tokens", mfu(ours), ""],
            ],
            (1, 3, 4),
        ),
        f"MFU = FLOPs per token · 238,300 ÷ ({thousands(devices)} · {peak / 1e12:.0f}·10¹²). FLOPs of a token:",
        terms(
            published,
            ours,
            [("weights of norms, counted as matrices", "6·(L + 1)·h", 6 * found["norms"])],
        ),
        "The paper's HFU of 57.8 % includes what is recomputed in training. It does not say which operations these "
        "are, so "
        "it is not computed here; if all of the forward pass ran again, HFU would be 4/3 of MFU, "
        f"{mfu(ours * 4 // 3)}.",
        f"At that speed 780 G tokens, those of PaLM's training, take {float(seconds) / DAY:.1f} days and "
        f"{float(seconds) / 3600 * devices / 1e6:.2f} million chip-hours. The paper reports 1,200 hours on 6,144 "
        "chips and 336 on "
        f"3,072, {(1200 * 6144 + 336 * 3072) / 1e6:.2f} million, in which interruptions and repeated steps are "
        "included.",
    ]


def of_llama_405b(found: dict[str, Any]) -> list[str]:
    """LLaMA 3.1 405B: MFU, tokens per second and GPU-hours from the published TFLOP/s."""
    device = find_device("h100")
    peak = device.tensor["bfloat16"]
    blocks, h, words = LLAMA_405B["num_hidden_layers"], LLAMA_405B["hidden_size"], LLAMA_405B["vocab_size"]
    first = found[str(LLAMA_LENGTHS[0])]
    n = first["parameters"]
    per_token = {length: found[str(length)]["flops"] // length for length in LLAMA_LENGTHS}
    rows, conventions = [], []
    for devices, length, tera, percent in LLAMA_RUNS:
        rate = tera * 1e12
        rows.append(
            [
                thousands(devices),
                thousands(length),
                str(tera),
                f"{percent} %",
                f"{tera} ÷ {peak / 1e12:.1f}",
                share_text(rate / peak),
            ]
        )
        attention = 12 * blocks * h * length
        for words_of, flops in (
            ("6·N", 6 * n),
            ("6·N + 12·L·h·T", 6 * n + attention),
            ("6·N + 6·L·h·T: half of the scores", 6 * n + attention // 2),
            ("ours, contractions", per_token[length]),
        ):
            tokens = rate / flops
            conventions.append(
                [
                    thousands(devices),
                    thousands(length),
                    words_of,
                    thousands(flops),
                    f"{tokens:,.1f}",
                    f"{tokens * devices / 1e6:,.3f}",
                    f"{2**24 / (tokens * devices):,.2f}",
                ]
            )
    run = LLAMA_RUNS[1]
    days = {}
    for name, flops in (("6·N", 6 * n), ("ours, contractions", per_token[run[1]])):
        seconds = LLAMA_TOKENS * flops / (run[2] * 1e12 * run[0])
        days[name] = [
            name,
            f"{LLAMA_TOKENS * flops:.3g}",
            f"{seconds / 86400:,.1f}",
            f"{seconds * run[0] / 3600 / 1e6:,.2f}",
        ]
    t = LLAMA_LENGTHS[0]
    return [
        "## LLaMA 3.1 405B: 38 to 43 % MFU",
        "A. Grattafiori et al., *The Llama 3 Herd of Models*, section 3.3.2 and table 4, "
        "<https://arxiv.org/abs/2407.21783>; the rows were compared with "
        "<https://www.glennklockwood.com/garden/llama-3.1>. "
        f"The peak of {device.name} is {peak / 1e12:.1f} TFLOP/s in bfloat16.",
        table(
            ["GPUs", "tokens of a sequence", "TFLOP/s per GPU", "published MFU", "arithmetic", "MFU"],
            rows,
            (0, 1, 2, 3, 5),
        ),
        "The published TFLOP/s are rounded to tens: 41 % is 401 to 411 TFLOP/s. The paper does not print the FLOPs "
        "of a "
        f"token from which they are computed. N = {thousands(n)}, L = {blocks}, h = {thousands(h)}. By each "
        "convention the "
        "same TFLOP/s are a different speed; a step has 2²⁴ tokens (16M):",
        table(
            ["GPUs", "T", "FLOPs of a token", "number", "tokens/s per GPU", "M tokens/s", "seconds per step"],
            conventions,
            (0, 1, 3, 4, 5, 6),
        ),
        f"FLOPs of a token at T = {thousands(t)}, 6·N against ours:",
        terms(
            6 * n,
            per_token[t],
            [
                ("attention is left out", "−12·L·h·T", -12 * blocks * h * t),
                ("the table of embeddings, counted as a matrix", "6·h·V", 6 * h * words),
                ("weights of norms, counted as matrices", "6·(2·L + 1)·h", 6 * first["norms"]),
            ],
        ),
        f"The budget of {LLAMA_TOKENS / 1e12:.1f} T tokens at {run[2]} TFLOP/s on {thousands(run[0])} GPUs, all of "
        "it with "
        f"{thousands(run[1])} tokens in a sequence:",
        table(
            ["FLOPs of a token", "FLOPs of the run", "days", "million GPU-hours"],
            list(days.values()),
            (1, 2, 3),
        ),
        f"The paper has {LLAMA_FLOPS:.1e} FLOPs, which is 6·N for each token. The model card "
        "(<https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/MODEL_CARD.md>) has "
        f"{LLAMA_HOURS / 1e6:.2f} million GPU-hours. These include what no count of FLOPs has: interruptions, the "
        "start with smaller batches, and sequences of up to 131,072 tokens at the end.",
    ]


if __name__ == "__main__":
    if "--derive" in sys.argv[1:]:
        STORED.write_text(json.dumps(derived(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(text(json.loads(STORED.read_text(encoding="utf-8"))), encoding="utf-8")
