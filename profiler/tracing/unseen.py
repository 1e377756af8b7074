"""Signs of work outside of torch's operations, which may be missing in a count, by the module in which it is noticed.

A tensor that is read and that no recorded operation created or filled was created or filled by something else: a kernel
that takes an address, a thread that was started elsewhere, NumPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from profiler.records import FILLED_OUTSIDE, Unseen
from profiler.tracing.objects import tensors_in
from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.private import is_wrapped, without_functions
from profiler.tracing.tensors import PLAIN, are_plain
from profiler.tracing.walking import modules_of

BLANK = frozenset(
    {
        *(torch.empty, torch.empty_like, torch.empty_permuted, torch.empty_strided),
        *(torch.Tensor.new_empty, torch.Tensor.new_empty_strided),
    }
)
"""Functions that return uninitialized memory; torch's internal uses, which only need the shape, are not included."""

FROM_NUMBERS = frozenset({"aten::lift_fresh", "aten::lift"})
"""Operators that take a tensor which torch has just created from Python numbers."""

READS_NUMBER = frozenset({torch.Tensor.item, torch.Tensor.__float__, torch.Tensor.__complex__})
"""Functions that read the single number of a tensor."""

PARAMETER_OUTSIDE = "it reads a parameter that is not part of the network, so no table of parameters has it"

MADE_OUTSIDE = "its forward gets a tensor that no operation has made; the work that made it is not counted"
READ_OUTSIDE = "its forward passes the values of a tensor to code outside of torch ({}), whose work is not counted"
OTHER_PROCESS = "its forward gives work to another process, which is not counted"
GOES_ON = "a thread that its forward started continues after it; its later work is not counted"
RETURNED = "its forward makes a tensor from values that it has read from another; the work between is not counted"


class UnseenWork:
    """Follows the memory of all tensors of a run of ``model``, and records signs of unseen work.

    ``copies`` gives the copies of the caller's tensors that the run uses.
    """

    def __init__(
        self,
        model: nn.Module,
        arguments: Any,
        origins: Origins,
        copies: Callable[[], Sequence[torch.Tensor]] = tuple,
    ) -> None:
        self._model = model
        self._arguments = arguments
        self._copies = copies
        self._origins = origins
        self._notes: dict[Unseen, None] = {}
        self._blank: dict[int, Any] = {}
        self._constants: set[int] | None = None
        self._values_were_read = False
        self._numbers_read: Counter[str] = Counter()

    def keep_weakly(self, storages: dict[int, Any]) -> None:
        """Remember storages without values in ``storages``, which does not keep them alive."""
        self._blank = storages

    @property
    def notes(self) -> tuple[Unseen, ...]:
        return tuple(self._notes)

    @property
    def has_blanks(self) -> bool:
        """Whether there is memory that no operation has written to."""
        return bool(self._blank)

    def note(self, module: str, reason: str) -> None:
        self._notes.setdefault(Unseen(module, reason))

    def written(self, tensors: Iterable[torch.Tensor]) -> None:
        """Record that an operation writes to ``tensors``."""
        if self._blank:
            for tensor in tensors:
                self._blank.pop(storage_of(tensor), None)

    def check_origins(self, module: str, op: str, unknown: Iterable[torch.Tensor]) -> None:
        """Record that the operation ``op`` reads ``unknown`` tensors: in real runs, constants that the forward uses."""
        if op not in FROM_NUMBERS:
            for tensor in unknown:
                if tensor.is_meta:
                    self._check_constant(module, tensor)

    def blank(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """Those of ``tensors`` to whose memory no operation has written."""
        return [tensor for tensor in tensors if storage_of(tensor) in self._blank] if self._blank else []

    def made(self, inputs: Iterable[torch.Tensor], outputs: Iterable[torch.Tensor]) -> None:
        """Record that an operation has created ``outputs``."""
        if self._blank:
            for storage in set(map(storage_of, outputs)) - set(map(storage_of, inputs)):
                self._blank.pop(storage, None)

    def made_blank(self, result: Any) -> None:
        """Record that a function has created a tensor without values."""
        if isinstance(result, torch.Tensor) and _has_values(result) and not is_wrapped(result):
            storage = result.untyped_storage()
            self._blank[id(storage)] = storage  # kept alive, so that its id is not reused

    def check_result(self, module: str, tensors: list[torch.Tensor], *, on_meta: bool) -> None:
        """Check the ``tensors`` that the module returned."""
        with without_functions() if are_plain(tensors) else nullcontext():
            found = [tensor for tensor in tensors if tensor.is_meta == on_meta]
            storages = [storage_of(tensor) for tensor in found]
        for tensor, storage in zip(found, storages, strict=True):
            if self._blank and self._blank.pop(storage, None) is not None:
                self.note(module, FILLED_OUTSIDE)
            if not self._origins.knows(storage):
                self._origins.know(tensor, storage)
                self._check_constant(module, tensor)

    def values_read(self, module: str, func: Any, tensor: torch.Tensor) -> None:
        """Record that a function of torch returned the values of ``tensor`` or their address."""
        if not (_has_values(tensor) and self._origins.is_activation(tensor)):
            return
        if func in READS_NUMBER:
            self._numbers_read[module] += 1
        elif func is torch.Tensor.tolist:
            self._values_were_read = self._values_were_read or tensor.numel() > 1
        else:
            self.note(module, READ_OUTSIDE.format(f"Tensor.{func.__name__}"))

    def made_of_data(self, module: str, tensor: torch.Tensor) -> None:
        """Record that ``tensor`` was created from Python numbers, possibly from numbers that were read.

        A single number is no sign: networks read lengths, limits and losses, and also create constants.
        """
        enough = self._values_were_read or self._numbers_read[module] >= tensor.numel()
        if enough and tensor.numel() > 1 and _has_values(tensor):
            self.note(module, RETURNED)

    def is_foreign(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor belongs to the caller: no operation of the run made it, and no copy holds it."""
        storage = storage_of(tensor)
        return not self._origins.knows(storage) and storage not in self._constants_of_copies()

    def _check_constant(self, module: str, tensor: torch.Tensor) -> None:
        """Check a ``tensor`` that no operation has created: it may be a constant of the network."""
        if not _has_values(tensor):
            return
        if storage_of(tensor) not in self._constants_of_copies():
            self.note(module, MADE_OUTSIDE)

    def _constants_of_copies(self) -> set[int]:
        """The storages of all tensors that the copies of the network and of its arguments hold."""
        if self._constants is None:
            everything = [vars(part) for part in modules_of(self._model)]
            self._constants = set(map(storage_of, tensors_in((everything, self._arguments, self._copies()))))
        return self._constants


def _has_values(tensor: torch.Tensor) -> bool:
    """Whether it is a plain tensor with a dtype on which work is counted."""
    plain = type(tensor) in PLAIN and tensor.layout == torch.strided
    return plain and (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() > 0
