"""MACs, as tables show them anyway."""

from profiler.conventions import Convention
from profiler.measures.macs import MEASURE

CONVENTION = Convention("macs", MEASURE, "MACs: the multiply–accumulate pairs of contractions")
