"""Tangents that are zero: torch adds them and multiplies by them without any arithmetic.

A ZeroTensor has no storage.  To find the shape and dtype of the result of an operation with one, torch runs that
operation's shape function on copies of the operands on meta (``aten::to``); that function calls an operator of the
namespace ``prims``, which a dispatch mode sees like work.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from profiler.tracing.private import is_zero

NAMESPACE = "prims::"
COPY = "aten::to"


class ZeroTensors:
    """Follows the operators that torch runs for the shape of the result of an operation with a ZeroTensor."""

    def __init__(self) -> None:
        self._asking = False
        self._made: list[torch.Tensor] = []

    def only_shape(self, op: str, inputs: Iterable[torch.Tensor], result: object) -> bool:
        """Whether ``op``, which is ``COPY`` or in ``NAMESPACE``, only runs for the shape of its result.

        A shape function may run several operators, each on the result of the one before (a factor of −1, then a sum).
        """
        if op == COPY:
            self._asking = self._asking or any(map(is_zero, inputs))
            return False
        only_shape = self._asking or any(tensor is made for tensor in inputs for made in self._made)
        self._asking = False
        self._made = [result] if only_shape and isinstance(result, torch.Tensor) else []
        return only_shape
