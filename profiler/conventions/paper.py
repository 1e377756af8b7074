"""What papers print."""

from profiler.conventions import own_figure

CONVENTION = own_figure(
    "paper",
    "what papers print: the multiply–accumulates of convolutions, linear layers and matrix products, batch norm counted "
    "as if it were folded into the layer before it, nothing else",
    lambda call: call.count.macs,
)
