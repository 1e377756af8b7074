"""Every figure that torchvision publishes with its weights equals the profiler's, to the printed digit."""

import pytest

from tests.published.figures import parameters_of
from tests.published.weights import Weights, all_weights, as_published, measure, unique

pytestmark = pytest.mark.slow  # whole networks are profiled

GROUPS = [group for group in unique(all_weights()).values() if group[0].family != "detection"]
SAMPLE = {
    *("resnet18", "googlenet", "inception_v3", "mobilenet_v3_small", "vit_b_16", "swin_v2_t", "regnet_y_16gf"),
    *("lraspp_mobilenet_v3_large", "fcn_resnet50", "r3d_18", "mvit_v2_s", "raft_small", "quantized_resnet18"),
}


def test_all_weights_are_found() -> None:
    """torchvision 0.28 has 166 sets of weights, of six kinds; 13 of them detect."""
    weights = list(all_weights())
    families = [one.family for one in weights]
    assert len(weights) >= 166
    assert families.count("detection") >= 13
    assert set(families) == {
        "classification",
        "segmentation",
        "video",
        "optical_flow",
        "quantization",
        "detection",
    }
    assert sum(map(len, GROUPS)) + families.count("detection") == len(weights)


def test_the_published_digits_are_the_third_decimal() -> None:
    """ResNet-50's 4,089,184,256 are published as 4.089."""
    assert as_published(4_089_184_256) == "4.089" == f"{4.089:.3f}"
    assert as_published(4_089_584_256) != "4.089"


@pytest.mark.parametrize(
    "group",
    [
        pytest.param(group, id=f"{group[0].network}-{group[0].name}", marks=marks)
        for group in GROUPS
        for marks in [() if group[0].network in SAMPLE else pytest.mark.exhaustive]
    ],
)
def test_the_published_figures_are_reached(group: list[Weights]) -> None:
    """Multiply–accumulates to the third decimal of a billion, parameters exactly, nothing uncounted."""
    result = measure(group[0])
    assert result.complete
    for weights in group:
        assert as_published(result.total.macs) == f"{weights.gmacs:.3f}"
        assert parameters_of(result) == weights.parameters
