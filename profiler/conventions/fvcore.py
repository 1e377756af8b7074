"""What fvcore counts."""

from profiler.conventions import own_figure
from profiler.crosschecks.counters.fvcore import fvcore_figure

CONVENTION = own_figure(
    "fvcore",
    "what fvcore counts, which timm's tables show: MACs of contractions, batch norm 2 an element, other norms 5, "
    "adaptive average pooling 1 an input element, upsampling 1 or 4 a result; 0 for what fvcore has no rule for "
    "(LSTM, GRU and RNN kernels, convolutions whose padding is a word, …)",
    fvcore_figure,
)
