"""A generative network of transformers → its inputs for the tokens that follow a cache of a given length."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from profiler.config import InputSpec
from profiler.errors import ProfilerError, TargetError
from profiler.formatting import bytes_text
from profiler.models.real_copies import BYTES_LIMIT, real_size
from profiler.tracing import Inputs, call_arguments
from profiler.tracing.results import result_on_meta

CACHES = ("past_key_values", "cache_params", "state")
"""The names of the cache that networks return and take: of keys and values, of states, and RWKV's."""

ENCODED = {"encoder_last_hidden_state": "encoder_outputs"}
"""The encoder's result in the output of an encoder–decoder, and the argument for it that avoids another run."""

TEXTS = ("decoder_input_ids", "input_ids")
"""The names of the text that a network continues: the first of them among its inputs."""

MASKS = ("attention_mask", "decoder_attention_mask")


def continued(network: nn.Module, inputs: Inputs, length: int) -> dict[str, Any]:
    """The keyword arguments of a call that continues after a cache of ``length`` tokens.

    The cache is the one that the network returns for a text of ``length`` tokens, on the device of the network.  So it
    has the form of the network's class: grouped queries, sliding windows, states, latent keys, or the keys of an
    encoder.  The tokens of the call are those of ``inputs`` (batch, tokens).  Raises :class:`TargetError` if the
    network has no cache, and :class:`TraceError` if it cannot run on the text.
    """
    return _continued(network, inputs, length, _result)[0]


def continued_on_meta(network: nn.Module, inputs: Inputs, length: int) -> tuple[dict[str, Any], Any]:
    """The same with a cache on the meta device, whatever the device of the network; and the cache itself."""
    call, cache = _continued(network, inputs, length, result_on_meta)
    return call, call[cache]


def check_generative(network: nn.Module) -> None:
    """Raise :class:`TargetError` if the network is no causal language model of transformers that generates text."""
    settings = getattr(network, "config", None)
    generates = getattr(network, "can_generate", None)
    if (
        not (hasattr(settings, "get_text_config") and _takes(network, "use_cache") and _takes(network, "input_ids"))
        or not (callable(generates) and generates())
        or getattr(settings, "is_encoder_decoder", False)
    ):
        raise TargetError(
            f"generate: {type(network).__name__} is no causal language model of transformers with a cache, expected "
            "one such as transformers:LlamaForCausalLM"
        )


def prefill_inputs(network: nn.Module, prompt: int, batch: int, device: str = "meta") -> dict[str, Any]:
    """The arguments of the run on a prompt, as ``generate`` of transformers gives them; the class makes its cache.

    Raises :class:`TargetError` as :func:`check_generative` does.
    """
    check_generative(network)
    tokens = torch.zeros(batch, prompt, dtype=torch.int64, device=device)
    return {"input_ids": tokens, "use_cache": True, **of_last(network)}


def of_last(network: nn.Module) -> dict[str, int]:
    """The argument by which only the last position is turned into logits, if the class has it."""
    return {"logits_to_keep": 1} if _takes(network, "logits_to_keep") else {}


def _continued(
    network: nn.Module, inputs: Inputs, length: int, run: Callable[[nn.Module, dict[str, Any]], Any]
) -> tuple[dict[str, Any], str]:
    """The arguments of the call, and the name of the cache among them; ``run`` makes the result for the text."""
    name = _text_name(network)
    arguments, options = call_arguments(inputs)
    options = {**dict(zip(inspect.signature(network.forward).parameters, arguments, strict=False)), **options}
    tokens = options.get(name)
    if not isinstance(tokens, torch.Tensor) or tokens.dim() != 2:
        raise TargetError(f"cache: expected an input {name} of shape (batch, tokens) for {type(network).__name__}")
    # Only an encoder gets inputs besides the text: the mask of a text alone would have the wrong length.
    encoder = {} if name == "input_ids" else {key: options[key] for key in options if key not in (name, MASKS[1])}
    text = torch.ones(tokens.shape[0], length, dtype=tokens.dtype, device="cpu")
    result = run(network, {**encoder, name: text, "use_cache": True})
    found = next((key for key in CACHES if _has(result, key) and _takes(network, key)), None)
    if found is None:
        raise TargetError(f"cache: {type(network).__name__} returns none; expected a generative class of transformers")
    encoded = {
        argument: (result[key],) for key, argument in ENCODED.items() if _has(result, key) and _takes(network, argument)
    }
    kept = {key: value for key, value in encoder.items() if key in MASKS}
    return {**kept, **encoded, name: tokens, found: result[found], "use_cache": True}, found


def of_one_token(specs: Any) -> Any:
    """Inputs by name as in a config, with a text of one token: the inputs of one step of generation."""
    if not isinstance(specs, Mapping):
        return specs
    name = next((key for key in TEXTS if key in specs), None)
    if name is None:
        return specs
    shape = getattr(specs[name], "shape", (1,))
    return {**specs, name: InputSpec(shape=(shape[0], 1), dtype="int64")}


def _text_name(network: nn.Module) -> str:
    settings = getattr(network, "config", None)
    if not (hasattr(settings, "get_text_config") and _takes(network, "use_cache")):
        raise TargetError(
            f"cache: {type(network).__name__} has none; expected a generative class of transformers, such as "
            "transformers:LlamaForCausalLM"
        )
    return "decoder_input_ids" if settings.is_encoder_decoder else "input_ids"  # type: ignore[union-attr]


def _takes(network: nn.Module, argument: str) -> bool:
    return argument in inspect.signature(network.forward).parameters


def _has(result: Any, key: str) -> bool:
    return isinstance(result, Mapping) and result.get(key) is not None


def _result(network: nn.Module, text: dict[str, Any]) -> Any:
    if any(parameter.is_meta for parameter in network.parameters()):
        return result_on_meta(network, text)
    if real_size(network) > BYTES_LIMIT:
        raise ProfilerError(f"cache: the network takes more than {bytes_text(BYTES_LIMIT)}")
    was_training = network.training
    with torch.no_grad():
        result = network.eval()(**text)
    network.train(was_training)
    return result
