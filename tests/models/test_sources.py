"""The sources timm and transformers, and the inputs that each source knows; nothing here opens a connection."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from profiler import profile
from profiler.config import InputSpec
from profiler.errors import TargetError
from profiler.models.building import build_model, build_real_model
from profiler.models.inputs import build_inputs, default_inputs
from profiler.models.targets import list_targets

ROOT = Path(__file__).parents[2]
SMALL_GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 16, "vocab_size": 50}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here may open a connection."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def image(*shape: int) -> tuple[InputSpec]:
    """The inputs of a network that is given one floating tensor."""
    return (InputSpec(shape=shape),)


def tokens(length: int, high: int) -> InputSpec:
    """A batch of one text."""
    return InputSpec(shape=(1, length), dtype="int64", high=high)


@pytest.mark.parametrize(
    ("target", "kwargs", "inputs"),
    [
        ("torchvision:resnet50", {}, image(1, 3, 224, 224)),
        ("torchvision:inception_v3", {}, image(1, 3, 299, 299)),
        ("torchvision:vit_h_14", {}, image(1, 3, 224, 224)),
        ("torchvision:vit_h_14", {"image_size": 518}, image(1, 3, 518, 518)),
        ("torchvision:maxvit_t", {"input_size": [448, 224]}, image(1, 3, 448, 224)),
        ("torchvision:fcn_resnet50", {}, image(1, 3, 520, 520)),
        ("torchvision:quantized_resnet18", {}, image(1, 3, 224, 224)),
        ("torchvision:r3d_18", {}, image(1, 3, 16, 112, 112)),
        ("torchvision:raft_small", {}, image(1, 3, 512, 512) * 2),
        ("torchvision:ssd300_vgg16", {}, (image(3, 300, 300),)),
        ("torchvision:fcos_resnet50_fpn", {}, (image(3, 800, 800),)),
        ("timm:resnet50", {}, image(1, 3, 224, 224)),
        ("timm:resnet50", {"in_chans": 1}, image(1, 1, 224, 224)),
        ("timm:vit_base_patch16_384", {}, image(1, 3, 384, 384)),
        ("timm:vit_base_patch16_224", {"img_size": [32, 64]}, image(1, 3, 32, 64)),
        ("timm:efficientnet_b0.ra_in1k", {}, image(1, 3, 224, 224)),
        ("transformers:GPT2LMHeadModel", {}, {"input_ids": tokens(128, 50257)}),
        ("transformers:GPT2LMHeadModel", {"config": SMALL_GPT2}, {"input_ids": tokens(16, 50)}),
        ("transformers:T5Model", {}, {"input_ids": tokens(128, 32128), "decoder_input_ids": tokens(128, 32128)}),
        ("transformers:ViTModel", {}, {"pixel_values": InputSpec(shape=(1, 3, 224, 224))}),
        (
            "transformers:CLIPModel",
            {},
            {"input_ids": tokens(77, 49408), "pixel_values": InputSpec(shape=(1, 3, 224, 224))},
        ),
        (
            "transformers:SiglipModel",
            {},
            {"input_ids": tokens(64, 32000), "pixel_values": InputSpec(shape=(1, 3, 224, 224))},
        ),
        ("transformers:LlavaModel", {}, {"input_ids": tokens(128, 32000)}),
        (
            "transformers:Blip2Model",
            {},
            {"pixel_values": InputSpec(shape=(1, 3, 224, 224)), "input_ids": tokens(128, 50272)},
        ),
        (
            "transformers:WhisperModel",
            {},
            {"input_features": InputSpec(shape=(1, 80, 3000)), "decoder_input_ids": tokens(128, 51865)},
        ),
        ("transformers:Wav2Vec2Model", {}, {"input_values": InputSpec(shape=(1, 16000))}),
        ("transformers:VideoMAEModel", {}, {"pixel_values": InputSpec(shape=(1, 16, 3, 224, 224))}),
    ],
)
def test_a_source_knows_the_inputs(target: str, kwargs: dict[str, Any], inputs: Any) -> None:
    """A batch of one, of the size that the network was made for, or that its kwargs ask for."""
    assert default_inputs(target, kwargs) == inputs


@pytest.mark.parametrize(
    ("target", "kwargs"),
    [
        ("torchvision:mobilenet_v3_small", {}),
        ("torchvision:r3d_18", {}),
        ("torchvision:raft_small", {}),
        ("torchvision:quantized_mobilenet_v2", {}),
        ("timm:mobilenetv3_small_050", {}),
        ("timm:vit_tiny_patch16_224", {"img_size": 32}),
        ("transformers:GPT2LMHeadModel", {"config": SMALL_GPT2, "attn_implementation": "eager"}),
        ("transformers:T5ForConditionalGeneration", {"config": {"num_layers": 1, "d_model": 8, "d_ff": 8}}),
    ],
)
def test_the_inputs_fit_the_network(target: str, kwargs: dict[str, Any]) -> None:
    """The network runs on what its source says, and nothing of it is uncounted."""
    arguments, options = build_inputs(default_inputs(target, kwargs))
    result = profile(build_model(target, kwargs), options or arguments)
    assert result.total.macs > 0
    assert result.complete


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("profiler.models.zoo:AlexNet", "its inputs are not known, give their shapes: inputs in a config, or --input"),
        ("transformers:ResNetModel", r"not known, .* \(ValueError: ResNetConfig does not say the size of pixel_values"),
    ],
)
def test_what_is_not_known_is_asked_for(target: str, message: str) -> None:
    """The error names the target and what to write."""
    with pytest.raises(TargetError, match=f"^target {target}: .*{message}"):
        default_inputs(target)


@pytest.mark.parametrize(
    ("target", "kwargs", "message"),
    [
        ("timm:resnet50", {"pretrained": True}, "ValueError: pretrained would be downloaded"),
        ("timm:resnet50", {"num_clases": 3}, "TypeError: .*num_clases"),
        (
            "transformers:GPT2Model",
            {"config": {"n_layers": 2}},
            r"TypeError: config\.n_layers: GPT2Config has no such key, did you mean 'n_layer'",
        ),
        ("transformers:GPT2Model", {"config": {"n_layer": "a"}}, "n_layer"),
        ("transformers:GPT2Model", {"config": "gone.json"}, "FileNotFoundError: .*gone.json"),
        (
            "transformers:GPT2Model",
            {"attn_implementation": "kernels-community/flash-attn"},
            "might be fetched from the hub; take sdpa or eager or flex_attention",
        ),
        (
            "transformers:GPT2Model",
            {"config": {"attn_implementation": "flash_attention_2"}},
            "attn_implementation 'flash_attention_2' might be fetched from the hub",
        ),
        (
            "transformers:DetrModel",
            {"config": {"backbone": "someone/something"}},
            r"config\.backbone would be looked up on the hub; give backbone_config instead",
        ),
    ],
)
def test_a_refusal_says_why(target: str, kwargs: dict[str, Any], message: str) -> None:
    """Weights, names that the hub would be asked for, and keys that nothing reads are refused."""
    with pytest.raises(TargetError, match=f"^target {target}: refuses .*{message}"):
        build_model(target, kwargs)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("timm:resnet51", "timm has no network 'resnet51', did you mean 'resnet"),
        ("transformers:GPT2LMHead", "transformers has no network 'GPT2LMHead', did you mean 'GPT2LMHeadModel'"),
        ("transformers:AutoModel", "transformers has no network 'AutoModel'"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(target: str, message: str) -> None:
    """As for every source."""
    with pytest.raises(TargetError, match=message):
        build_model(target)


def test_a_configuration_may_be_a_local_file(tmp_path: Path) -> None:
    """A path starts from the base; what other versions of transformers wrote into the file does no harm."""
    settings = {**SMALL_GPT2, "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "from_another_version": 1}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    kwargs = {"config": "config.json"}
    network: Any = build_model("transformers:GPT2Model", kwargs, base=tmp_path)
    assert network.wte.weight.shape == (50, 8)
    assert network.wte.weight.is_meta
    assert default_inputs("transformers:GPT2Model", kwargs, tmp_path) == {"input_ids": tokens(16, 50)}
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(TargetError, match=r"config\.json holds a list, expected a JSON object"):
        build_model("transformers:GPT2Model", kwargs, base=tmp_path)


def test_kwargs_reach_the_network() -> None:
    """What is not for the configuration is for the class; the attention may be chosen."""
    network: Any = build_model("transformers:BertModel", {"add_pooling_layer": False, "attn_implementation": "eager"})
    assert network.pooler is None
    assert network.config._attn_implementation == "eager"
    assert build_real_model("timm:resnet18", {"num_classes": 3}).get_parameter("fc.weight").shape == (3, 512)


def test_eager_and_fused_attention_cost_the_same_macs() -> None:
    """The count does not depend on the kernel."""
    macs = set()
    for attention in ("eager", "sdpa"):
        kwargs = {"config": SMALL_GPT2, "attn_implementation": attention}
        _, options = build_inputs(default_inputs("transformers:GPT2Model", kwargs))
        macs.add(profile(build_model("transformers:GPT2Model", kwargs), options).total.macs)
    assert len(macs) == 1


def test_the_sources_are_listed() -> None:
    """timm's networks with and without tags under their module, transformers' model classes under theirs."""
    families = {entry.target: entry.family for entry in list_targets()}
    assert families["timm:resnet50"] == families["timm:resnet50.a1_in1k"] == "resnet"
    assert families["transformers:GPT2LMHeadModel"] == families["transformers:GPT2Model"] == "gpt2"
    assert sum(target.startswith("transformers:") for target in families) > 1000
    assert not {target for target in families if "PreTrainedModel" in target or ":AutoModel" in target}


HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in ("timm", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
from profiler.errors import TargetError
from profiler.models.building import build_model
from profiler.models.targets import list_targets
"""


def test_a_missing_package_is_named() -> None:
    """Without the extra the error says how to install it, and the other sources are still listed."""
    code = f"""{HIDE}
for package in ("timm", "transformers"):
    try:
        build_model(package + ":resnet50")
    except TargetError as error:
        assert str(error).endswith(f'install it with: pip install "static-flop-profiler[{{package}}]"'), error
    else:
        raise SystemExit("no error")
sources = {{entry.target.partition(":")[0] for entry in list_targets()}}
assert sources == {{"profiler.models.zoo", "torchvision"}}, sources
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


def test_listing_imports_no_model() -> None:
    """transformers' classes are listed by its index, none of their modules imported."""
    code = """
import sys
from profiler.models.targets import list_targets
assert len(list_targets("transformers")) > 1000
assert not [name for name in sys.modules if ".modeling_" in name and name.startswith("transformers.models")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
