"""Inputs of vision–language classes of transformers: an image, and a text with as many tokens of it."""

from typing import Any, Literal

import pytest
import torch

from profiler import Profile, profile
from profiler.config import InputSpec
from profiler.errors import TargetError
from profiler.models.building import build_model, build_real_model
from profiler.models.inputs import build_inputs, default_inputs
from profiler.models.transformers_defaults import NEEDS_FOR_IMAGE

pytestmark = pytest.mark.slow  # networks of another library are built

TEXT = {
    "hidden_size": 12,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "vocab_size": 50,
}


def text_macs(length: int) -> int:
    """A layer on ``length`` tokens: four projections, attention, a gated MLP, and the head on 50 words."""
    return length * (4 * 12 * 12 + 3 * 12 * 24) + 2 * length * length * 12 + length * 12 * 50


CLIP = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAVA = {
    "image_token_index": 49,
    "vision_config": {"model_type": "clip_vision_model", **CLIP, "image_size": 28, "patch_size": 14},
    "text_config": {"model_type": "llama", **TEXT},
}
QWEN_VISION = {"depth": 1, "embed_dim": 8, "num_heads": 2, "mlp_ratio": 2, "hidden_size": 12, "patch_size": 112}
QWEN = {
    "image_token_id": 49,
    "vision_config": QWEN_VISION,
    "text_config": {**TEXT, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 1]}},
}


def clip_macs() -> int:
    """The convolution of the patches, and two layers on four patches and the class token."""
    return 4 * 8 * 3 * 14 * 14 + 2 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 16)


def qwen_vision_macs() -> int:
    """Sixteen patches of two frames, a layer, and the merger of four patches into one token of the text."""
    layer = 4 * 16 * 8 * 8 + 2 * 16 * 16 * 8 + 2 * 16 * 8 * 16
    return 16 * 8 * 3 * 2 * 112 * 112 + layer + 4 * (32 * 32 + 32 * 12)


def profiled(name: str, config: dict[str, Any]) -> Profile:
    """The profile of a class on its default inputs."""
    target, kwargs = f"transformers:{name}", {"config": config}
    arguments, options = build_inputs(default_inputs(target, kwargs))
    assert not arguments
    return profile(build_model(target, kwargs), options)


@pytest.mark.parametrize(
    ("name", "config", "vision", "macs"),
    [
        ("LlavaForConditionalGeneration", LLAVA, "vision_tower", clip_macs() + 4 * (8 * 12 + 12 * 12)),
        ("Qwen2VLForConditionalGeneration", QWEN, "visual", qwen_vision_macs()),
    ],
)
def test_the_vision_tower_runs(name: str, config: dict[str, Any], vision: str, macs: int) -> None:
    """There are four tokens of the image and twelve of text; the MACs are those of vision tower, projector and text."""
    result = profiled(name, config)
    assert result.complete
    assert not result.trace.real_run
    assert result.total.macs == macs + text_macs(4 + 12)
    assert any(vision in module.name and module.calls for module in result.trace.modules)


