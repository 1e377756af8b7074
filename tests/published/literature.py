"""The figures that the literature prints, table by table, with our exact figures."""

from __future__ import annotations

from tests.published.figures import Figure, Network, Table, arxiv, github, image, tokens
from tests.published.reasons import (
    BIASES,
    CUT,
    NEXT_TABLE,
    NORMS,
    OTHER_NETWORK,
    SCORES,
    SHORTCUTS,
    SLIP,
    SPLIT,
    STRIDES,
    STRIDES_CUT,
    TENSORFLOW,
    UP,
)


def _mobilenet_v2(width: float, side: int, macs: str, ours: int, parameters: str, our_parameters: int) -> Network:
    return Network(
        f"MobileNetV2 {width}, {side}",
        "torchvision:mobilenet_v2",
        image(side),
        Figure(macs, ours, CUT if (width, side) == (1.0, 224) else None),
        Figure(parameters, our_parameters, NORMS, WITHOUT_NORMS[width]),
        {"width_mult": width},
    )


WITHOUT_NORMS = {
    1.4: 6_060_840,
    1.3: 5_342_536,
    1.0: 3_470_760,
    0.75: 2_609_784,
    0.5: 1_950_136,
    0.35: 1_663_048,
}
"""MobileNetV2's parameters by width, without those of its batch normalizations."""

MOBILENETS = Table(
    "MobileNet",
    f"A. Howard et al., {arxiv('1704.04861')}, table 8 (V1); "
    f"{github('tensorflow/models', 'research/slim/nets/mobilenet/README.md')} (V2, V3-Large); "
    f"A. Howard et al., {arxiv('1905.02244')}, table 3 (V3-Small)",
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
    f"N. Ma et al., {arxiv('1807.11164')}, table 8; parameters from the authors' repository, "
    f"{github('megvii-model/ShuffleNet-Series', 'ShuffleNetV2/README.md')}",
    tuple(
        Network(
            f"ShuffleNetV2 {width.replace('_', '.')}×",
            f"torchvision:shufflenet_v2_x{width}",
            image(224),
            Figure(macs, ours, UP if theirs is None else SPLIT, theirs),
            Figure(parameters, our_parameters),
        )
        for width, macs, ours, theirs, parameters, our_parameters in (
            ("0_5", "41 M", 40_476_448, None, "1.4 M", 1_366_792),
            ("1_0", "146 M", 144_907_992, 145_814_296, "2.3 M", 2_278_604),
            ("1_5", "299 M", 295_759_392, 298_970_656, "3.5 M", 3_503_624),
            ("2_0", "591 M", 583_253_464, 590_783_000, "7.4 M", 7_393_996),
        )
    ),
    note="Convolutions and linear layers are counted, "
    "[as the authors say](https://github.com/megvii-model/ShuffleNet-Series/issues/12). The first block of stage 2 "
    "makes 24 channels into 2·h. In the authors' network "
    f"({github('megvii-model/ShuffleNet-Series', 'ShuffleNetV2/blocks.py')}) its shortcut keeps 24 and its main branch "
    "makes 2·h − 24; in torchvision's each makes h. That is 28²·(h − 24)² fewer, and nothing at 0.5×, where h is 24.",
)

