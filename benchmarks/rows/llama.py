"""A Llama of 405 billion parameters on meta: the time and the memory of its profile."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

from benchmarks.profiling import ALONE, WITH_TABLES, profiling, warm_up
from benchmarks.results import Result, figure, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import plain, take_turns

if TYPE_CHECKING:
    from torch import nn

SUBJECT = "Llama-405B"
MEMORY = "MiB above the imports"
SIZES = {
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
TOKENS = 8192


def measure(subject: str, options: Options) -> Result:
    """The peak memory is read after the imports, and after the network was built and profiled, before anything else.

    The bare forward pass gets a mask: transformers reads values in order to make one, which meta tensors do not have.
    """
    warm_up()
    import torch

    import profiler

    profiler.import_torchvision()
    from transformers import LlamaConfig, LlamaForCausalLM

    imported = _peak()
    configured: Any = LlamaConfig
    with torch.device("meta"):
        model: nn.Module = LlamaForCausalLM(configured(**SIZES, use_cache=False))
        model.eval()
        x = torch.zeros(1, TOKENS, dtype=torch.int64)
        mask = torch.zeros(1, 1, TOKENS, TOKENS)

    def forward() -> object:
        with torch.no_grad():
            return model(x, attention_mask=mask)

    built = _peak()
    samples = take_turns([profiling(model, x)], 1)
    figures = {MEMORY: [_peak() - imported], "MiB of the network": [built - imported]}
    samples.update(take_turns([plain("forward", forward)], 1))
    return Result("llama", subject, samples, figures)


def _peak() -> float:
    """The largest resident size so far, in MiB; Linux reports it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


ROW = Row(
    "A Llama of 405 billion parameters (126 layers, 16384 wide, 128 heads, 8 key–value heads), 8192 tokens",
    (SUBJECT,),
    measure,
    (
        seconds(WITH_TABLES, must=1, wanted=0.3, label="seconds of a profile"),
        figure(MEMORY, "MiB", must=1024),
        figure("MiB of the network", "MiB"),
        ratio(WITH_TABLES, "forward", label="profile / forward"),
        ratio(ALONE, "forward", label="profile, no tables / forward"),
    ),
    quick=(SUBJECT,),
    repeats=3,
    new_processes=True,
)
