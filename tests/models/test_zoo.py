"""The zoo's networks, compared with the figures of their sources."""

import torch

from profiler.models.zoo import AlexNet, Net1, Net2, SmallNet


def parameters(outputs: int, inputs: int) -> int:
    """Weights and biases of a layer."""
    return outputs * inputs + outputs


def test_alexnet_has_the_parameters_of_the_reference() -> None:
    """There are 61,100,840: five convolutions and three linear layers with biases."""
    with torch.device("meta"):
        network = AlexNet()
    conv = [(64, 3 * 11**2), (192, 64 * 5**2), (384, 192 * 3**2), (256, 384 * 3**2), (256, 256 * 3**2)]
    linear = [(4096, 256 * 6 * 6), (4096, 4096), (1000, 4096)]
    assert sum(p.numel() for p in network.features.parameters()) == sum(parameters(*c) for c in conv) == 2_469_696
    assert sum(p.numel() for p in network.classifier.parameters()) == sum(parameters(*c) for c in linear) == 58_631_144


def test_alexnet_has_the_maps_of_the_reference() -> None:
    """At 227 pixels the convolutions give 55, 27, 13, 13, 13 on a side, and the classifier sees 256·6·6."""
    with torch.device("meta"):
        network = AlexNet(num_classes=10, dropout=0.1)
        x = torch.empty(2, 3, 227, 227)
    maps = []
    for layer in network.features:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            maps.append(tuple(x.shape[1:]))
    assert maps == [(64, 55, 55), (192, 27, 27), (384, 13, 13), (256, 13, 13), (256, 13, 13)]
    assert x.shape == (2, 256, 6, 6)
    assert network(torch.empty(2, 3, 227, 227, device="meta")).shape == (2, 10)
    assert [layer.p for layer in network.classifier if isinstance(layer, torch.nn.Dropout)] == [0.1, 0.1]


def test_small_net_has_the_parameters_of_the_course_problem() -> None:
    """There are 16·(3·3² + 1) and so on, with 2 for each channel of a batch norm."""
    with torch.device("meta"):
        network = SmallNet()
    conv = parameters(16, 3 * 3**2) + parameters(16, 16 * 3**2)
    linear = parameters(1024, 16 * 32 * 32) + parameters(10, 1024)
    assert sum(p.numel() for p in network.parameters()) == conv + linear + 2 * (16 + 16 + 1024)
    assert network.classifier[0].in_features == 16_384
    assert network(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)


def test_net1_has_the_maps_of_the_course_problem() -> None:
    """The sides are 26, 24, 22, 20, 18, and there are 256·18·18 features."""
    with torch.device("meta"):
        network = Net1()
        x = torch.empty(2, 3, 32, 32)
    maps = []
    for layer in network.features:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            maps.append(tuple(x.shape[1:]))
    assert maps == [(64, 26, 26), (192, 24, 24), (384, 22, 22), (256, 20, 20), (256, 18, 18)]
    conv = [(64, 3 * 7**2), (192, 64 * 3**2), (384, 192 * 3**2), (256, 384 * 3**2), (256, 256 * 3**2)]
    linear = [(4096, 256 * 18 * 18), (4096, 4096), (10, 4096)]
    assert sum(p.numel() for p in network.parameters()) == sum(parameters(*layer) for layer in conv + linear)


def test_net2_has_the_parameters_of_net1_under_the_same_names() -> None:
    """It gives a score for each window: 36 − 31 and 38 − 31 of them."""
    with torch.device("meta"):
        net1, net2 = Net1(), Net2()
    sizes = [{name: tensor.numel() for name, tensor in network.named_parameters()} for network in (net1, net2)]
    assert sizes[0] == sizes[1]
    assert net2(torch.empty(2, 3, 36, 38, device="meta")).shape == (2, 10, 5, 7)
