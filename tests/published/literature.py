"""What the literature prints, table by table, and our exact figures beside it."""

from __future__ import annotations

from profiler import Profile
from tests.published.figures import Figure, Network, Reason, Table, image, tokens


def _norms(result: Profile) -> int:
    return sum(record.size for record in result.trace.parameters if not record.buffer and record.use == "norm")


def _biases(result: Profile) -> int:
    return sum(record.size for record in result.trace.parameters if record.names[0].endswith(".bias"))


def _macs_of(op: str, result: Profile) -> int:
    return sum(call.count.macs for call in result.trace.calls if call.op == op)


def _shortcuts(result: Profile) -> int:
    return sum(call.count.macs for call in result.trace.calls if ".downsample" in call.module)


def _late_strides(result: Profile) -> int:
    """In the first block of stages 2 to 4, the 1×1 convolution before the strided one: three of its four quarters."""
    early = ("layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1")
    return sum(call.count.macs * 3 // 4 for call in result.trace.calls if call.module in early)


CUT = Reason("cut, not rounded", cut=True)
NORMS = Reason("the scales and shifts of the batch normalisations are left out", _norms)
BIASES = Reason("without biases, for simplicity, as the source says", _biases)
SCORES = Reason(
    "calflops does not see `torch.baddbmm`, which makes the attention scores",
    lambda result: _macs_of("aten::baddbmm", result),
)
SHORTCUTS = Reason("shortcuts without parameters (option A of the paper); ours are 1×1 convolutions", _shortcuts)
STRIDES = Reason("the paper's blocks stride in their first 1×1 convolution, torchvision's in the 3×3", _late_strides)
STRIDES_CUT = Reason(f"{STRIDES.text}; and cut, not rounded", _late_strides, cut=True)
ROUND_NAME = Reason("not derived: the shape that the paper gives has fewer, its name is a round number", known=False)
NOT_SAID = Reason("not known: the source does not say how it was counted", known=False)
TWICE = Reason("not known: the source prints 47.0 G for the same network in its next table", known=False)


def _mobilenet_v2(width: float, side: int, macs: str, ours: int, parameters: str, our_parameters: int) -> Network:
    return Network(
        f"MobileNetV2 {width}, {side}",
        "torchvision:mobilenet_v2",
        image(side),
        Figure(macs, ours, CUT if (width, side) == (1.0, 224) else None),
        Figure(parameters, our_parameters, NORMS),
        {"width_mult": width},
    )


MOBILENETS = Table(
    "MobileNet",
    "A. Howard et al., arXiv:1704.04861, table 8 (V1); TensorFlow's model garden, "
    "research/slim/nets/mobilenet/README.md (V2, V3-Large); A. Howard et al., arXiv:1905.02244, table 3 (V3-Small)",
    (
        Network(
            "MobileNetV1 1.0, 224",
            "timm:mobilenetv1_100",
            image(224),
            Figure("569 M", 568_740_352),
            Figure("4.2 M", 4_231_976),
        ),
        _mobilenet_v2(1.4, 224, "582 M", 582_195_824, "6.06 M", 6_108_776),
        _mobilenet_v2(1.3, 224, "509 M", 509_374_560, "5.34 M", 5_386_792),
        _mobilenet_v2(1.0, 224, "300 M", 300_774_272, "3.47 M", 3_504_872),
        _mobilenet_v2(1.0, 192, "221 M", 221_316_608, "3.47 M", 3_504_872),
        _mobilenet_v2(1.0, 160, "154 M", 154_083_200, "3.47 M", 3_504_872),
        _mobilenet_v2(1.0, 128, "99 M", 99_074_048, "3.47 M", 3_504_872),
        _mobilenet_v2(1.0, 96, "56 M", 56_289_152, "3.47 M", 3_504_872),
        _mobilenet_v2(0.75, 224, "209 M", 209_069_792, "2.61 M", 2_636_424),
        _mobilenet_v2(0.5, 224, "97 M", 97_131_840, "1.95 M", 1_968_680),
        _mobilenet_v2(0.35, 224, "59 M", 59_285_808, "1.66 M", 1_677_128),
        Network(
            "MobileNetV3-Large 1.0",
            "torchvision:mobilenet_v3_large",
            image(224),
            Figure("217 M", 216_589_760),
            Figure("5.4 M", 5_483_032, CUT),
        ),
        Network(
            "MobileNetV3-Large 0.75",
            "timm:mobilenetv3_large_075",
            image(224),
            Figure("155 M", 154_560_624),
            Figure("4.0 M", 3_993_528),
        ),
        Network(
            "MobileNetV3-Small 1.0",
            "torchvision:mobilenet_v3_small",
            image(224),
            Figure("56 M", 56_510_400, CUT),
            Figure("2.5 M", 2_542_856),
        ),
    ),
)

SHUFFLENETS = Table(
    "ShuffleNetV2",
    "N. Ma et al., arXiv:1807.11164, table 8; parameters from the authors' repository, "
    "megvii-model/ShuffleNet-Series, ShuffleNetV2/README.md",
    tuple(
        Network(
            f"ShuffleNetV2 {width.replace('_', '.')}×",
            f"torchvision:shufflenet_v2_x{width}",
            image(224),
            Figure(macs, ours, NOT_SAID),
            Figure(parameters, our_parameters),
        )
        for width, macs, ours, parameters, our_parameters in (
            ("0_5", "41 M", 40_476_448, "1.4 M", 1_366_792),
            ("1_0", "146 M", 144_907_992, "2.3 M", 2_278_604),
            ("1_5", "299 M", 295_759_392, "3.5 M", 3_503_624),
            ("2_0", "591 M", 583_253_464, "7.4 M", 7_393_996),
        )
    ),
    note="Ours is below the printed figure by 0.7 to 1.3 %.",
)

EFFICIENTNETS = Table(
    "EfficientNet",
    "M. Tan, Q. Le, arXiv:1905.11946, table 2",
    tuple(
        Network(
            f"EfficientNet-B{number}, {side}",
            f"torchvision:efficientnet_b{number}",
            image(side),
            Figure(macs, ours, reason),
            Figure(parameters, our_parameters, NOT_SAID if number == 2 else None),
        )
        for number, side, macs, ours, reason, parameters, our_parameters in (
            (0, 224, "0.39 G", 385_814_752, None, "5.3 M", 5_288_548),
            (1, 240, "0.70 G", 686_802_832, NOT_SAID, "7.8 M", 7_794_184),
            (2, 260, "1.0 G", 993_561_872, None, "9.2 M", 9_109_994),
            (3, 300, "1.8 G", 1_827_141_392, None, "12 M", 12_233_232),
            (4, 380, "4.2 G", 4_393_771_024, NOT_SAID, "19 M", 19_341_616),
            (5, 456, "9.9 G", 10_266_384_752, NOT_SAID, "30 M", 30_389_784),
            (6, 528, "19 G", 19_067_593_536, None, "43 M", 43_040_704),
            (7, 600, "37 G", 37_745_884_192, CUT, "66 M", 66_347_960),
        )
    ),
    note="Ours lies between 2 % below and 5 % above the printed figure.",
)

EFFICIENTNETS_V2 = Table(
    "EfficientNetV2",
    "the authors' repository, google/automl, efficientnetv2/README.md",
    tuple(
        Network(
            f"EfficientNetV2-{size}, {side}",
            f"torchvision:efficientnet_v2_{size.lower()}",
            image(side),
            Figure(macs, ours, reason),
            Figure(parameters, our_parameters, NOT_SAID if size == "L" else None),
        )
        for size, side, macs, ours, reason, parameters, our_parameters in (
            ("S", 384, "8.4 G", 8_365_617_152, None, "21.5 M", 21_458_488),
            ("M", 480, "24.7 G", 24_582_460_384, NOT_SAID, "54.1 M", 54_139_356),
            ("L", 480, "56.3 G", 56_079_699_008, NOT_SAID, "119.5 M", 118_515_272),
        )
    ),
)

SWINS = Table(
    "Swin Transformer",
    "Z. Liu et al., arXiv:2103.14030, table 1; the authors' repository, microsoft/Swin-Transformer, README.md",
    tuple(
        Network(f"{name}, {side}", target, image(side), Figure(macs, ours), Figure(parameters, our_parameters))
        for name, side, target, macs, ours, parameters, our_parameters in (
            ("Swin-T", 224, "torchvision:swin_t", "4.5 G", 4_490_566_656, "28 M", 28_288_354),
            ("Swin-S", 224, "torchvision:swin_s", "8.7 G", 8_740_875_264, "50 M", 49_606_258),
            ("Swin-B", 224, "torchvision:swin_b", "15.4 G", 15_430_946_816, "88 M", 87_768_224),
            ("Swin-B", 384, "timm:swin_base_patch4_window12_384", "47.1 G", 47_083_134_976, "88 M", 87_903_584),
            ("Swin-L", 224, "timm:swin_large_patch4_window7_224", "34.5 G", 34_475_759_616, "197 M", 196_532_476),
            ("Swin-L", 384, "timm:swin_large_patch4_window12_384", "103.9 G", 103_919_087_616, "197 M", 196_735_516),
        )
    ),
)

CONVNEXTS = Table(
    "ConvNeXt",
    "Z. Liu et al., arXiv:2201.03545, table 1; the authors' repository, facebookresearch/ConvNeXt, README.md",
    tuple(
        Network(
            f"ConvNeXt-{size}, {side}",
            target,
            image(side),
            Figure(macs, ours, TWICE if (size, side) == ("B", 384) else None),
            Figure(parameters, our_parameters, CUT if parameters == "28 M" else None),
        )
        for size, side, target, macs, ours, parameters, our_parameters in (
            ("T", 224, "torchvision:convnext_tiny", "4.5 G", 4_455_531_264, "28 M", 28_589_128),
            ("T", 384, "torchvision:convnext_tiny", "13.1 G", 13_092_317_184, "29 M", 28_589_128),
            ("S", 224, "torchvision:convnext_small", "8.7 G", 8_683_712_256, "50 M", 50_223_688),
            ("S", 384, "torchvision:convnext_small", "25.5 G", 25_517_991_936, "50 M", 50_223_688),
            ("B", 224, "torchvision:convnext_base", "15.4 G", 15_354_729_472, "89 M", 88_591_464),
            ("B", 384, "torchvision:convnext_base", "45.0 G", 45_122_117_632, "89 M", 88_591_464),
            ("L", 224, "torchvision:convnext_large", "34.4 G", 34_361_433_600, "198 M", 197_767_336),
            ("L", 384, "torchvision:convnext_large", "101.0 G", 100_977_561_600, "198 M", 197_767_336),
            ("XL", 224, "timm:convnext_xlarge", "60.9 G", 60_921_030_656, "350 M", 350_196_968),
            ("XL", 384, "timm:convnext_xlarge", "179.0 G", 179_029_262_336, "350 M", 350_196_968),
        )
    ),
)

RESNETS = Table(
    "ResNet",
    "K. He et al., arXiv:1512.03385, table 1; parameters as torchvision publishes them with its weights",
    tuple(
        Network(
            f"ResNet-{depth}",
            f"torchvision:resnet{depth}",
            image(224),
            Figure(macs, ours, reason),
            Figure(f"{our_parameters}", our_parameters),
        )
        for depth, macs, ours, reason, our_parameters in (
            (18, "1.8 G", 1_814_073_344, None, 11_689_512),
            (34, "3.6 G", 3_663_761_408, SHORTCUTS, 21_797_672),
            (50, "3.8 G", 4_089_184_256, STRIDES_CUT, 25_557_032),
            (101, "7.6 G", 7_801_405_440, STRIDES, 44_549_160),
            (152, "11.3 G", 11_513_626_624, STRIDES, 60_192_808),
        )
    ),
)

NANOGPT = Table(
    "GPT-2",
    "karpathy/nanoGPT, transformer_sizing.ipynb: `forward_total` and the total of the parameters",
    (
        Network(
            "GPT-2 124M, 1024 tokens",
            "transformers:GPT2LMHeadModel",
            tokens(1024),
            Figure("291648307200", 291_648_307_200),
            Figure("124337664", 124_439_808, BIASES),
        ),
    ),
    flops=True,
    note="The source counts 2 for each multiply–accumulate of the contractions and nothing else, "
    "so ours is twice the MACs.",
)

GPT3 = Table(
    "GPT-3",
    "T. Brown et al., arXiv:2005.14165, table 2.1: 96 layers of width 12,288 with 96 heads, 2,048 positions, and "
    "the 50,257 tokens of GPT-2",
    (
        Network(
            "GPT-3 175B, 2048 tokens",
            "transformers:GPT2LMHeadModel",
            tokens(2048),
            None,
            Figure("175.0 B", 174_604_259_328, ROUND_NAME),
            {"config": {"n_embd": 12288, "n_layer": 96, "n_head": 96, "n_positions": 2048}},
        ),
    ),
    note="96·(12·12288² + 13·12288) in the blocks, (50257 + 2048)·12288 in the embeddings, 2·12288 in the last norm.",
)

CALFLOPS = Table(
    "Language models at 128 tokens",
    "MrYxJ/calculate-flops.pytorch (calflops), README.md",
    (
        Network(
            "Llama-2-7B",
            "transformers:LlamaForCausalLM",
            tokens(128),
            Figure("850.00 G", 850_000_871_424),
            Figure("6738415616", 6_738_415_616),
        ),
        Network(
            "Chinese-LLaMA-7B",
            "transformers:LlamaForCausalLM",
            tokens(128),
            Figure("859.41 G", 859_413_413_888),
            Figure("6885486592", 6_885_486_592),
            {"config": {"vocab_size": 49953}},
        ),
        Network(
            "BLOOM-1b7",
            "transformers:BloomModel",
            tokens(128),
            Figure("155.42 G", 156_229_435_392, SCORES),
            Figure("1722408960", 1_722_408_960),
            {"config": {"hidden_size": 2048, "n_layer": 24, "n_head": 16}},
        ),
        Network(
            "BLOOM-7b1",
            "transformers:BloomModel",
            tokens(128),
            Figure("775.11 G", 777_120_645_120, SCORES),
            Figure("7069016064", 7_069_016_064),
            {"config": {"hidden_size": 4096, "n_layer": 30, "n_head": 32}},
        ),
        Network(
            "Chinese-RoBERTa-wwm-ext",
            "transformers:BertModel",
            tokens(128),
            Figure("11.17 G", 11_174_215_680),
            Figure("102267648", 102_267_648),
            {"config": {"vocab_size": 21128}},
        ),
    ),
)

TABLES = (
    MOBILENETS,
    SHUFFLENETS,
    EFFICIENTNETS,
    EFFICIENTNETS_V2,
    SWINS,
    CONVNEXTS,
    RESNETS,
    NANOGPT,
    GPT3,
    CALFLOPS,
)
