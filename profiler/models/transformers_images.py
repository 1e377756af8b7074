"""A vision–language class and its configuration → an image, and a text with the number of image tokens that it makes.

Processors produce images in many forms.  The network's method ``get_image_features``, run on the meta device, shows
which form the network takes, and how many tokens it makes of an image.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Any

import torch

from profiler.config import InputSpec, InputValue
from profiler.errors import TargetError, TraceError
from profiler.models.sources import Ask
from profiler.models.transformers_defaults import NEEDS_FOR_IMAGE, advice_for_image
from profiler.models.transformers_inputs import INPUTS, TOKENS, channels
from profiler.models.transformers_sizes import first, image_size, part

IMAGE = 448
"""The default height and width of an image, for example for networks that take images of any size."""

TILES = 5
"""The number of tiles of an image that is cut up: the smallest grid, two by two, and the whole image."""

OTHERWISE = ("glm_image", "idefics", "mllama")
"""Networks whose text contains no image tokens: they read the image in another way, or take it as codes."""

PREFIXED = ("paligemma",)
"""Networks whose token types separate question (image, text) and answer; elsewhere, token types mark an image."""

Form = dict[str, InputSpec]
"""The inputs for one image, by name."""


def name_image_token(settings: Any, given: Collection[str]) -> None:
    """Use the last ordinary token of the vocabulary as the image token if no usable one is configured.

    A default configuration may not set it, or set one outside its default vocabulary, which only works on the meta
    device.  A token among the keys ``given`` stays.
    """
    token = getattr(settings, "image_token_id", 0)
    vocabulary = getattr(settings.get_text_config(), "vocab_size", None)
    if not vocabulary or not (token is None or (isinstance(token, int) and token >= vocabulary)):
        return
    if token is None or not {"image_token_id", settings.attribute_map.get("image_token_id")} & set(given):
        settings.image_token_id = _last_ordinary_token(settings, vocabulary - 1)


def with_image(
    model_class: Any, settings: Any, given: Collection[str], inputs: Mapping[str, InputValue], ask: Ask
) -> Mapping[str, InputValue]:
    """``inputs`` with an image, and its tokens before those of the text, if a text of the class may contain images.

    They are unchanged for any other class, and if the network accepts no known form of an image.  Raises TargetError
    if the network accepts none because known keys are missing in its configuration and in ``given``.
    """
    taken = inspect.signature(model_class.forward).parameters
    text = inputs.get("input_ids")
    token = getattr(settings, "image_token_id", None)
    if token is None or settings.model_type in OTHERWISE or "pixel_values" not in taken:
        return inputs
    if not isinstance(text, InputSpec) or len(text.shape) != 2:
        return inputs
    method = "get_image_features" if hasattr(model_class, "get_image_features") else "model.get_image_features"
    for form in _forms(settings):
        if not set(form) <= set(taken):
            continue
        try:
            count = _tokens_of(ask(method, form), settings)
        except TraceError:  # the network does not accept this form
            continue
        return {**inputs, **_text_of(settings, taken, token, count), **form}
    if not set(NEEDS_FOR_IMAGE.get(settings.model_type, {})) <= set(given):
        raise TargetError(f"target transformers:{model_class.__name__}: {advice_for_image(settings.model_type)}")
    return inputs


def _tokens_of(features: Any, settings: Any) -> int:
    """The number of tokens of a text that the features of an image replace."""
    if hasattr(settings, "num_query_tokens"):  # independent of the size of the image
        return int(settings.num_query_tokens)
    found = getattr(features, "pooler_output", features)
    tensors = found if isinstance(found, (list, tuple)) else [found]
    return sum(prod(tensor.shape[:-1]) for tensor in tensors if isinstance(tensor, torch.Tensor))


def _text_of(settings: Any, taken: Mapping[str, Any], token: int, count: int) -> Form:
    text = settings.get_text_config()
    longest = getattr(text, "max_position_embeddings", None) or 0
    words = min(TOKENS, max(longest - count, 1)) if longest > 0 else TOKENS
    shape = (1, count + words)
    word = _last_ordinary_token(settings, (getattr(text, "vocab_size", None) or 2) // 2)
    made = {"input_ids": _integers(shape, [token] * count + [word] * words)}
    if "attention_mask" in taken:
        made["attention_mask"] = InputSpec(shape=shape, dtype="int64", low=1, high=2)  # nothing is padding
    if "mm_token_type_ids" in taken:
        made["mm_token_type_ids"] = _integers(shape, [1] * count + [0] * words)
    if "token_type_ids" in taken:
        of_image = 0 if settings.model_type in PREFIXED else 1
        made["token_type_ids"] = _integers(shape, [of_image] * count + [0] * words)
    return made


def _last_ordinary_token(settings: Any, highest: int) -> int:
    """The last token up to ``highest`` without a special meaning in the configuration."""
    special = set(_special_tokens(settings.to_dict()))
    return next((token for token in range(highest, -1, -1) if token not in special), highest)


def _special_tokens(settings: Any) -> Iterator[int]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _special_tokens(value)
        elif str(key).endswith(("_token_id", "_token_index", "_token_ids")):
            for token in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(token, int):
                    yield token


def _integers(shape: tuple[int, ...], values: list[int]) -> InputSpec:
    return InputSpec(shape=shape, dtype="int64", values=tuple(values))


def _forms(settings: Any) -> Iterator[Form]:
    """The forms of an image, those with the most additional inputs first."""
    vision = part(settings, "vision_config")
    try:
        height, width = image_size(settings)
    except ValueError:
        height = width = IMAGE
    depth, patch = channels(vision), _side(first(vision, "patch_size", "spatial_patch_size") or 14)
    merged = patch * _side(first(vision, "spatial_merge_size", "merge_size", "merge_kernel_size") or 2)
    grid = max(IMAGE // merged, 1) * merged // patch
    yield from _patches(vision, grid, depth, patch)
    image = InputSpec(shape=(1, depth, height, width))
    if hasattr(settings, "qformer_config"):
        yield {"pixel_values": image, "qformer_input_ids": _of_question(settings)}
    if hasattr(settings, "high_res_vision_config"):
        size = _side(first(settings.high_res_vision_config, "image_size") or 1024)
        yield {"pixel_values": image, "high_res_pixel_values": InputSpec(shape=(1, depth, size, size))}
    of_size = {"image_sizes": _integers((1, 2), [height, width])}
    images = [(1, depth, height, width), (1, 1, depth, height, width), (1, TILES, depth, height, width)]
    for beside in (of_size, {}):
        for shape in images:
            yield {"pixel_values": InputSpec(shape=shape), **beside}
    token = patch * _side(first(settings, "scale_factor") or 1)  # the side of the area that becomes one token
    for high, wide in ((height, width), (min(height, IMAGE), min(width, IMAGE))):
        for sides in dict.fromkeys(((high, wide), (high - high % token, wide - wide % token))):
            if all(sides):
                yield {"pixel_values": _bytes_of_one((1, 1, depth, *sides))}


def _bytes_of_one(shape: tuple[int, ...]) -> InputSpec:
    """Pixels as bytes that are all 1, with known values on the meta device: some networks skip images of zeros."""
    return InputSpec(shape=shape, dtype="uint8", low=1, high=2)


def _patches(vision: Any, grid: int, depth: int, patch: int) -> Iterator[Form]:
    """An image cut into ``grid`` × ``grid`` patches, and their number as a second input."""
    area, count = patch * patch, grid * grid
    thw = {"image_grid_thw": _integers((1, 3), [1, grid, grid])}
    merge = {"image_merge_sizes": _integers((1,), [_side(first(vision, "spatial_merge_size", "merge_size") or 2)])}
    frames = dict.fromkeys((_side(first(vision, "temporal_patch_size") or 1), 1, 2))
    flat = [(count, depth * number * area) for number in frames]
    square = [(count, depth, patch, patch), (1, count, depth, patch, patch)]
    for beside in ({**thw, **merge}, thw):
        for shape in (*flat, *square):
            yield {"pixel_values": InputSpec(shape=shape), **beside}
    row = InputSpec(shape=(1, count, depth * area))
    yield {
        "pixel_values": row,
        "spatial_shapes": _integers((1, 2), [grid, grid]),
        "pixel_attention_mask": InputSpec(shape=(1, count), dtype="int64", low=1, high=2),
    }
    places = [place for y in range(grid) for x in range(grid) for place in (x, y)]
    yield {"pixel_values": row, "image_position_ids": _integers((1, count, 2), places)}
    strip = InputSpec(shape=(1, depth, patch, count * patch))
    yield {"pixel_values": strip, "target_sizes": _integers((1, 2), [grid, grid])}


def _of_question(settings: Any) -> InputSpec:
    question = INPUTS["qformer_input_ids"](settings)
    assert isinstance(question, InputSpec)
    return question


def _side(size: Any) -> int:
    """The length of a square given as a number or as its two sides."""
    return int(size[-1]) if isinstance(size, (list, tuple)) else int(size)