def shapes(name: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a class's default inputs, without its masks."""
    inputs = default_inputs(f"transformers:{name}", {"config": config})
    assert isinstance(inputs, dict)
    return {key: value.shape for key, value in inputs.items() if not key.endswith("attention_mask")}


NO_SIZE = {key: value for key, value in QWEN.items() if key != "vision_config"}
SMALL_VISION = {**QWEN_VISION, "patch_size": 14}
BLIP_VISION = {**CLIP, "image_size": 28, "patch_size": 14}
QFORMER = {**CLIP, "encoder_hidden_size": 8, "vocab_size": 50}
OPT = {
    "model_type": "opt",
    "vocab_size": 50,
    "hidden_size": 12,
    "word_embed_proj_dim": 12,
    "ffn_dim": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
IDEFICS3 = {
    "text_config": LLAVA["text_config"],
    "vision_config": BLIP_VISION,
    "image_token_id": 49,
    "scale_factor": 2,
}
BLIP = {"vision_config": BLIP_VISION, "qformer_config": QFORMER, "text_config": OPT, "num_query_tokens": 3}


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        # patches with their grid: 448 / 14 of them a side, four in a token
        (
            "Qwen2VLModel",
            {**NO_SIZE, "vision_config": SMALL_VISION},
            {
                "pixel_values": (32 * 32, 3 * 2 * 14 * 14),
                "image_grid_thw": (1, 3),
                "input_ids": (1, 32 * 32 // 4 + 1),
                "mm_token_type_ids": (1, 32 * 32 // 4 + 1),
            },
        ),
        # tiles, and the whole image: four of 2 × 2 tokens with a line break after each of four rows, and four
        (
            "LlavaNextModel",
            {**LLAVA, "image_grid_pinpoints": [[56, 56]]},
            {
                "pixel_values": (1, 5, 3, 28, 28),
                "image_sizes": (1, 2),
                "input_ids": (1, max(4 * 4 + 4 + 4 + 1, 16)),
            },
        ),
        # three queries, however large the image is
        ("Blip2Model", BLIP, {"pixel_values": (1, 3, 28, 28), "input_ids": (1, 16)}),
        ("Blip2ForConditionalGeneration", BLIP, {"pixel_values": (1, 3, 28, 28), "input_ids": (1, 16)}),
        # it drops images of zeros, so the pixels have to be known
        ("Idefics3Model", IDEFICS3, {"pixel_values": (1, 1, 3, 28, 28), "input_ids": (1, 16)}),
        ("SmolVLMModel", IDEFICS3, {"pixel_values": (1, 1, 3, 28, 28), "input_ids": (1, 16)}),
        # the pixels of a large image are not known, so a smaller one: 448 / 14 patches a side, four in a token
        (
            "Idefics3Model",
            {**IDEFICS3, "vision_config": {**BLIP_VISION, "image_size": 980}},
            {"pixel_values": (1, 1, 3, 448, 448), "input_ids": (1, 32 * 32 // 4 + 1)},
        ),
        # seven patches a side are no whole number of tokens of 2 × 2, so an image of six
        (
            "Idefics3Model",
            {**IDEFICS3, "vision_config": {**BLIP_VISION, "image_size": 7 * 14}},
            {"pixel_values": (1, 1, 3, 6 * 14, 6 * 14), "input_ids": (1, 16)},
        ),
    ],
)
def test_an_image_has_the_form_that_the_network_takes(
    name: str, config: dict[str, Any], expected: dict[str, tuple[int, ...]]
) -> None:
    """The network's own code says which form it takes, and how many tokens the image makes."""
    assert shapes(name, config) == expected


def test_the_default_image_token_is_the_last_of_the_vocabulary() -> None:
    """BLIP-2 configures none; the network and the text use the same one, and no ordinary token is equal to it."""
    inputs = default_inputs("transformers:Blip2ForConditionalGeneration", {"config": BLIP})
    network: Any = build_model("transformers:Blip2ForConditionalGeneration", {"config": BLIP})
    assert isinstance(inputs, dict)
    text = inputs["input_ids"]
    assert isinstance(text, InputSpec)
    assert text.values is not None
    assert network.config.image_token_id == 49
    assert text.values[:3] == (49, 49, 49)
    assert 49 not in text.values[3:]
    assert profile(network, build_inputs(inputs)[1]).complete


def idefics3_macs() -> int:
    """The convolution of the patches, two layers on four patches, and the merger of the four into one token."""
    return 4 * 8 * 3 * 14 * 14 + 2 * (4 * 4 * 8 * 8 + 2 * 4 * 4 * 8 + 2 * 4 * 8 * 16) + 4 * 8 * 12


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_an_image_that_must_not_be_zeros_has_known_ones(mode: Literal["inference", "training"]) -> None:
    """Idefics3 drops images of zeros; its default input counts whole, with the head, without a real run."""
    arguments, options = build_inputs(
        default_inputs("transformers:Idefics3ForConditionalGeneration", {"config": IDEFICS3})
    )
    network = build_model("transformers:Idefics3ForConditionalGeneration", {"config": IDEFICS3})
    result = profile(network, options, mode=mode)
    assert not arguments
    assert result.complete
    assert not result.trace.real_run
    forward = sum(call.count.macs for call in result.trace.calls if call.phase == "forward")
    assert forward == idefics3_macs() + text_macs(16)


IDEFICS = {
    **{key: value for key, value in TEXT.items() if key != "num_key_value_heads"},
    "additional_vocab_size": 0,
    "cross_layer_interval": 1,
    "pad_token_id": 0,
    "vision_config": {**CLIP, "embed_dim": 8, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14},
}
MLLAMA_VISION = {
    **CLIP,
    "attention_heads": 2,
    "num_hidden_layers": 1,
    "num_global_layers": 1,
    "image_size": 28,
    "patch_size": 14,
    "vision_output_dim": 16,
    "intermediate_layers_indices": [0],
}
MLLAMA = {
    "vision_config": MLLAMA_VISION,
    "text_config": {
        **TEXT,
        "num_hidden_layers": 2,
        "cross_attention_layers": [1],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    },
}


def idefics_vision_macs() -> int:
    """The convolution of the patches, and a layer on four of them and the class token."""
    return 4 * 8 * 3 * 14 * 14 + 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 16


def mllama_vision_macs() -> int:
    """Four tiles: the convolution, the mask as a product, and two layers on 5 tokens of each tile, padded to 8."""
    tokens = 4 * 8
    layer = 4 * tokens * 8 * 8 + 2 * tokens * tokens * 8 + 2 * tokens * 8 * 16
    return 4 * 4 * 8 * 3 * 14 * 14 + tokens * tokens + 2 * layer


def cross_macs(seen: int, width: int) -> int:
    """A layer in which sixteen tokens attend to ``seen`` vectors of ``width``, with its gated MLP."""
    return 2 * 16 * 12 * 12 + 2 * seen * width * 12 + 2 * 16 * seen * 12 + 16 * 3 * 12 * 24


@pytest.mark.parametrize(
    ("name", "config", "macs"),
    [
        ("IdeficsForVisionText2Text", IDEFICS, idefics_vision_macs() + cross_macs(5, 8) + text_macs(16)),
        (
            "MllamaForConditionalGeneration",
            MLLAMA,
            mllama_vision_macs() + 4 * 5 * 16 * 12 + cross_macs(4 * 5, 12) + text_macs(16),
        ),
        ("MllamaVisionModel", MLLAMA_VISION, mllama_vision_macs()),
    ],
)
def test_a_text_attends_to_an_image_by_cross_attention(name: str, config: dict[str, Any], macs: int) -> None:
    """The image is a separate input, and the text has no tokens of it."""
    result = profiled(name, config)
    assert result.complete
    assert not result.trace.real_run
    assert result.total.macs == macs


def without(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    """``config`` without some of its keys."""
    return {key: value for key, value in config.items() if key not in keys}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("LlavaForConditionalGeneration", without(LLAVA, "image_token_index")),
        (
            "LlavaNextForConditionalGeneration",
            {**without(LLAVA, "image_token_index"), "image_grid_pinpoints": [[56, 56]]},
        ),
        ("Idefics3ForConditionalGeneration", without(IDEFICS3, "image_token_id")),
    ],
)
def test_an_image_token_beyond_the_vocabulary_is_moved_into_it(name: str, config: dict[str, Any]) -> None:
    """The default is larger than all 50 words; a real run on the CPU takes the inputs unchanged."""
    inputs = default_inputs(f"transformers:{name}", {"config": config})
    assert isinstance(inputs, dict)
    text = inputs["input_ids"]
    assert isinstance(text, InputSpec)
    assert text.values is not None
    assert max(text.values) == 49
    network = build_real_model(f"transformers:{name}", {"config": config}, random_weights=True)
    with torch.no_grad():
        logits = network(**build_inputs(inputs, device="cpu")[1]).logits
    assert logits.shape == (*text.shape, 50)


def test_a_configured_image_token_is_kept() -> None:
    """It is kept even if it lies beyond the vocabulary."""
    network: Any = build_model(
        "transformers:LlavaForConditionalGeneration", {"config": {**LLAVA, "image_token_index": 60}}
    )
    assert network.config.image_token_id == 60


GEMMA3 = {
    "image_token_index": 49,
    "mm_tokens_per_image": 1,
    "vision_config": {**CLIP, "image_size": 28, "patch_size": 14},
    "text_config": {**TEXT, "head_dim": 6, "pad_token_id": 0},
}
PALIGEMMA = {
    "image_token_index": 49,
    "vision_config": {
        "model_type": "siglip_vision_model",
        **CLIP,
        "image_size": 28,
        "patch_size": 14,
        "vocab_size": 50,
    },
    "text_config": {"model_type": "gemma", **TEXT, "head_dim": 6, "pad_token_id": 0},
    "projection_dim": 12,
}


@pytest.mark.parametrize(
    ("name", "config", "types"),
    [
        ("Gemma3ForConditionalGeneration", GEMMA3, (1, *[0] * 15)),
        ("PaliGemmaForConditionalGeneration", PALIGEMMA, (0,) * 16),
    ],
)
def test_token_types_equal_those_of_the_processor(name: str, config: dict[str, Any], types: tuple[int, ...]) -> None:
    """Gemma's types mark the tokens of an image, PaliGemma's an answer; with them, training is counted as well."""
    inputs = default_inputs(f"transformers:{name}", {"config": config})
    assert isinstance(inputs, dict)
    given = inputs["token_type_ids"]
    assert isinstance(given, InputSpec)
    assert given.values == types
    assert profile(
        build_model(f"transformers:{name}", {"config": config}), build_inputs(inputs)[1], mode="training"
    ).complete


def test_a_default_configuration_that_takes_no_image_is_refused_with_the_keys() -> None:
    """Gemma 3 pools its patches to 256 tokens, and has fewer patches by default; with the keys it takes an image."""
    with pytest.raises(TargetError) as caught:
        default_inputs("transformers:Gemma3ForConditionalGeneration")
    message = str(caught.value)
    assert "keys that make it run: kwargs: {config: {vision_config: {image_size: 896, patch_size: 14}}}" in message
    assert "\n" not in message
    inputs = default_inputs("transformers:Gemma3ForConditionalGeneration", {"config": dict(NEEDS_FOR_IMAGE["gemma3"])})
    assert isinstance(inputs, dict)
    assert inputs["pixel_values"] == InputSpec(shape=(1, 3, 896, 896))
