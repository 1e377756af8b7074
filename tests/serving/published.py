"""Published figures on serving and training of language models, each with its source, and our runs of the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import profiler
from profiler.generations import figure
from profiler.models.building import build_model
from profiler.tables.utilization import flops_of
from tests.serving.palm import PaLM

LLAMA_2_7B = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
}
"""H. Touvron et al., *Llama 2*, https://arxiv.org/abs/2307.09288"""

LLAMA_405B = {
    "vocab_size": 128256,
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
"""A. Grattafiori et al., *The Llama 3 Herd of Models*, table 3, https://arxiv.org/abs/2407.21783"""

LENGTH = 2048
"""The tokens of the prompt of Llama-2-7B."""

PALM_THROUGHPUT = {"tokens_per_second": "238.3k", "devices": 6144, "token_budget": "780G"}
"""A. Chowdhery et al., *PaLM*, section 4.1 and appendix B, https://arxiv.org/abs/2204.02311"""

PALM_BLOCKS = 118

PALM_LENGTH, LLAMA_LENGTHS = 2048, (8192, 131072)
"""The tokens of a sequence in training."""

LLAMA_RUNS = ((8192, 8192, 430, 43), (16384, 8192, 400, 41), (16384, 131072, 380, 38))
"""GPUs, tokens of a sequence, TFLOP/s of a GPU, MFU in percent: table 4 of *The Llama 3 Herd of Models*."""

LLAMA_TOKENS, LLAMA_FLOPS, LLAMA_HOURS = 15_600 * 10**9, 3.8e25, 30_840_000
"""Tokens and FLOPs of the whole run (sections 1 and 3), and its GPU-hours (the model card)."""


def llama(settings: dict[str, int]) -> nn.Module:
    """The network on meta in bfloat16."""
    return build_model("transformers:LlamaForCausalLM", {"config": settings}, dtype="bfloat16")


def palm(**sizes: int) -> nn.Module:
    """PaLM on meta in bfloat16."""
    with torch.device("meta"):
        return PaLM(**sizes).to(torch.bfloat16)


def serving_of_llama_2() -> dict[str, Any]:
    """Llama-2-7B on one H100: prefill and decode steps, the layers of its first block, and its operations."""
    found = profiler.generation(llama(LLAMA_2_7B), prompt=LENGTH, new_tokens=257).with_device("h100")
    record = found.trace.whole.generation
    assert record is not None
    layers = {row["layer"]: row for row in found.tabulated("layers").records()}
    attention = [call for call in record.prefill.operations if call.op == "aten::scaled_dot_product_attention"]
    (call,) = attention
    names = ("bytes_read", "bytes_written", "macs")
    figures = {name: call.figures[place].at(0) for name, place in zip(names, (3, 4, 0), strict=True)}
    step = record.step(LENGTH)
    return {
        "parameters": found.parameters_total,
        "parameter_bytes": found.parameter_bytes,
        "norms": sum(record.size for record in found.trace.parameters if len(record.shape) == 1 and not record.buffer),
        "rows": {row["run"]: {key: row[key] for key in KEPT} for row in found.tabulated("generation").records()},
        "layers": {
            name: [
                layers[f"model.layers.0.{name}"]["macs"],
                layers[f"model.layers.0.{name}"]["bytes_read"] + layers[f"model.layers.0.{name}"]["bytes_written"],
            ]
            for name in LINEAR
        },
        "attention": [figures["macs"], figures["bytes_read"] + figures["bytes_written"]],
        "joined": [
            sum(
                call.times * (call.figures[3].at(0) + call.figures[4].at(0))
                for piece in step
                for call in piece.span.operations
                if call.op == "aten::cat" and call.figures[4].at(0) > 2**20
            ),
            figure(step, "parameter_bytes"),
        ],
        "cache": record.cache_before(LENGTH),
    }


KEPT = (
    *("macs", "flops", "bytes_read", "bytes_written", "parameter_bytes", "cache_bytes", "time_at_least"),
    *("tokens_per_second", "bound_by"),
)

LINEAR = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.k_proj": (4096, 4096),
    "self_attn.v_proj": (4096, 4096),
    "self_attn.o_proj": (4096, 4096),
    "mlp.gate_proj": (4096, 11008),
    "mlp.up_proj": (4096, 11008),
    "mlp.down_proj": (11008, 4096),
}
"""The linear layers of a block: what goes in, and what comes out."""


FEW = 2, 4
"""Numbers of blocks of the networks that are run.  Blocks are equal, so that every figure is a line in their number."""


def with_blocks(build: Callable[[int], nn.Module], blocks: int, tokens: int) -> dict[str, int]:
    """The figures of :func:`training_of` for a network of that many blocks, from two with few of them."""
    few, more = (training_of(build(number), tokens) for number in FEW)
    steps, left = divmod(blocks - FEW[0], FEW[1] - FEW[0])
    assert left == 0
    return {key: few[key] + (more[key] - few[key]) * steps for key in few}


def palm_with(blocks: int) -> nn.Module:
    """PaLM with that many blocks."""
    return palm(layers=blocks)


def llama_with(blocks: int) -> nn.Module:
    """LLaMA 3.1 405B with that many blocks."""
    return llama({**LLAMA_405B, "num_hidden_layers": blocks})


def sequence_of(tokens: int) -> torch.Tensor:
    """One sequence of that many tokens."""
    return torch.zeros(1, tokens, dtype=torch.int64, device="meta")


def training_of(model: nn.Module, tokens: int) -> dict[str, int]:
    """The FLOPs of contractions of one training step on a sequence of that many tokens."""
    name = "input_ids" if hasattr(model, "config") else "tokens"
    step = profiler.profile(model, {name: sequence_of(tokens)}, mode="training", name="step")
    return {
        "parameters": step.parameters_total,
        "norms": sum(record.size for record in step.trace.parameters if len(record.shape) == 1 and not record.buffer),
        "flops": flops_of(step.work, "MFU", "contractions"),
    }
