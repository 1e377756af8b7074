"""What papers print."""

from profiler.conventions import own_figure

CONVENTION = own_figure(
    "paper",
    "what papers print: the multiply–accumulates of convolutions, linear layers and matrix products, "
    "as if batch norm were folded into the layer before it, and nothing else",
    lambda call: call.count.macs,
)
