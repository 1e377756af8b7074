"""torchvision's figures of its detection networks: reached for a number of survivors, and the distance explained."""

from typing import Any

import pytest

from profiler.models.building import build_model
from tests.published.detection import (
    BOX_HEADS,
    DETECTION_HEADS,
    PUBLISHED,
    Costs,
    Survivors,
    as_trained,
    costs,
    detection_weights,
    frozen_parameters,
    macs_outside_heads,
    most_survivors,
    printed_by,
    published_survivors,
    real_run,
    survivors,
)
from tests.published.figures import parameters_of
from tests.published.weights import Weights, as_published

pytestmark = pytest.mark.slow  # detection networks are run for real

WEIGHTS = detection_weights()
NETWORKS = tuple(dict.fromkeys(weights.network for weights in WEIGHTS))
TWO_STAGES = tuple(network for network in NETWORKS if "rcnn" in network)
QUICK = {"fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"}


def _cases(names: tuple[str, ...]) -> list[object]:
    return [pytest.param(name, id=name, marks=() if name in QUICK else pytest.mark.exhaustive) for name in names]


BY_WEIGHTS = [
    pytest.param(
        weights,
        id=f"{weights.network}-{weights.name}",
        marks=() if weights.network in QUICK else pytest.mark.exhaustive,
    )
    for weights in WEIGHTS
]


def test_every_network_with_proposals_has_a_number_of_survivors() -> None:
    """No other network has one."""
    assert {network for network, _ in PUBLISHED} == set(TWO_STAGES)
    assert set(PUBLISHED) == {(one.network, one.name) for one in WEIGHTS if one.network in TWO_STAGES}


@pytest.mark.parametrize("weights", BY_WEIGHTS)
def test_the_published_figure_is_reached(weights: Weights) -> None:
    """The numbers of survivors in the table reach it, and the network allows so many."""
    most, there = most_survivors(weights.network), published_survivors(weights)
    assert as_published(costs(weights.network).at(there)) == f"{weights.gmacs:.3f}"
    assert there.proposals <= most.proposals
    assert there.detections <= most.detections


@pytest.mark.parametrize("weights", BY_WEIGHTS)
def test_no_other_number_of_survivors_reaches_the_figure(weights: Weights) -> None:
    """Only Mask R-CNN's figure is printed for two more, with fewer proposals than the thousand of the others."""
    found = printed_by(costs(weights.network), most_survivors(weights.network), weights.gmacs)
    more = [Survivors(296, 19), Survivors(963, 1)] if weights.network == "maskrcnn_resnet50_fpn" else []
    assert found == [*more, published_survivors(weights)]


@pytest.mark.parametrize("network", _cases(NETWORKS))
def test_the_seeded_run_is_the_sum_of_its_parts(network: str) -> None:
    """It is the cost of one image and the heads for each survivor; the profile is complete, and a real run."""
    result = real_run(network)
    assert result.complete
    assert result.trace.real_run
    assert result.total.macs == costs(network).at(survivors(result))


@pytest.mark.parametrize("network", _cases(TWO_STAGES))
def test_each_head_has_a_fixed_cost_for_each_survivor(network: str) -> None:
    """The rows of the seeded run show it, head by head."""
    result, cost = real_run(network), costs(network)
    lived = survivors(result)
    calls = result.trace.calls
    boxes = sum(call.count.macs for call in calls if call.module.startswith(BOX_HEADS))
    detections = sum(call.count.macs for call in calls if call.module.startswith(DETECTION_HEADS))
    assert boxes == lived.proposals * cost.proposal > 0
    assert detections == lived.detections * cost.detection


@pytest.mark.parametrize(
    ("network", "kwargs", "expected"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", {"rpn_score_thresh": 1.1}, Survivors(0)),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", {"rpn_post_nms_top_n_test": 40}, Survivors(40)),
        pytest.param(
            "fasterrcnn_mobilenet_v3_large_fpn", {"rpn_score_thresh": 1.1}, Survivors(0), marks=pytest.mark.exhaustive
        ),
        pytest.param("fasterrcnn_resnet50_fpn", {"rpn_nms_thresh": 1.0}, Survivors(1000), marks=pytest.mark.exhaustive),
    ],
)
def test_a_run_with_given_survivors_has_the_computed_cost(
    network: str, kwargs: dict[str, float], expected: Survivors
) -> None:
    """The kwargs decide how many survive; with the published numbers, the published figure is reached."""
    result = real_run(network, "float32", tuple(kwargs.items()))
    assert survivors(result) == expected
    assert result.total.macs == costs(network).at(expected)
    assert macs_outside_heads(result) == costs(network).once


