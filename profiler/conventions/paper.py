"""What papers print."""

from profiler.conventions import own_figure

CONVENTION = own_figure(
    "paper",
    "what papers print: the multiply–accumulates of convolutions, linear layers and matrix products, batch norm taken "
    "as folded into the layer before it, everything else left out",
    lambda call: call.count.macs,
)
