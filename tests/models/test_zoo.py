"""The zoo's networks, against the figures of their sources."""

import torch

from profiler.models.zoo import AlexNet


def parameters(outputs: int, inputs: int) -> int:
    """Weights and biases of a layer."""
    return outputs * inputs + outputs


def test_alexnet_has_the_parameters_of_the_reference() -> None:
    """61,100,840 of them: five convolutions and three linear layers with biases."""
    with torch.device("meta"):
        network = AlexNet()
    conv = [(64, 3 * 11**2), (192, 64 * 5**2), (384, 192 * 3**2), (256, 384 * 3**2), (256, 256 * 3**2)]
    linear = [(4096, 256 * 6 * 6), (4096, 4096), (1000, 4096)]
    assert sum(p.numel() for p in network.features.parameters()) == sum(parameters(*c) for c in conv) == 2_469_696
    assert sum(p.numel() for p in network.classifier.parameters()) == sum(parameters(*c) for c in linear) == 58_631_144


def test_alexnet_has_the_maps_of_the_reference() -> None:
    """At 227 the convolutions give 55, 27, 13, 13, 13 on a side, and the classifier sees 256·6·6."""
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