EFFICIENTNETS = Table(
    "EfficientNet",
    f"M. Tan, Q. Le, {arxiv('1905.11946')}, table 2",
    tuple(
        Network(
            f"EfficientNet-B{number}, {side}",
            f"torchvision:efficientnet_b{number}",
            image(side),
            Figure(macs, ours, reason, theirs),
            Figure(parameters, our_parameters, OTHER_NETWORK if number == 2 else None),
        )
        for number, side, macs, ours, reason, theirs, parameters, our_parameters in (
            (0, 224, "0.39 G", 385_814_752, None, None, "5.3 M", 5_288_548),
            (1, 240, "0.70 G", 686_802_832, TENSORFLOW, 696_181_188, "7.8 M", 7_794_184),
            (2, 260, "1.0 G", 993_561_872, None, None, "9.2 M", 9_109_994),
            (3, 300, "1.8 G", 1_827_141_392, None, None, "12 M", 12_233_232),
            (4, 380, "4.2 G", 4_393_771_024, OTHER_NETWORK, None, "19 M", 19_341_616),
            (5, 456, "9.9 G", 10_266_384_752, OTHER_NETWORK, None, "30 M", 30_389_784),
            (6, 528, "19 G", 19_067_593_536, None, None, "43 M", 43_040_704),
            (7, 600, "37 G", 37_745_884_192, OTHER_NETWORK, None, "66 M", 66_347_960),
        )
    ),
    note="The authors' later code counts with TensorFlow's profiler and halves its result (`num_params_flops` in "
    f"{github('google/automl', 'efficientnetv2/utils.py')}). It also sees products, sums, biases and means of single "
    "values, and nothing of a fused batch normalization. B0 to B3 all print as published by that count.\n\n"
    "From B3 on the figures are not what the code that came with the paper gives. The "
    "[authors' plot](https://github.com/tensorflow/tpu/blob/HEAD/models/official/efficientnet/g3doc/flops.png) has B3 "
    "to B6 at about 1.76, 4.16, 9.95 and 18.5 G; the code, by that count, has 1.85, 4.44, 10.36 and 19.22 G, and "
    "38.01 G for B7. These changes do not explain it: channels rounded to multiples of 1, 2, 4, 8 or 16; "
    "repeats rounded down, up or to "
    "the nearest; sizes of maps rounded down or not at all; an unscaled stem or head; batch normalization counted. No "
    "image side gives B5 its 9.9 G: up to 448 it has 9.49 G at most, from 449 on 10.32 G or more.\n\n"
    "The parameters are those of the authors' code, B2's too "
    f"({github('google/automl', 'efficientdet/backbone/efficientnet_builder_test.py')}). With the running means and "
    "variances of its norms B2 would print as published, but B1, B5 and B7 would not.",
)

EFFICIENTNETS_V2 = Table(
    "EfficientNetV2",
    f"the authors' repository, {github('google/automl', 'efficientnetv2/README.md')}",
    tuple(
        Network(
            f"EfficientNetV2-{size}, {side}",
            target,
            image(side),
            Figure(macs, ours, reason, theirs),
            Figure(parameters, our_parameters, OTHER_NETWORK if size == "L" else None),
        )
        for size, side, target, macs, ours, reason, theirs, parameters, our_parameters in (
            ("S", 384, "torchvision:efficientnet_v2_s", "8.4 G", 8_365_617_152, None, None, "21.5 M", 21_458_488),
            (
                "M",
                480,
                "torchvision:efficientnet_v2_m",
                "24.7 G",
                24_582_460_384,
                TENSORFLOW,
                24_656_218_792,
                "54.1 M",
                54_139_356,
            ),
            (
                "L",
                480,
                "torchvision:efficientnet_v2_l",
                "56.3 G",
                56_079_699_008,
                OTHER_NETWORK,
                None,
                "119.5 M",
                118_515_272,
            ),
            ("B0", 224, "timm:tf_efficientnetv2_b0", "0.72 G", 718_086_176, None, None, "7.1 M", 7_139_704),
            ("B1", 240, "timm:tf_efficientnetv2_b1", "1.2 G", 1_196_819_360, None, None, "8.1 M", 8_141_052),
            ("B2", 260, "timm:tf_efficientnetv2_b2", "1.7 G", 1_697_542_832, None, None, "10.1 M", 10_096_086),
            ("B3", 300, "timm:tf_efficientnetv2_b3", "3.0 G", 3_011_458_816, None, None, "14.4 M", 14_358_406),
        )
    ),
    note="Counted as EfficientNet is; by that count all but L print as published, and L would be 56.21 G. With batch "
    "normalization as on a TPU, where it is not fused and counts, L would be 56.37 G. Nor are L's parameters those of "
    "the authors' code, whose test has 119,027,848 with the 512,576 running means and variances of the norms, which "
    f"leaves ours ({github('google/automl', 'efficientnetv2/effnetv2_model_test.py')}).",
)

SWINS = Table(
    "Swin Transformer",
    f"the authors' repository, {github('microsoft/Swin-Transformer', 'README.md')}",
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
    note=f"The paper (Z. Liu et al., {arxiv('2103.14030')}, table 1) prints the same, but 29 M for Swin-T and 47.0 G "
    "for Swin-B at 384.",
)

