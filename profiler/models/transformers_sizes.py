"""Sizes of images and sounds for a configuration of transformers: from itself, or from its processor."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch

SAMPLING_RATE = 16_000
"""Samples in a second of sound, if neither the configuration nor a processor gives another number."""

IMAGE_SIZES: Mapping[str, int | tuple[int, int]] = {
    "cvt": 224,
    "d_fine": 640,
    "dab-detr": 800,
    "glpn": (480, 640),
    "hgnet_v2": 224,
    "lw_detr": 640,
    "regnet": 224,
    "resnet": 224,
    "rf_detr": 560,
    "rt_detr_v2": 640,
}
"""Networks for images of any size, with the size that they were published for.

They have no processor; transformers gives some of them ConvNeXt's, whose 384 is what ConvNeXt was fine-tuned for.
"""

EXTRACTORS = {
    "moonshine_streaming": "Wav2Vec2FeatureExtractor",
    "wav2vec2-bert": "SeamlessM4TFeatureExtractor",
}
"""Networks whose feature extractor in transformers is missing, or differs from that of their documentation."""


def part(settings: Any, *names: str) -> Any:
    """The first of the nested configurations ``names`` that exists, or ``settings``."""
    return next((inner for name in names if hasattr(inner := getattr(settings, name, None), "to_dict")), settings)


def first(settings: Any, *names: str) -> Any:
    """The first of the attributes ``names`` that exists and is not None, or None."""
    return next((value for name in names if (value := getattr(settings, name, None)) is not None), None)


def image_size(settings: Any) -> tuple[int, int]:
    """Height and width of the images of a network.  Raises ValueError if they are not known."""
    inner = part(settings, "vision_config", "encoder")
    size = first(inner, "image_size") or IMAGE_SIZES.get(inner.model_type) or _processed_size(settings, inner)
    if size is None:
        raise ValueError(f"{type(inner).__name__} does not say the size of its images")
    if isinstance(size, Mapping):
        return size["height"], size["width"]
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _processed_size(*settings: Any) -> Any:
    """The size to which the network's image processor crops, or resizes a square image."""
    processor = _processor("image_processing_auto", "IMAGE_PROCESSOR_MAPPING_NAMES", *settings)
    size = first(processor, "crop_size" if first(processor, "do_center_crop") else "size")
    if not isinstance(size, Mapping) or "height" in size:
        return size
    if "max_height" in size:
        return size["max_height"], size["max_width"]
    # A processor that cuts an image into as many patches as needed limits the number of pixels instead.
    return None if first(processor, "merge_size") else size.get("shortest_edge", size.get("longest_edge"))


def patches_shape(settings: Any) -> tuple[int, int]:
    """The maximum number of patches of an image, and the size of a patch with its row and column in front."""
    processor = _processor("image_processing_auto", "IMAGE_PROCESSOR_MAPPING_NAMES", settings)
    return processor.max_patches, 2 + part(settings, "vision_config").patch_embed_hidden_size


def sound_shape(name: str, settings: Any) -> tuple[int, ...]:
    """The shape of the input ``name``, which is computed from a second of sound or contains its samples.

    Raises ValueError if it is not known.
    """
    inner = part(settings, "audio_config", "audio_encoder_config", "encoder_config", "encoder")
    rate = first(inner, "sampling_rate") or SAMPLING_RATE
    if name == "input_values" and hasattr(inner, "conv_stride"):  # convolutions over the samples
        return 1, rate
    if name == "input_values" and hasattr(inner, "audio_channels"):
        return 1, inner.audio_channels, rate
    if hasattr(inner, "max_source_positions") and hasattr(inner, "num_mel_bins"):  # layers that halve the full length
        return 1, inner.num_mel_bins, 2 * inner.max_source_positions
    extractor = _processor("feature_extraction_auto", "FEATURE_EXTRACTOR_MAPPING_NAMES", settings, inner)
    if extractor is None:
        raise ValueError(f"{type(inner).__name__} does not say the size of {name}")
    return _extracted_shape(name, extractor, inner)


def _extracted_shape(name: str, extractor_class: Any, settings: Any) -> tuple[int, ...]:
    """The shape of the result of a feature extractor for a second of silence."""
    options = {
        "feature_size": first(settings, "num_mel_bins", "input_feat_per_channel"),
        "num_mel_bins": first(settings, "num_mel_bins"),
        "max_length": first(settings, "max_length"),
        "truncation": "rand_trunc" if first(settings, "enable_fusion") is False else None,  # CLAP's two ways
    }
    understood = inspect.signature(extractor_class).parameters
    if "num_mel_bins" in understood:
        del options["feature_size"]
    chosen = {key: value for key, value in options.items() if key in understood and value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it finds odd in silence
        extractor = extractor_class(**chosen)
        silence = torch.zeros(extractor.sampling_rate, device="cpu").numpy()
        made = extractor(silence, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    if name not in made:
        raise ValueError(f"{extractor_class.__name__} makes {', '.join(made)} and no {name}")
    return tuple(made[name].shape)


def _processor(module_name: str, mapping_name: str, *settings: Any) -> Any:
    """The class that transformers lists for the first of ``settings``, or for its family, that it lists one for."""
    transformers = importlib.import_module("transformers")
    listed = getattr(importlib.import_module(f"transformers.models.auto.{module_name}"), mapping_name)
    for inner in settings:
        family = type(inner).__module__.split(".")[-2]
        for key in (inner.model_type, family, family.replace("_", "-")):
            name = EXTRACTORS.get(key) if "feature" in module_name else None
            name = name or listed.get(key)
            if isinstance(name, Mapping):
                name = name.get("torchvision") or name.get("pil")
            if name is not None:
                return getattr(transformers, name)
    return None
