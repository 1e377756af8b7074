"""A step of generation: what follows a cache of some length, in the class of cache that the network uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.config import load_config
from profiler.errors import ConfigError, TargetError
from profiler.models.building import build_model, build_real_model
from profiler.models.transformers_caches import continued
from profiler.profiles import Profile
from profiler.render.report import profile_report
from tests.small_llama import HEADS, HIDDEN, INNER, LAYERS, LLAMA, SHARED, SIZE, WORDS

pytestmark = pytest.mark.slow  # transformers takes seconds to import

CONFIGS = Path(__file__).parents[2] / "configs"

OF_A_TOKEN = LAYERS * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * SHARED * SIZE + 3 * HIDDEN * INNER) + HIDDEN * WORDS
"""The products with weights for one token: queries and output, keys and values, the feed-forward, the head."""


def attention(keys: int) -> int:
    """The products of one token's attention in all layers: with each key, and with each value."""
    return LAYERS * HEADS * keys * (SIZE + SIZE)


def profiled(tmp_path: Path, target: str, kwargs: Any, **more: Any) -> Profile:
    path = tmp_path / "step.yaml"
    text = {"model": {"target": f"transformers:{target}", "kwargs": kwargs}, "crosscheck": False, **more}
    path.write_text(str(text).replace("False", "false"), encoding="utf-8")
    return profiler.profile_config(load_config(path))


@pytest.mark.parametrize("length", [1, 48, 2048])
def test_a_step_attends_to_the_cache_and_to_itself(tmp_path: Path, length: int) -> None:
    """One token of a Llama with grouped queries has its own weights, and attention over ``length`` keys and its own."""
    found = profiled(tmp_path, "LlamaForCausalLM", {"config": LLAMA}, cache={"length": length})
    assert found.total.macs == OF_A_TOKEN + attention(length + 1)
    assert (found.status, found.trace.real_run) == ("complete", "")


def test_the_length_of_the_cache_is_reported_and_saved(tmp_path: Path) -> None:
    """The header has it, and a saved profile keeps it."""
    found = profiled(tmp_path, "LlamaForCausalLM", {"config": LLAMA}, cache={"length": 2048})
    assert {fact.label: fact.value for fact in profile_report(found).facts}["cache"] == "2,048 tokens"
    found.save(tmp_path / "step.json")
    assert profiler.load_profile(tmp_path / "step.json") == found


def test_several_tokens_of_a_batch_attend_to_all_keys(tmp_path: Path) -> None:
    """Three tokens of two texts: each of the six attends to all keys, including masked ones."""
    inputs = {"input_ids": {"shape": [2, 3], "dtype": "int64"}}
    found = profiled(tmp_path, "LlamaForCausalLM", {"config": LLAMA}, cache={"length": 10}, inputs=inputs)
    assert found.total.macs == 2 * 3 * (OF_A_TOKEN + attention(10 + 3))


def test_the_text_may_be_positional(tmp_path: Path) -> None:
    """It is the first argument of the forward."""
    inputs = [{"shape": [1, 1], "dtype": "int64"}]
    found = profiled(tmp_path, "LlamaForCausalLM", {"config": LLAMA}, cache={"length": 10}, inputs=inputs)
    assert found.total.macs == OF_A_TOKEN + attention(11)


def test_a_sliding_window_keeps_the_cache_short(tmp_path: Path) -> None:
    """After 48 tokens, a window of 16 leaves 15 keys and the token's own."""
    kwargs = {"config": {**LLAMA, "sliding_window": 16}}
    found = profiled(tmp_path, "MistralForCausalLM", kwargs, cache={"length": 48})
    assert found.total.macs == OF_A_TOKEN + attention(16)


def test_an_encoder_does_not_run_again(tmp_path: Path) -> None:
    """A step of T5 runs only the decoder, on the encoder's keys in the cache."""
    config = {"num_layers": 1, "d_model": 8, "d_kv": 4, "num_heads": 2, "d_ff": 16, "vocab_size": 32}
    found = profiled(tmp_path, "T5ForConditionalGeneration", {"config": config}, cache={"length": 5})
    own = 4 * 8 * 8 + 2 * 6 * (4 + 4)  # queries, keys, values and output; 5 keys in the cache and the token's own
    across = 2 * 8 * 8 + 2 * 128 * (4 + 4)  # queries and output; the keys of a text of 128 tokens are in the cache
    assert found.total.macs == own + across + 2 * 8 * 16 + 8 * 32
    assert {call.module.partition(".")[0] for call in found.trace.calls if call.count.macs} == {"decoder", "lm_head"}


def test_the_cost_of_a_state_does_not_depend_on_length(tmp_path: Path) -> None:
    """A step of Mamba costs the same after a short and a long text."""
    config = {"num_hidden_layers": 1, "hidden_size": 16, "state_size": 4, "vocab_size": 32}
    short, long = (
        profiled(tmp_path, "MambaForCausalLM", {"config": config}, cache={"length": length}).total for length in (4, 24)
    )
    assert short == long
    assert short.macs > 16 * 32


def test_a_real_network_gets_a_real_cache() -> None:
    """A cross-check or an equivalence check uses it; the network keeps its mode."""
    network = build_real_model("transformers:LlamaForCausalLM", {"config": LLAMA}).train()
    step = continued(network, {"input_ids": torch.ones(1, 1, dtype=torch.int64)}, 7)
    assert step["past_key_values"].get_seq_length() == 7
    assert step["past_key_values"].layers[0].keys.device.type == "cpu"
    assert network.training
    assert network(**step).logits.shape == (1, 1, WORDS)


def test_an_error_says_that_there_is_no_cache(tmp_path: Path) -> None:
    """A network of torch, one that generates nothing, inputs of another form, or no length is refused."""
    text = {"input_ids": torch.ones(1, 1, dtype=torch.int64)}
    with pytest.raises(TargetError, match="cache: Linear has none; expected a generative class of transformers"):
        continued(nn.Linear(1, 1), text, 3)
    small = {"config": {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}}
    with pytest.raises(TargetError, match="cache: BertModel returns none"):
        continued(build_model("transformers:BertModel", small), text, 3)
    with pytest.raises(TargetError, match=r"expected an input input_ids of shape \(batch, tokens\)"):
        continued(build_model("transformers:LlamaForCausalLM", {"config": LLAMA}), {}, 3)
    with pytest.raises(ConfigError, match=r"cache\.length: found 0, expected a positive integer"):
        profiled(tmp_path, "LlamaForCausalLM", {}, cache={"length": 0})


def test_the_committed_configs_are_a_prompt_and_a_step() -> None:
    """A prompt of 2,048 tokens and the token after it have as many products with weights for each token."""
    prompt, step = (
        profiler.profile_config(load_config(CONFIGS / f"llama_{name}.yaml")) for name in ("prefill", "decode")
    )
    layers, heads, size, tokens = 8, 8, 64, 2048
    by_keys = layers * heads * 2 * size
    assert prompt.total.macs - tokens * tokens * by_keys == tokens * (step.total.macs - (tokens + 1) * by_keys)
