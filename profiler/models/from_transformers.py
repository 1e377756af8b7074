"""The source ``transformers:CLASS``: model classes of transformers, built from a configuration without downloads.

A network is built as ``{config: {n_layer: 2}, attn_implementation: eager}``, where ``config`` holds the keyword
arguments of its configuration class, or is the path of a local ``config.json``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from profiler.config import InputValue
from profiler.errors import did_you_mean
from profiler.models.sources import Ask, Builder, import_extra, refuse_weights, source
from profiler.models.torchvision_ops import import_torchvision
from profiler.models.transformers_defaults import advice_for
from profiler.models.transformers_images import name_image_token, with_image
from profiler.models.transformers_inputs import inputs_of

ATTENTION = ("sdpa", "eager", "flex_attention")
"""The attention implementations that download nothing from the hub."""

NETWORKS = r"Model$|For[A-Z]|WithLMHead$"
ABSTRACT = r"PreTrainedModel|^Pretrained|^BartPretrained"
"""Patterns of the names of model classes, and of those that are only base classes."""


@source("transformers")
def transformers_networks(base: Path) -> dict[str, Builder]:
    """Every model class in the index of transformers; none of them is imported."""
    transformers = _import_transformers()
    networks = {}
    for module, names in sorted(transformers._import_structure.items()):
        folder, _, file = module.rpartition(".")
        if not file.startswith("modeling_") or folder == "models.auto":
            continue
        for name in sorted(names):
            if re.search(NETWORKS, name) and not re.search(ABSTRACT, name):
                networks[name] = Builder(
                    folder.rpartition(".")[2],
                    functools.partial(_build, name, base),
                    functools.partial(_inputs, name, base),
                    functools.partial(_completed, name, base),
                    functools.partial(_advice, name),
                )
    return networks


def _import_transformers() -> Any:
    import_torchvision()  # transformers imports it, which fails otherwise with some builds of torch
    return import_extra("transformers")


def _build(
    class_name: str,
    base: Path,
    /,
    config: Mapping[str, Any] | str | None = None,
    attn_implementation: str | None = None,
    **kwargs: Any,
) -> nn.Module:
    model_class = getattr(_import_transformers(), class_name)
    kwargs = refuse_weights(kwargs, "pretrained")
    network: nn.Module = model_class(_configuration(model_class, base, config, attn_implementation), **kwargs)
    return network


def _configuration(
    model_class: Any, base: Path, config: Mapping[str, Any] | str | None, attn_implementation: str | None
) -> Any:
    """The configuration object of ``model_class``.

    In a mapping, a key that its class does not know is an error; a file may have keys of other versions.
    """
    config_class = getattr(model_class, "config_class", None)
    if config_class is None:
        raise ValueError(f"{model_class.__name__} has no configuration class; name one of its subclasses")
    given = _read(base / config) if isinstance(config, str) else dict(config or {})
    attention = attn_implementation or given.pop("attn_implementation", None)
    if attention not in (None, *ATTENTION):
        known = " or ".join(ATTENTION)
        raise ValueError(f"attn_implementation {attention!r} might be downloaded from the hub; use one of {known}")
    if (place := _named_backbone(given)) is not None:
        raise ValueError(f"{place} would be looked up on the hub; use backbone_config instead")
    built = config_class.from_dict(given) if isinstance(config, str) else config_class(**given)
    if attention is not None:
        built._attn_implementation = attention
    if isinstance(config, Mapping):
        _check_keys(config_class, given, built)
    name_image_token(built, given)
    return built


def _read(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} holds a {type(data).__name__}, expected a JSON object")
    return data


def _named_backbone(config: Mapping[str, Any], place: str = "config") -> str | None:
    """The place in ``config`` that names another network, except a network of timm, which is built without weights."""
    if config.get("backbone") and not str(config.get("model_type", "")).startswith("timm_"):
        return f"{place}.backbone"
    inner = (_named_backbone(value, f"{place}.{key}") for key, value in config.items() if isinstance(value, Mapping))
    return next((found for found in inner if found is not None), None)


def _check_keys(config_class: Any, given: Mapping[str, Any], built: Any) -> None:
    """Raise TypeError for a key that the configuration only stores as an extra attribute and does not use."""
    known = {field.name for field in fields(config_class)} | set(config_class.attribute_map)
    for key in given:
        if key not in known and key in vars(built) and not hasattr(config_class, key):
            raise TypeError(f"config.{key}: {config_class.__name__} has no such key{did_you_mean(key, known)}")


def _inputs(
    class_name: str,
    base: Path,
    /,
    config: Mapping[str, Any] | str | None = None,
    attn_implementation: str | None = None,
    **kwargs: Any,
) -> dict[str, InputValue]:
    model_class = getattr(_import_transformers(), class_name)
    return inputs_of(model_class, _configuration(model_class, base, config, attn_implementation))


def _completed(
    class_name: str,
    base: Path,
    inputs: Mapping[str, InputValue],
    ask: Ask,
    /,
    config: Mapping[str, Any] | str | None = None,
    attn_implementation: str | None = None,
    **kwargs: Any,
) -> Mapping[str, InputValue]:
    model_class = getattr(_import_transformers(), class_name)
    settings = _configuration(model_class, base, config, attn_implementation)
    given = settings.to_dict() if isinstance(config, str) else config or {}  # a file is assumed to be complete
    return with_image(model_class, settings, given, inputs, ask)


def _advice(class_name: str, /, config: Mapping[str, Any] | str | None = None, **_: Any) -> str:
    config_class = getattr(getattr(_import_transformers(), class_name), "config_class", None)
    return advice_for(getattr(config_class, "model_type", ""), config)
