"""Rewrites: a network → an equivalent network with another cost, and a check that it is equivalent."""

from profiler.rewrites.converting import linear_to_convolution
from profiler.rewrites.equivalence import Equivalence, check_equivalence, check_windows
from profiler.rewrites.folding import fold_batchnorm
from profiler.rewrites.imitation import imitate_training
from profiler.rewrites.registry import REWRITES, Change, Left, Rewritten, apply_rewrites, register, rewrite
from profiler.rewrites.reparameterizing import reparameterize

__all__ = [
    "REWRITES",
    "Change",
    "Equivalence",
    "Left",
    "Rewritten",
    "apply_rewrites",
    "check_equivalence",
    "check_windows",
    "fold_batchnorm",
    "imitate_training",
    "linear_to_convolution",
    "register",
    "reparameterize",
    "rewrite",
]
