"""The inputs of a model class of transformers: a batch of one, from its configuration and its processor.

The lengths of a text and of a clip, which are open there, are constants here; a sound lasts a second.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from profiler.config import InputSpec, InputValue
from profiler.models.transformers_sizes import first, image_size, part, patches_shape, sound_shape

TOKENS = 128
"""The length of a text, if the configuration allows it."""

FRAMES = 16
"""The length of a clip, if the configuration does not give it."""

CHOICES = 4
"""The number of answers that a network chooses from."""

REGIONS = 36
"""The number of regions that a detector has found in an image, for a network that takes such regions."""

CODE_POINTS = 0x110000
"""The vocabulary of networks that read the characters of Unicode."""

ALSO = {
    "blip": ("input_ids",),
    "bros": ("bbox",),
    "decision_transformer": ("actions", "returns_to_go", "timesteps"),
    "idefics": ("pixel_values", "image_attention_mask"),
    "instructblip": ("input_ids",),
    "lxmert": ("visual_feats", "visual_pos"),
    "mllama": ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask"),
    "sam3": ("input_ids",),
    "sam3_lite_text": ("input_ids",),
    "tvp": ("pixel_values",),
    "udop": ("bbox",),
    "vilt": ("pixel_values",),
}
"""Inputs that are declared optional and that the forward or the vision tower needs."""


def inputs_of(model_class: Any, settings: Any) -> dict[str, InputValue]:
    """The inputs of ``model_class`` with the configuration ``settings``, by the parameter names of its forward.

    These are its main input, the required inputs of its forward, an input with which a text is compared, and the text
    that a decoder continues.  Raises ValueError if the size of one is not known.
    """
    taken = {name: value for name, value in inspect.signature(model_class.forward).parameters.items() if name != "self"}
    of_class = OF_CLASS.get(model_class.__name__, {})
    inputs = {name: _input(name, settings, of_class) for name in _needed(model_class, settings, taken)}
    for name, mask in (("input_ids", "attention_mask"), ("decoder_input_ids", "decoder_attention_mask")):
        text = inputs.get(name)
        if mask in taken and isinstance(text, InputSpec) and len(text.shape) == 2:
            inputs[mask] = InputSpec(shape=text.shape, dtype="int64", low=1, high=2)  # nothing is padding
    if model_class.__name__.endswith("ForMultipleChoice"):
        inputs = {name: _of_each_choice(value) for name, value in inputs.items()}
    return inputs


def _of_each_choice(text: InputValue) -> InputValue:
    if not isinstance(text, InputSpec):
        return text
    batch, *sizes = text.shape
    return text.model_copy(update={"shape": (batch, CHOICES, *sizes)})


def _needed(model_class: Any, settings: Any, taken: Mapping[str, inspect.Parameter]) -> list[str]:
    main = model_class.main_input_name
    names = [main] if isinstance(main, str) else list(main)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required = [name for name, value in taken.items() if value.default is value.empty and value.kind in by_name]
    if not required and not any(name in taken for name in names):
        names = [name for name in taken if name in INPUTS][:1]
        if not names:
            raise ValueError(f"forward takes no {main}, and no other known input")
    if "input_ids" in names and _compares(settings):
        names += [name for name in ("pixel_values", "input_features") if hasattr(settings, CONFIGURED_BY[name])]
    if settings.is_encoder_decoder:
        names += ["decoder_input_ids", "decoder_input_values"]
    names += ALSO.get(settings.model_type, ())
    return [name for name in dict.fromkeys((*names, *required)) if name in taken]


CONFIGURED_BY = {"pixel_values": "vision_config", "input_features": "audio_config"}
"""The nested configuration of the part of a network that reads an input."""

PLACEHOLDERS = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index")
"""The names in a configuration of the tokens for images or sounds in a text."""


def _compares(settings: Any) -> bool:
    """Whether a text is compared with another input, and cannot contain images or sounds itself."""
    return hasattr(settings, "text_config") and not any(hasattr(settings, token) for token in PLACEHOLDERS)


def _input(name: str, settings: Any, of_class: Mapping[str, Callable[[Any], InputValue]]) -> InputValue:
    unknown = f"{type(settings).__name__} does not say the size of {name}"
    make = of_class.get(name) or INPUTS.get(name)
    if make is None:
        raise ValueError(unknown)
    try:
        return make(settings)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{unknown}: {error}") from error


def _floats(*shape: int) -> InputSpec:
    return InputSpec(shape=(1, *shape))


def _integers(*shape: int, high: int | None = None) -> InputSpec:
    return InputSpec(shape=(1, *shape), dtype="int64", high=high)


def _length(text: Any) -> int:
    longest = getattr(text, "max_position_embeddings", None) or 0
    return min(TOKENS, longest) if longest > 0 else TOKENS


def _read_part(settings: Any) -> Any:
    """The configuration of the part that reads a text, if another part writes it."""
    if settings.is_encoder_decoder:
        settings = part(settings, "text_encoder", "text_config", "encoder_config", "encoder")
    return settings.get_text_config()


def _tokens(text: Any) -> InputSpec:
    length = _length(text)
    shape = TOKENS_OF_SOUND[text.model_type](text, length) if text.model_type in TOKENS_OF_SOUND else (1, length)
    return InputSpec(shape=shape, dtype="int64", high=getattr(text, "vocab_size", CODE_POINTS))


TOKENS_OF_SOUND: Mapping[str, Callable[[Any, int], tuple[int, ...]]] = {
    "csm": lambda sound, length: (1, length, sound.num_codebooks),
    "dia_decoder": lambda sound, length: (sound.num_channels, length),
    "kyutai_speech_to_text": lambda sound, length: (1, length, sound.num_codebooks + 1),
    "musicgen_decoder": lambda sound, length: (sound.num_codebooks, length),
    "musicgen_melody_decoder": lambda sound, length: (sound.num_codebooks, length),
}
"""Networks whose tokens come from several codebooks, as a last dimension or as several sequences."""


def _image(settings: Any) -> InputSpec:
    inner = part(settings, "vision_config", "encoder")
    frames = first(inner, "num_frames")
    if settings.model_type in PAIRS:
        frames = 2
    clip: tuple[int, ...] = () if frames is None else (frames,)
    if settings.model_type in IMAGES_OF_A_TEXT:
        clip = IMAGES_OF_A_TEXT[settings.model_type](inner)
    return _floats(*clip, channels(inner), *image_size(settings))


IMAGES_OF_A_TEXT: Mapping[str, Callable[[Any], tuple[int, ...]]] = {
    "idefics": lambda vision: (1,),
    "mllama": lambda vision: (1, vision.max_num_tiles),
    "mllama_vision_model": lambda vision: (1, vision.max_num_tiles),
}
"""Networks that read the images of a text by cross-attention: the number of images and of tiles."""


def _tiles(settings: Any) -> int:
    return int(part(settings, "vision_config").max_num_tiles)


def _form_of_tiles(settings: Any) -> InputSpec:
    """The number of the last form of an image, which has all tiles; 0 is padding."""
    number = len(part(settings, "vision_config").supported_aspect_ratios)
    return InputSpec(shape=(1, 1), dtype="int64", low=number, high=number + 1)


def _ones(*shape: int) -> InputSpec:
    """A mask of ones."""
    return InputSpec(shape=(1, *shape), dtype="int64", low=1, high=2)


PAIRS = ("efficientloftr", "lightglue", "superglue")
"""Networks that match the points of two images."""


def _clip(settings: Any) -> InputSpec:
    inner = part(settings, "vision_config")
    size = first(inner, "crop_size")
    height, width = image_size(settings) if size is None else (size, size)
    return _floats(first(inner, "num_frames", "frames_per_clip") or FRAMES, channels(inner), height, width)


def channels(settings: Any) -> int:
    """The number of channels of an image."""
    return first(settings, "num_channels", "in_channels", "in_chans") or 3


def _sound(name: str) -> Callable[[Any], InputSpec]:
    return lambda settings: InputSpec(shape=sound_shape(name, settings))


def _speech(settings: Any) -> InputSpec:
    if settings.model_type != "speech-encoder-decoder":
        raise ValueError(f"{type(settings).__name__} does not say the size of inputs")
    return InputSpec(shape=sound_shape("input_values", settings))


def _past(settings: Any, *channels: int) -> InputSpec:
    """The past values of a time series, back to the earliest lag."""
    lags = max(getattr(settings, "lags_sequence", None) or (0,))
    if settings.context_length is None:
        raise ValueError(f"{type(settings).__name__} has no context_length; set it in config")
    return _floats(settings.context_length + lags, *channels)


def _past_features(settings: Any) -> InputSpec:
    if not settings.num_time_features:
        raise ValueError(f"{type(settings).__name__} has no num_time_features; set it in config")
    return _past(settings, settings.num_time_features)


def _past_values(settings: Any) -> InputSpec:
    if hasattr(settings, "num_input_channels"):
        return _past(settings, settings.num_input_channels)
    size = first(settings, "input_size") or 1
    return _past(settings, *(() if size == 1 else (size,)))


INPUTS: Mapping[str, Callable[[Any], InputValue]] = {
    # text
    "input_ids": lambda settings: _tokens(_read_part(settings)),
    "decoder_input_ids": lambda settings: _tokens(settings.get_text_config(decoder=True)),
    "qformer_input_ids": lambda settings: _tokens(settings.qformer_config),
    "task_inputs": lambda settings: _integers(settings.task_seq_len, high=settings.text_encoder_vocab_size),
    "bbox": lambda settings: _floats(_length(settings), getattr(settings, "dim_bbox", 4)),
    # images and clips
    "pixel_values": _image,
    "pixel_values_videos": _clip,
    "flattened_patches": lambda settings: _floats(*patches_shape(settings)),
    "visual_feats": lambda settings: _floats(REGIONS, settings.visual_feat_dim),
    "visual_pos": lambda settings: _floats(REGIONS, settings.visual_pos_dim),
    "aspect_ratio_ids": _form_of_tiles,
    "aspect_ratio_mask": lambda settings: _ones(1, _tiles(settings)),
    "cross_attention_mask": lambda settings: _ones(_length(settings.get_text_config()), 1, _tiles(settings)),
    "image_attention_mask": lambda settings: _ones(_length(settings), 1),
    # sounds
    "input_features": _sound("input_features"),
    "input_values": _sound("input_values"),
    "decoder_input_values": lambda settings: _floats(TOKENS, settings.num_mel_bins),  # a spectrogram
    "inputs": _speech,
    # time series and trajectories
    "past_values": _past_values,
    "past_observed_mask": _past_values,
    "past_time_features": _past_features,
    "past_values_padding": lambda settings: _integers(settings.context_length, high=1),  # none of it is padding
    "freq": lambda settings: _integers(1, high=settings.freq_size),
    "states": lambda settings: _floats(TOKENS, settings.state_dim),
    "actions": lambda settings: _floats(TOKENS, settings.act_dim),
    "returns_to_go": lambda settings: _floats(TOKENS, 1),
    "timesteps": lambda settings: _integers(TOKENS, high=settings.max_ep_len),
}
"""Every known input by its name, with the function that makes it from a configuration."""

OF_CLASS: Mapping[str, Mapping[str, Callable[[Any], InputValue]]] = {
    "SpeechT5Model": dict.fromkeys(
        ("input_values", "decoder_input_values"), lambda settings: _floats(TOKENS, settings.hidden_size)
    ),
}
"""Classes that take something else by these names: the results of the layers before the encoder and decoder."""
