"""FLOPs, as tables show them anyway."""

from profiler.conventions import Convention
from profiler.measures.flops import MEASURE

CONVENTION = Convention("exact", MEASURE, "FLOPs: multiplies + adds + divides + transcendentals of all operations")
