"""What torchvision publishes."""

from profiler.conventions import own_figure

CONVENTION = own_figure(
    "torchvision",
    "what torchvision publishes as _ops with its weights: the MACs of contractions, printed in units of 10⁹",
    lambda call: call.count.macs,
)
