"""The sources timm and transformers, and the inputs that each source knows; nothing here opens a connection."""

import dataclasses
import importlib
import json
import socket
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
from profiler.models.torchvision_ops import import_torchvision
from tests import forking

pytestmark = pytest.mark.slow  # networks of other libraries are built

ROOT = Path(__file__).parents[2]
ONE_LAYER = {"num_hidden_layers": 1}
SMALL_GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 16, "vocab_size": 50}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a test here opens a connection to another machine."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX, "a connection was opened"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def without_masks(inputs: Any) -> Any:
    """The inputs without masks which say that a text has no padding."""
    if isinstance(inputs, tuple):
        return inputs
    return {name: value for name, value in inputs.items() if not name.endswith("attention_mask")}


def image(*shape: int) -> tuple[InputSpec]:
    """The inputs of a network that takes one floating-point tensor."""
    return (InputSpec(shape=shape),)


def tokens(*shape: int, high: int) -> InputSpec:
    """A batch of one text of token ids; it may have more dimensions."""
    return InputSpec(shape=(1, *shape), dtype="int64", high=high)


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
        ("transformers:GPT2LMHeadModel", {}, {"input_ids": tokens(128, high=50257)}),
        ("transformers:GPT2LMHeadModel", {"config": SMALL_GPT2}, {"input_ids": tokens(16, high=50)}),
        (
            "transformers:T5Model",
            {},
            {"input_ids": tokens(128, high=32128), "decoder_input_ids": tokens(128, high=32128)},
        ),
        ("transformers:ViTModel", {}, {"pixel_values": InputSpec(shape=(1, 3, 224, 224))}),
        (
            "transformers:CLIPModel",
            {},
            {"input_ids": tokens(77, high=49408), "pixel_values": InputSpec(shape=(1, 3, 224, 224))},
        ),
        (
            "transformers:SiglipModel",
            {},
            {"input_ids": tokens(64, high=32000), "pixel_values": InputSpec(shape=(1, 3, 224, 224))},
        ),
        (
            "transformers:WhisperModel",
            {},
            {"input_features": InputSpec(shape=(1, 80, 3000)), "decoder_input_ids": tokens(128, high=51865)},
        ),
        ("transformers:Wav2Vec2Model", {}, {"input_values": InputSpec(shape=(1, 16000))}),
        ("transformers:VideoMAEModel", {}, {"pixel_values": InputSpec(shape=(1, 16, 3, 224, 224))}),
        ("transformers:BertForMultipleChoice", {}, {"input_ids": tokens(4, 128, high=30522)}),
    ],
)
def test_a_source_knows_the_inputs(target: str, kwargs: dict[str, Any], inputs: Any) -> None:
    """A batch of one, of the size that the network is made for, or that its kwargs set."""
    assert without_masks(default_inputs(target, kwargs)) == inputs


def test_no_token_is_padding() -> None:
    """Each text has a mask of ones, with values that are known on meta."""
    ones = InputSpec(shape=(1, 128), dtype="int64", low=1, high=2)
    inputs = default_inputs("transformers:T5Model")
    assert isinstance(inputs, dict)
    assert inputs["attention_mask"] == inputs["decoder_attention_mask"] == ones


ENCODER = {"model_type": "vit", "image_size": 96, "num_channels": 1}
DECODER = {"model_type": "gpt2", "n_positions": 16, "vocab_size": 50, "add_cross_attention": True}


