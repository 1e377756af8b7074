"""The errors of networks that cannot be built or run: what failed, where, and the next step."""

from pathlib import Path
from typing import Any

import pytest

from profiler import profile_config
from profiler.config import Config, ModelSection
from profiler.errors import ProfilerError, TargetError
from profiler.models.building import build_model
from profiler.models.transformers_defaults import NEEDS

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = self.made(width)

    def made(self, width):
        if width > 9:
            raise ValueError("too wide: " + "x" * 400 + "\\nsecond line")
        return nn.Linear(width, "a" if width > 5 else 4)
"""


def refused(folder: Path, **kwargs: Any) -> str:
    """The message for a network that cannot be built from ``kwargs``."""
    (folder / "net.py").write_text(NET)
    with pytest.raises(TargetError) as caught:
        build_model("net.py:Net", kwargs, base=folder)
    return str(caught.value)


def test_a_failing_constructor_is_named_with_its_place_and_first_line(tmp_path: Path) -> None:
    """The place is in the network's own file."""
    message = refused(tmp_path, width=10)
    assert "net.py:Net: calling its constructor with width=10 failed: ValueError: too wide: " + "x" * 400 in message
    assert "(in net.py, line 12, " in message
    assert "second line" not in message


def test_a_failure_within_torch_has_the_place_of_the_networks_call(tmp_path: Path) -> None:
    """The place is the line that made the layer, and not a line of torch."""
    assert "(in net.py, line 13, " in refused(tmp_path, width=6)


def test_kwargs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Nothing of the network has run then, so there is no place."""
    message = refused(tmp_path, widht=6)
    assert message == "target net.py:Net: refuses widht=6: TypeError: got an unexpected keyword argument 'widht'"


def failure(name: str, **kwargs: Any) -> str:
    """The message for a class of transformers that cannot be profiled."""
    with pytest.raises(ProfilerError) as caught:
        run(name, **kwargs)
    return str(caught.value)


def run(name: str, **kwargs: Any) -> Any:
    """The profile of a class of transformers on its default inputs."""
    config = Config(name="net", model=ModelSection(target=f"transformers:{name}", kwargs=kwargs), crosscheck=())
    return profile_config(config, crosscheck=False)


CANNOT_RUN = {
    "aya_vision": ("AyaVisionForConditionalGeneration", "{vision_config: {num_attention_heads: 16}}"),
    "bamba": ("BambaForCausalLM", "{attn_layer_indices: [9, 18, 27]}"),
    "chameleon": ("ChameleonForConditionalGeneration", '{vocabulary_map: {"<image>": 8711}}'),
    "deepseek_v2": ("DeepseekV2ForCausalLM", "{num_experts_per_tok: 6}"),
    "emu3": ("Emu3ForConditionalGeneration", '{vocabulary_map: {"<image>": 151851}}'),
    "exaone4_5": ("Exaone4_5_ForConditionalGeneration", "{vision_config: {out_hidden_size: 4096}}"),
    "glm_ocr": ("GlmOcrForConditionalGeneration", "{vision_config: {out_hidden_size: 1024}}"),
    "janus": ("JanusForConditionalGeneration", "{vision_config: {projection_dim: 4096}}"),
    "ovis2": ("Ovis2ForConditionalGeneration", "{hidden_size: 4096}"),
    "qwen2_5_vl": ("Qwen2_5_VLForConditionalGeneration", "{vision_config: {out_hidden_size: 8192}}"),
    "qwen2_vl": ("Qwen2VLForConditionalGeneration", "{vision_config: {hidden_size: 8192}}"),
    "qwen3_5": ("Qwen3_5ForConditionalGeneration", "{vision_config: {out_hidden_size: 4096}}"),
    "qwen3_5_moe": ("Qwen3_5MoeForConditionalGeneration", "{vision_config: {out_hidden_size: 2048}}"),
    "qwen3_vl": ("Qwen3VLForConditionalGeneration", "{vision_config: {out_hidden_size: 4096}}"),
    "qwen3_vl_moe": ("Qwen3VLMoeForConditionalGeneration", "{vision_config: {out_hidden_size: 2048}}"),
    "reformer": ("ReformerModelWithLMHead", "{is_decoder: true}"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("model_type", NEEDS)
def test_the_advised_keys_make_the_default_configuration_run(model_type: str) -> None:
    """Without the keys it fails and the message lists them; with them the profile is complete."""
    name, keys = CANNOT_RUN[model_type]
    message = failure(name)
    assert f"; transformers itself cannot run this with the default configuration of {model_type}; " in message
    assert message.endswith(f"keys that make it run: kwargs: {{config: {keys}}}")
    assert run(name, config=dict(NEEDS[model_type])).complete


@pytest.mark.slow
def test_a_failing_constructor_names_the_default_configuration() -> None:
    """The message for a family in the table has the failure, its place, and the keys."""
    message = failure("ReformerModelWithLMHead")
    assert "calling its constructor with no kwargs failed: AssertionError: If you want to use" in message
    assert "(in modeling_reformer.py, line " in message
    assert message.endswith("keys that make it run: kwargs: {config: {is_decoder: true}}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DeepseekOcr2ForConditionalGeneration", "Glm4vMoeForConditionalGeneration"])
def test_a_failing_default_configuration_is_named_as_such(name: str) -> None:
    """The family is not in the table; the failure is in the constructor or in the trace."""
    assert "; this is transformers' default configuration; keys of a published one can be given" in failure(name)


@pytest.mark.slow
def test_a_custom_configuration_is_not_named_as_the_default() -> None:
    """If keys are given, the message does not say that others are missing."""
    message = failure("GPT2Model", config={"n_head": 5})
    assert "calling its constructor with config={'n_head': 5} failed: ValueError" in message
    assert "default configuration" not in message
