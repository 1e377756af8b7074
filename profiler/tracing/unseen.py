"""Signs of work that no operation of torch did: what may be missing in a count, by the module in which it shows.

A tensor that is read and that no recorded operation made, or filled, was made or filled by something else: a kernel
that is given an address, a thread that was started elsewhere, NumPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from profiler.records import FILLED_OUTSIDE, Unseen
from profiler.tracing.objects import tensors_in
from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.private import is_wrapped
from profiler.tracing.tensors import nested_in

BLANK = frozenset(
    {
        *(torch.empty, torch.empty_like, torch.empty_permuted, torch.empty_strided),
        *(torch.Tensor.new_empty, torch.Tensor.new_empty_strided),
    }
)
"""Functions that give memory without a value in it: not what torch makes so by itself, for its shape alone."""

AS_IT_IS = frozenset({"aten::lift_fresh", "aten::lift"})
"""Operators that are given a tensor which torch has just made of Python numbers."""

READS_NUMBER = frozenset({torch.Tensor.item, torch.Tensor.__float__, torch.Tensor.__complex__})
"""Functions that read the one number of a tensor."""

_PLAIN = (torch.Tensor, nn.Parameter)

MADE_OUTSIDE = "its forward gets a tensor that no operation has made: what did is not counted"
READ_OUTSIDE = "its forward hands the values of a tensor to code outside of torch ({}): what that does is not counted"
OTHER_PROCESS = "its forward gives work to another process: what that does is not counted"
GOES_ON = "a thread that its forward started goes on after it: what that does then is not counted"
RETURNED = "its forward makes a tensor of values that it has read from another: what happened to them is not counted"


class UnseenWork:
    """Follows the memory of all tensors of a run of ``model``, and keeps what shows that work was not seen."""

    def __init__(self, model: nn.Module, arguments: Any, origins: Origins) -> None:
        self._model = model
        self._arguments = arguments
        self._origins = origins
        self._notes: dict[Unseen, None] = {}
        self._blank: dict[int, Any] = {}
        self._constants: set[int] | None = None
        self._values_were_read = False
        self._numbers_read: Counter[str] = Counter()

    @property
    def notes(self) -> tuple[Unseen, ...]:
        return tuple(self._notes)

    @property
    def has_blanks(self) -> bool:
        """Whether there is memory that nothing was written to."""
        return bool(self._blank)

    def note(self, module: str, reason: str) -> None:
        self._notes.setdefault(Unseen(module, reason))

    def written(self, tensors: Iterable[torch.Tensor]) -> None:
        """An operation writes to ``tensors``."""
        if self._blank:
            for tensor in tensors:
                self._blank.pop(storage_of(tensor), None)

    def check_origins(self, module: str, op: str, unknown: Iterable[torch.Tensor]) -> None:
        """The operation ``op`` reads ``unknown`` tensors: on real runs, constants that the forward looks up."""
        if op not in AS_IT_IS:
            for tensor in unknown:
                if tensor.is_meta:
                    self._check_constant(module, tensor)

    def blank(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """Those of ``tensors`` whose memory no operation wrote to."""
        return [tensor for tensor in tensors if storage_of(tensor) in self._blank] if self._blank else []

    def made(self, inputs: Iterable[torch.Tensor], outputs: Iterable[torch.Tensor]) -> None:
        """An operation has made ``outputs``."""
        if self._blank:
            for storage in set(map(storage_of, outputs)) - set(map(storage_of, inputs)):
                self._blank.pop(storage, None)

    def made_blank(self, result: Any) -> None:
        """A function has made a tensor without values."""
        if isinstance(result, torch.Tensor) and _has_values(result) and not is_wrapped(result):
            storage = result.untyped_storage()
            self._blank[id(storage)] = storage  # held, so that its id stays its own

    def check_result(self, module: str, result: Any, *, on_meta: bool) -> None:
        """The module has returned ``result``."""
        for tensor in nested_in(result):
            if tensor.is_meta == on_meta:
                storage = storage_of(tensor)
                if self._blank.pop(storage, None) is not None:
                    self.note(module, FILLED_OUTSIDE)
                if storage not in self._origins.known:
                    self._origins.know(tensor, storage)
                    self._check_constant(module, tensor)

    def values_read(self, module: str, func: Any, tensor: torch.Tensor) -> None:
        """A function of torch has handed out the values of ``tensor``, or where they are."""
        if not (_has_values(tensor) and self._origins.is_activation(tensor)):
            return
        if func in READS_NUMBER:
            self._numbers_read[module] += 1
        elif func is torch.Tensor.tolist:
            self._values_were_read = self._values_were_read or tensor.numel() > 1
        else:
            self.note(module, READ_OUTSIDE.format(f"Tensor.{func.__name__}"))

    def made_of_data(self, module: str, tensor: torch.Tensor) -> None:
        """``tensor`` was made of Python numbers: of those that were read, where there are enough of them.

        A number alone tells nothing: networks read lengths, limits and losses, and make constants beside that.
        """
        enough = self._values_were_read or self._numbers_read[module] >= tensor.numel()
        if enough and tensor.numel() > 1 and _has_values(tensor):
            self.note(module, RETURNED)

    def _check_constant(self, module: str, tensor: torch.Tensor) -> None:
        """Nothing has made ``tensor``: it may be a constant that the network holds."""
        if not _has_values(tensor):
            return
        if self._constants is None:
            everything = [vars(part) for part in self._model.modules()]
            self._constants = set(map(storage_of, tensors_in((everything, self._arguments))))
        if storage_of(tensor) not in self._constants:
            self.note(module, MADE_OUTSIDE)


def _has_values(tensor: torch.Tensor) -> bool:
    """Whether it is a plain tensor of numbers on which work is counted."""
    plain = type(tensor) in _PLAIN and tensor.layout == torch.strided
    return plain and (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() > 0