@pytest.mark.parametrize(
    ("name", "config", "shapes"),
    [
        # images: the size to which a processor crops them, or resizes them or their shorter side, or a size of a
        # table
        ("BitModel", {}, {"pixel_values": (1, 3, 224, 224)}),
        ("SegformerModel", {"num_channels": 4}, {"pixel_values": (1, 4, 512, 512)}),
        ("DetrModel", {}, {"pixel_values": (1, 3, 800, 800)}),
        ("Sam2VisionModel", {}, {"pixel_values": (1, 3, 1024, 1024)}),
        ("UVDocModel", {}, {"pixel_values": (1, 3, 712, 488)}),
        ("ResNetModel", {}, {"pixel_values": (1, 3, 224, 224)}),
        ("GLPNModel", {}, {"pixel_values": (1, 3, 480, 640)}),
        ("EfficientLoFTRModel", {}, {"pixel_values": (1, 2, 3, 480, 640)}),
        ("VJEPA2Model", {"frames_per_clip": 8, "crop_size": 64}, {"pixel_values_videos": (1, 8, 3, 64, 64)}),
        ("Pix2StructVisionModel", {}, {"flattened_patches": (1, 2048, 2 + 3 * 16 * 16)}),
        # one second of sound: the waveform, or what the feature extractor makes of it
        ("HubertModel", {}, {"input_values": (1, 16_000)}),
        ("EncodecModel", {"audio_channels": 2}, {"input_values": (1, 2, 24_000)}),
        ("DacModel", {}, {"input_values": (1, 1, 2**14)}),
        ("ASTModel", {"num_mel_bins": 64, "max_length": 256}, {"input_values": (1, 256, 64)}),
        ("SpeechT5ForTextToSpeech", {}, {"input_ids": (1, 128), "decoder_input_values": (1, 128, 80)}),
        ("SpeechT5ForSpeechToSpeech", {}, {"input_values": (1, 16_000), "decoder_input_values": (1, 128, 80)}),
        ("SpeechT5ForSpeechToText", {}, {"input_values": (1, 16_000), "decoder_input_ids": (1, 128)}),
        ("SpeechT5Model", {}, {"input_values": (1, 128, 768), "decoder_input_values": (1, 128, 768)}),
        ("Speech2TextModel", {}, {"input_features": (1, 98, 80), "decoder_input_ids": (1, 128)}),
        ("Wav2Vec2BertModel", {}, {"input_features": (1, 49, 160)}),
        ("ClapModel", {}, {"input_ids": (1, 128), "input_features": (1, 1, 1001, 64)}),
        ("MusicgenModel", {}, {"input_ids": (4, 128)}),
        ("CsmBackboneModel", {"num_codebooks": 8}, {"input_ids": (1, 128, 8)}),
        # time series, trajectories, boxes, regions
        ("PatchTSTModel", {"num_input_channels": 7}, {"past_values": (1, 32, 7)}),
        ("TimesFmModel", {}, {"past_values": (1, 512), "past_values_padding": (1, 512), "freq": (1, 1)}),
        (
            "InformerModel",
            {"prediction_length": 8, "num_time_features": 2, "lags_sequence": [1, 5]},
            {"past_values": (1, 8 + 5), "past_time_features": (1, 8 + 5, 2), "past_observed_mask": (1, 8 + 5)},
        ),
        (
            "DecisionTransformerModel",
            {"state_dim": 3, "act_dim": 2},
            {"states": (1, 128, 3), "actions": (1, 128, 2), "returns_to_go": (1, 128, 1), "timesteps": (1, 128)},
        ),
        ("BrosModel", {}, {"input_ids": (1, 128), "bbox": (1, 128, 8)}),
        ("UdopModel", {}, {"input_ids": (1, 128), "decoder_input_ids": (1, 128), "bbox": (1, 128, 4)}),
        ("LxmertModel", {}, {"input_ids": (1, 128), "visual_feats": (1, 36, 2048), "visual_pos": (1, 36, 4)}),
        ("OneFormerModel", {"task_seq_len": 9}, {"pixel_values": (1, 3, 800, 800), "task_inputs": (1, 9)}),
        # networks that combine two others
        (
            "VisionEncoderDecoderModel",
            {"encoder": ENCODER, "decoder": DECODER},
            {"pixel_values": (1, 1, 96, 96), "decoder_input_ids": (1, 16)},
        ),
        (
            "SpeechEncoderDecoderModel",
            {"encoder": {"model_type": "wav2vec2"}, "decoder": DECODER},
            {"inputs": (1, 16_000), "decoder_input_ids": (1, 16)},
        ),
    ],
)
def test_transformers_inputs_follow_from_the_configuration(
    name: str, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> None:
    """Each kind of input has its shape, and the keys of a configuration that change its size."""
    inputs = without_masks(default_inputs(f"transformers:{name}", {"config": config}))
    assert {key: value.shape for key, value in inputs.items()} == shapes


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
        ("transformers:BertForMultipleChoice", {"config": ONE_LAYER}),
        ("transformers:SegformerModel", {"config": {"depths": [1, 1, 1, 1]}}),
        ("transformers:ResNetModel", {"config": {"depths": [1, 1, 1, 1]}}),
        ("transformers:TvpModel", {"config": {**ONE_LAYER, "num_frames": 2}}),
        ("transformers:EfficientLoFTRModel", {"config": {"num_attention_layers": 1}}),
        ("transformers:ASTModel", {"config": {**ONE_LAYER, "num_mel_bins": 64, "max_length": 128}}),
        ("transformers:SpeechT5Model", {"config": {"encoder_layers": 1, "decoder_layers": 1}}),
        ("transformers:SpeechT5ForTextToSpeech", {"config": {"encoder_layers": 1, "decoder_layers": 1}}),
        (
            "transformers:BlipForConditionalGeneration",
            {"config": {"text_config": ONE_LAYER, "vision_config": ONE_LAYER}},
        ),
        ("transformers:Speech2TextModel", {"config": {"encoder_layers": 1, "decoder_layers": 1}}),
        ("transformers:Wav2Vec2BertModel", {"config": ONE_LAYER}),
        ("transformers:DacModel", {}),
        ("transformers:MusicgenModel", {"config": ONE_LAYER}),
        ("transformers:PatchTSTModel", {"config": ONE_LAYER}),
        ("transformers:TimesFmModel", {"config": ONE_LAYER}),
        ("transformers:InformerModel", {"config": {"prediction_length": 8, "num_time_features": 2, "input_size": 2}}),
        ("transformers:LxmertModel", {"config": {"l_layers": 1, "x_layers": 1, "r_layers": 1}}),
        ("transformers:VisionEncoderDecoderModel", {"config": {"encoder": ENCODER, "decoder": DECODER}}),
    ],
)
def test_the_inputs_fit_the_network(target: str, kwargs: dict[str, Any]) -> None:
    """The network runs on the inputs of its source, and nothing is uncounted."""
    arguments, options = build_inputs(default_inputs(target, kwargs))
    result = profile(build_model(target, kwargs), options or arguments)
    assert result.total.macs > 0
    assert result.complete


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("profiler.models.zoo:AlexNet", "its inputs are not known, give their shapes: inputs in a config, or --input"),
        ("transformers:PerceiverModel", r"not known, .* \(ValueError: PerceiverConfig does not say the size of inputs"),
        (
            "transformers:InformerModel",
            r"not known, .* \(ValueError: InformerConfig has no context_length; set it in config",
        ),
        (
            "transformers:Qwen3VLVisionModel",
            r"\(ValueError: Qwen3VLVisionConfig does not say the size of hidden_states",
        ),
    ],
)
def test_inputs_that_are_not_known_have_to_be_given(target: str, message: str) -> None:
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
            "might be downloaded from the hub; use one of sdpa or eager or flex_attention",
        ),
        (
            "transformers:GPT2Model",
            {"config": {"attn_implementation": "flash_attention_2"}},
            "attn_implementation 'flash_attention_2' might be downloaded from the hub",
        ),
        (
            "transformers:DetrModel",
            {"config": {"backbone": "someone/something"}},
            r"config\.backbone would be looked up on the hub; use backbone_config instead",
        ),
    ],
)
def test_a_refusal_says_why(target: str, kwargs: dict[str, Any], message: str) -> None:
    """Weights, names that need the hub, and keys that nothing reads are refused."""
    with pytest.raises(TargetError, match=f"^target {target}: (refuses|calling its constructor with) .*{message}"):
        build_model(target, kwargs)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("timm:resnet51", "timm has no network 'resnet51', did you mean 'resnet"),
        ("transformers:GPT2LMHead", "transformers has no network 'GPT2LMHead', did you mean 'GPT2LMHeadModel'"),
        ("transformers:AutoModel", "transformers has no network 'AutoModel'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_proposal(target: str, message: str) -> None:
    """This holds for every source."""
    with pytest.raises(TargetError, match=message):
        build_model(target)


def test_a_configuration_may_be_a_local_file(tmp_path: Path) -> None:
    """A path is relative to the base; keys of other versions of transformers in the file do no harm."""
    settings = {**SMALL_GPT2, "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "from_another_version": 1}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    kwargs = {"config": "config.json"}
    network: Any = build_model("transformers:GPT2Model", kwargs, base=tmp_path)
    assert network.wte.weight.shape == (50, 8)
    assert network.wte.weight.is_meta
    inputs = without_masks(default_inputs("transformers:GPT2Model", kwargs, tmp_path))
    assert inputs == {"input_ids": tokens(16, high=50)}
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(TargetError, match=r"config\.json holds a list, expected a JSON object"):
        build_model("transformers:GPT2Model", kwargs, base=tmp_path)


def test_kwargs_reach_the_network() -> None:
    """Keys that are not for the configuration are for the class; the attention may be chosen."""
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


@pytest.mark.parametrize(
    ("experts", "dtype"), [("grouped_mm", "float32"), ("grouped_mm", "bfloat16"), ("batched_mm", "float32")]
)
def test_only_the_chosen_experts_cost(experts: str, dtype: str) -> None:
    """Each token goes through k gated experts of three h×i products, however many experts there are."""
    length, h, i, k, heads, groups, words = 16, 32, 64, 2, 4, 2, 50
    macs = {}
    for count in (4, 8):
        config = {
            "hidden_size": h,
            "intermediate_size": i,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "num_local_experts": count,
            "num_experts_per_tok": k,
            "experts_implementation": experts,
            "max_position_embeddings": length,
            "vocab_size": words,
        }
        kwargs = {"config": {**config, **ONE_LAYER}}
        _, options = build_inputs(default_inputs("transformers:MixtralForCausalLM", kwargs))
        result = profile(build_model("transformers:MixtralForCausalLM", kwargs, dtype=dtype), options)
        assert result.complete
        assert not result.trace.real_run
        macs[count] = result.total.macs
    d = h // heads
    projections = 2 * length * h * (heads * d) + 2 * length * h * (groups * d)
    attention = 2 * heads * length * length * d
    for count, total in macs.items():
        assert total == projections + attention + length * (h * count + k * 3 * h * i + h * words)


def test_the_sources_are_listed() -> None:
    """timm's networks are listed with and without tags under their module, transformers' model classes under theirs."""
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
from profiler.models.torchvision_ops import import_torchvision
"""


def test_a_missing_package_is_named() -> None:
    """Without the extra, the error says how to install it, and the other sources are still listed."""
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
    ended = forking.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, fresh=True)
    assert ended.returncode == 0, ended.stderr


def test_listing_imports_no_model() -> None:
    """The classes of transformers are listed from its index, without importing their modules."""
    code = """
import sys
from profiler.models.targets import list_targets
from profiler.models.torchvision_ops import import_torchvision
assert len(list_targets("transformers")) > 1000
assert not [name for name in sys.modules if ".modeling_" in name and name.startswith("transformers.models")]
"""
    ended = forking.run([sys.executable, "-c", code], cwd=ROOT, fresh=True)
    assert ended.returncode == 0, ended.stderr


TRANSFORMERS = """
    AlbertModel ASTModel BartForCausalLM BeitModel BertModel BitModel BlipModel BloomForCausalLM CLIPModel
    CohereForCausalLM ConvNextModel CvtModel DacModel DebertaModel DebertaV2Model DeepseekV4ForCausalLM DeiTModel
    DetrModel Dinov2Model DistilBertModel DPTModel EfficientLoFTRModel EfficientNetModel
    ElectraForSequenceClassification FalconForCausalLM FNetModel FocalNetModel FunnelModel Gemma2ForCausalLM
    Gemma4ForCausalLM GlmForCausalLM GLPNModel GPT2LMHeadModel GPTNeoXForCausalLM GptOssForCausalLM
    GraniteForCausalLM HubertModel Idefics3Model LevitModel LlamaForCausalLM LlavaModel LongT5Model LxmertModel
    Mamba2Model MambaModel MistralForCausalLM MixtralForCausalLM MobileNetV2Model MobileViTModel ModernBertModel
    MT5Model MusicgenModel Olmo2ForCausalLM OPTForCausalLM PatchTSMixerModel PatchTSTModel Phi3ForCausalLM
    PoolFormerModel PvtModel Qwen2ForCausalLM Qwen2VLModel Qwen3ForCausalLM Qwen3MoeForCausalLM RegNetModel
    ResNetModel RobertaModel SamModel SegformerModel SiglipModel Speech2TextModel StableLmForCausalLM SwinModel
    T5Model TimesFmModel TimesformerModel VideoMAEModel ViTModel Wav2Vec2BertModel Wav2Vec2Model WavLMModel
    WhisperModel YolosModel
"""
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TRANSFORMERS.split())
def test_every_family_of_transformers_is_profiled(name: str) -> None:
    """The configuration has two layers if it counts layers; all is on meta, and nothing is uncounted."""
    target = f"transformers:{name}"
    import_torchvision()
    configuration: Any = getattr(importlib.import_module("transformers"), name).config_class
    known = {field.name for field in dataclasses.fields(configuration)}
    kwargs = {"config": {key: 2 for key in LAYERS if key in known}}
    arguments, options = build_inputs(default_inputs(target, kwargs))
    result = profile(build_model(target, kwargs), options or arguments)
    assert result.complete
    assert not result.trace.real_run


TIMM = """
    beit_base_patch16_224 caformer_s18 cait_xxs24_224 coat_tiny coatnet_0_224 convit_tiny convmixer_768_32
    convnext_tiny convnextv2_tiny crossvit_tiny_240 cs3darknet_m cspresnet50 davit_tiny deit_tiny_patch16_224
    densenet121 dla34 dpn68 edgenext_small efficientformer_l1 efficientnet_b0 efficientnetv2_s efficientvit_b0
    eva02_tiny_patch14_224 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_100 hardcorenas_a hgnet_small
    hiera_tiny_224 hrnet_w18 inception_v4 levit_128 maxvit_tiny_tf_224 mixer_b16_224 mnasnet_100 mobilenetv3_large_100
    mobilenetv4_conv_small mobileone_s0 mobilevit_s mvitv2_tiny nasnetalarge nextvit_small nf_resnet50 nfnet_f0
    pit_ti_224 poolformer_s12 pvt_v2_b0 regnetx_002 repvgg_a0 res2net50_26w_4s resmlp_12_224 resnest14d resnet50
    rexnet_100 seresnet50 sequencer2d_s skresnet18 swin_tiny_patch4_window7_224 tiny_vit_5m_224 tnt_s_patch16_224
    tresnet_m twins_svt_small vgg11 visformer_tiny vit_tiny_patch16_224 volo_d1_224 xception41 xcit_nano_12_p16_224
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TIMM.split())
def test_every_family_of_timm_is_profiled(name: str) -> None:
    """It is built as timm builds it; all is on meta, and nothing is uncounted."""
    arguments, _ = build_inputs(default_inputs(f"timm:{name}"))
    result = profile(build_model(f"timm:{name}"), arguments)
    assert result.complete
    assert not result.trace.real_run
