"""What to do if a network of transformers cannot be built or run with its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEEDS: Mapping[str, Mapping[str, Any]] = {
    "aya_vision": {"vision_config": {"num_attention_heads": 16}},
    "bamba": {"attn_layer_indices": [9, 18, 27]},
    "chameleon": {"vocabulary_map": {"<image>": 8711}},
    "deepseek_v2": {"num_experts_per_tok": 6},
    "emu3": {"vocabulary_map": {"<image>": 151851}},
    "exaone4_5": {"vision_config": {"out_hidden_size": 4096}},
    "glm_ocr": {"vision_config": {"out_hidden_size": 1024}},
    "janus": {"vision_config": {"projection_dim": 4096}},
    "ovis2": {"hidden_size": 4096},
    "qwen2_5_vl": {"vision_config": {"out_hidden_size": 8192}},
    "qwen2_vl": {"vision_config": {"hidden_size": 8192}},
    "qwen3_5": {"vision_config": {"out_hidden_size": 4096}},
    "qwen3_5_moe": {"vision_config": {"out_hidden_size": 2048}},
    "qwen3_vl": {"vision_config": {"out_hidden_size": 4096}},
    "qwen3_vl_moe": {"vision_config": {"out_hidden_size": 2048}},
    "reformer": {"is_decoder": True},
}
"""Families whose default configuration transformers itself cannot run, and the missing keys.

The values are those of a published network, or are consistent with the default values of other keys.
"""

NEEDS_FOR_IMAGE: Mapping[str, Mapping[str, Any]] = {
    "gemma3": {"vision_config": {"image_size": 896, "patch_size": 14}},
}
"""Families whose default configuration runs on a text alone and takes no image, and the missing keys."""


def advice_for_image(model_type: str) -> str:
    """The next step if a network of the family ``model_type`` takes no image with its default configuration."""
    return (
        f"transformers itself cannot run an image with the default configuration of {model_type}; keys that make it "
        f"run: kwargs: {{config: {_flow(NEEDS_FOR_IMAGE[model_type])}}}; for a text alone, give its shape: inputs in "
        "a config, or --input"
    )


def advice_for(model_type: str, config: Mapping[str, Any] | str | None) -> str:
    """The next step if a network of the family ``model_type`` failed with ``config``, or nothing."""
    if isinstance(config, str):
        return ""
    needed = NEEDS.get(model_type, {})
    missing = {key: value for key, value in needed.items() if key not in (config or {})}
    if missing:
        return (
            f"transformers itself cannot run this with the default configuration of {model_type}; "
            f"keys that make it run: kwargs: {{config: {_flow(missing)}}}"
        )
    if config:
        return ""
    return (
        "this is transformers' default configuration; keys of a published one can be given: kwargs: {config: {…}}, "
        "or kwargs: {config: path/to/config.json}"
    )


def _flow(value: Any) -> str:
    """A value in YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(key: str) -> str:
    return key if key.isidentifier() else f'"{key}"'