CONVNEXTS = Table(
    "ConvNeXt",
    f"the authors' repository, {github('facebookresearch/ConvNeXt', 'README.md')}; also Z. Liu et al., "
    f"{arxiv('2201.03545')}, table 1",
    tuple(
        Network(
            f"ConvNeXt-{size}, {side}",
            target,
            image(side),
            Figure(macs, ours, SLIP if (size, side) == ("B", 384) else None),
            Figure(parameters, our_parameters, NEXT_TABLE if parameters == "28 M" else None),
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
    f"K. He et al., {arxiv('1512.03385')}, table 1; parameters as torchvision publishes them with its weights",
    tuple(
        Network(
            f"ResNet-{depth}",
            f"torchvision:resnet{depth}",
            image(224),
            Figure(macs, ours, reason, theirs),
            Figure(f"{our_parameters}", our_parameters),
        )
        for depth, macs, ours, reason, theirs, our_parameters in (
            (18, "1.8 G", 1_814_073_344, None, None, 11_689_512),
            (34, "3.6 G", 3_663_761_408, SHORTCUTS, 3_644_493_824, 21_797_672),
            (50, "3.8 G", 4_089_184_256, STRIDES_CUT, 3_857_973_248, 25_557_032),
            (101, "7.6 G", 7_801_405_440, STRIDES, 7_570_194_432, 44_549_160),
            (152, "11.3 G", 11_513_626_624, STRIDES, 11_282_415_616, 60_192_808),
        )
    ),
)

NANOGPT = Table(
    "GPT-2",
    f"{github('karpathy/nanoGPT', 'transformer_sizing.ipynb')}: `forward_total` and the total of the parameters",
    (
        Network(
            "GPT-2 124M, 1024 tokens",
            "transformers:GPT2LMHeadModel",
            tokens(1024),
            Figure("291648307200", 291_648_307_200),
            Figure("124337664", 124_439_808, BIASES, 124_337_664),
        ),
    ),
    flops=True,
    note="The source counts 2 for each multiply–accumulate of the contractions and nothing else, "
    "so ours is twice the MACs.",
)

GPT3_SHAPES = {
    "Small": (12, 768, "125 M", 125_226_240),
    "Medium": (24, 1024, "356 M", 355_871_744),
    "Large": (24, 1536, "760 M", 760_300_032),
    "XL": (24, 2048, "1.32 B", 1_315_723_264),
    "2.7B": (32, 2560, "2.65 B", 2_651_553_280),
    "6.7B": (32, 4096, "6.66 B", 6_658_404_352),
    "13B": (40, 5120, "12.85 B", 12_853_386_240),
    "175B": (96, 12288, "174.60 B", 174_604_259_328),
}
"""Layers, width, the parameters that table D.1 prints, and ours."""

GPT3 = Table(
    "GPT-3",
    f"T. Brown et al., {arxiv('2005.14165')}, table D.1 (which prints millions, 174,600 for the largest); shapes from "
    "its table 2.1",
    tuple(
        Network(
            f"GPT-3 {size}: {layers} layers of {width}",
            "transformers:GPT2LMHeadModel",
            tokens(2048),
            None,
            Figure(parameters, our_parameters),
            {"config": {"n_embd": width, "n_layer": layers, "n_head": width // 64, "n_positions": 2048}},
        )
        for size, (layers, width, parameters, our_parameters) in GPT3_SHAPES.items()
    ),
    note="l·(12·d² + 13·d) in l layers of width d, (50257 + 2048)·d in the embeddings of tokens and positions, 2·d in "
    "the last norm. Table 2.1 has a width of 5,140 for 13B, which is no multiple of its 40 heads of 128; 5,120 is. "
    "Its 24 heads of 128 for XL are wider than the network, and their number changes nothing here.",
)

CALFLOPS = Table(
    "Language models at 128 tokens",
    f"calflops, {github('MrYxJ/calculate-flops.pytorch', 'README.md')}",
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
            Figure("155.42 G", 156_229_435_392, SCORES, 155_424_129_024),
            Figure("1722408960", 1_722_408_960),
            {"config": {"hidden_size": 2048, "n_layer": 24, "n_head": 16}},
        ),
        Network(
            "BLOOM-7b1",
            "transformers:BloomModel",
            tokens(128),
            Figure("775.11 G", 777_120_645_120, SCORES, 775_107_379_200),
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