@pytest.mark.exhaustive
@pytest.mark.parametrize(("network", "proposals"), [("keypointrcnn_resnet50_fpn", 1000), ("maskrcnn_resnet50_fpn", 20)])
def test_a_run_with_three_detections_has_the_computed_cost(network: str, proposals: int) -> None:
    """They have keypoints and masks; the seeded run of the first network has no detection."""
    kept = ("rpn_post_nms_top_n_test", proposals), ("box_detections_per_img", 3), ("box_score_thresh", -1.0)
    result = real_run(network, "float32", (*kept, ("rpn_nms_thresh", 1.0), ("box_nms_thresh", 1.0)))
    lived = survivors(result)
    assert lived.detections == 3
    assert 0 < lived.proposals <= proposals
    assert result.total.macs == costs(network).at(lived)


BOX = 256 * 7**2 * 1024 + 1024 * 1024
CONVOLUTIONS = 4 * (256 * 256 * 3**2) * 7**2
MASK = 4 * (256 * 256 * 3**2) * 14**2 + (256 * 256 * 2**2) * 14**2 + 256 * 91 * 28**2
KEYPOINTS = (256 + 7 * 512) * (512 * 3**2) * 14**2 + (512 * 17 * 4**2) * 14**2


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("network", "proposal", "detection"),
    [
        ("fasterrcnn_mobilenet_v3_large_fpn", BOX + 1024 * (91 + 4 * 91), 0),
        ("fasterrcnn_resnet50_fpn", BOX + 1024 * (91 + 4 * 91), 0),
        ("fasterrcnn_resnet50_fpn_v2", CONVOLUTIONS + BOX - 1024 * 1024 + 1024 * (91 + 4 * 91), 0),
        ("maskrcnn_resnet50_fpn", BOX + 1024 * (91 + 4 * 91), MASK),
        ("keypointrcnn_resnet50_fpn", BOX + 1024 * (2 + 4 * 2), KEYPOINTS),
    ],
)
def test_the_heads_by_hand(network: str, proposal: int, detection: int) -> None:
    """There are two layers (or four convolutions and one), the scores and boxes of the classes, masks, keypoints."""
    assert (costs(network).proposal, costs(network).detection) == (proposal, detection)


@pytest.mark.parametrize("network", TWO_STAGES)
def test_no_proposal_survives_a_threshold_on_noise(network: str) -> None:
    """The published runs on noise have no proposals if there is a threshold of scores, and all of them otherwise."""
    model: Any = build_model(f"torchvision:{network}")
    threshold = model.rpn.score_thresh
    assert threshold == (0.05 if "mobilenet" in network else 0.0)
    for (name, _), lived in PUBLISHED.items():
        if name == network:
            assert lived.proposals == (0 if threshold else most_survivors(network).proposals)


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda weights: f"{weights.network}-{weights.name}")
def test_the_published_parameters_are_reached(weights: Weights) -> None:
    """The network is built for the weights; without weights, the frozen scales and shifts are parameters too."""
    trained = as_trained(weights)
    assert sum(parameter.numel() for parameter in trained.parameters()) == weights.parameters
    untrained = sum(parameter.numel() for parameter in build_model(f"torchvision:{weights.network}").parameters())
    assert untrained - frozen_parameters(weights) == weights.parameters


@pytest.mark.parametrize("network", sorted(QUICK))
def test_the_profile_has_the_parameters_of_the_network_without_weights(network: str) -> None:
    """One has 19,410,754 in place of 19,386,354, with norms that weights would freeze; the other is as published."""
    (weights,) = (one for one in WEIGHTS if one.network == network)
    assert parameters_of(real_run(network)) == weights.parameters + frozen_parameters(weights)


def test_frozen_parameters_by_hand() -> None:
    """There is a scale and a shift for each of the 26,560 channels of ResNet-50's normalizations."""
    stages = ((64, 3), (128, 4), (256, 6), (512, 3))
    channels = 64 + sum(blocks * (width + width + 4 * width) + 4 * width for width, blocks in stages)
    frozen = {
        "fcos_resnet50_fpn": 2 * channels,
        "fasterrcnn_mobilenet_v3_large_fpn": 24_400,
        "fasterrcnn_resnet50_fpn_v2": 0,
    }
    found = {weights.network: frozen_parameters(weights) for weights in WEIGHTS if weights.network in frozen}
    assert found == frozen
    assert 2 * channels == 53_120


def test_costs_add_up_over_survivors() -> None:
    """Costs are sums, and a figure with a wrong last digit is printed for no number of survivors."""
    cost, most = Costs(1_000_000_000, 10_000_000, 100_000_000), Survivors(3, 2)
    assert cost.at(Survivors(3, 1)) == 1_130_000_000
    assert printed_by(cost, most, 1.130) == [Survivors(3, 1)]
    assert printed_by(cost, most, 1.131) == []
    assert printed_by(cost, Survivors(10, 1), 1.1) == [Survivors(0, 1), Survivors(10, 0)]
