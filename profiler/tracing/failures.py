"""Why a run raised: the operation that was running in torch, and whether the meta device is the cause."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch.amp import autocast_mode
from torch.overrides import TorchFunctionMode

from profiler.tracing.private import is_higher_order, places_of_numbers
from profiler.tracing.tensors import collect, map_arguments

READS_VALUES = frozenset(
    {torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__, torch.Tensor.__dlpack__, torch.Tensor.data_ptr}
)
"""Functions that pass the values of a tensor to code outside of torch."""

LARGEST_TRIAL = 2**24
"""An operation on more elements than these is not tried on the CPU."""

NO_AUTOCAST_ON_META = frozenset(
    {"unknown device type for autocast in get_autocast_dispatch_key_from_device_type", "unsupported scalarType"}
)
"""The messages of torch about the autocast state of the meta device, which does not have one."""

_RAISE = dis.opmap["RAISE_VARARGS"]
"""The instruction of Python's ``raise`` statement."""


@dataclass(frozen=True, slots=True, eq=False)
class OpFailure:
    """The operation in which ``error`` was raised, with its shapes and arguments."""

    error: BaseException
    op: str
    inputs: tuple[tuple[int, ...], ...]
    on_meta: bool
    func: Any
    args: Any
    kwargs: Any


@dataclass(frozen=True, slots=True, eq=False)
class FunctionFailure:
    """The function of torch in which ``error`` was raised."""

    error: BaseException
    func: Any
    args: Any

    @property
    def on_meta(self) -> bool:
        found: list[torch.Tensor] = []
        collect(self.args, found)
        return any(tensor.is_meta for tensor in found)

    @property
    def gives_number(self) -> bool:
        """Whether a meta tensor stands where an operator takes a number, which torch would have read from it."""
        numbers = [self.args[place] for place in places_of_numbers(self.func) if place < len(self.args)]
        return any(isinstance(value, torch.Tensor) and value.is_meta and value.numel() == 1 for value in numbers)


def caused_by_missing_data(error: BaseException, op: OpFailure | None, function: FunctionFailure | None) -> bool:
    """Whether the meta device caused ``error``, or an error that led to it.

    It did if an operation or a function of torch is not implemented for meta tensors, if the operation works on real
    tensors of the same shapes, or if a function was called to read values.  Errors that the network itself raises do
    not count.
    """
    for cause in _causes(error):
        unimplemented = isinstance(cause, NotImplementedError)
        if op is not None and op.error is cause:
            return op.on_meta and (unimplemented or _works_on_cpu(op))
        if function is not None and function.error is cause and function.on_meta:
            func = function.func
            if func in READS_VALUES or (unimplemented and not is_higher_order(func)) or function.gives_number:
                return True
        if _raised_for_meta(cause):
            return True
    return False


class FunctionFailures(TorchFunctionMode):
    """While it is active, records the errors that functions of torch raise."""

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[FunctionFailure] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return func(*args, **(kwargs or {}))
        except Exception as error:
            self._noted.append(FunctionFailure(error, func, args))
            raise

    def on_meta(self, error: BaseException) -> bool:
        """Whether torch raised ``error``, or one that led to it, on meta tensors or as not implemented."""
        noted = {id(failure.error): failure for failure in self._noted}
        for cause in _causes(error):
            failure = noted.get(id(cause))
            if failure is not None and (failure.on_meta or isinstance(cause, NotImplementedError)):
                return True
            if _raised_for_meta(cause):
                return True
        return False


def raised_by_statement(error: BaseException) -> bool:
    """Whether a ``raise`` statement of Python code raised it, and not a function that is written in C."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == _RAISE


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those from which it was raised."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _raised_for_meta(error: BaseException) -> bool:
    """Whether torch raised it outside of operations and functions: in storages, or about autocast."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = None if traceback is None else traceback.tb_frame.f_globals.get("__name__")
    if isinstance(error, NotImplementedError):
        return module == torch.storage.__name__
    if not isinstance(error, RuntimeError):
        return False
    autocast = str(error) in NO_AUTOCAST_ON_META and not raised_by_statement(error)
    return autocast or module == autocast_mode.__name__


def _works_on_cpu(failure: OpFailure) -> bool:
    """Whether the operation runs on real tensors of the same shapes, of zeros or of ones."""
    found: list[torch.Tensor] = []
    collect((failure.args, failure.kwargs), found)
    if sum(tensor.numel() for tensor in found) > LARGEST_TRIAL:
        return False
    return any(_runs(failure, fill) for fill in (0, 1))


def _runs(failure: OpFailure, fill: int) -> bool:
    def real(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return torch.full(leaf.shape, fill, dtype=leaf.dtype)
        return torch.device("cpu") if isinstance(leaf, torch.device) else leaf

    with suppress(Exception), torch.no_grad():
        args = map_arguments(failure.args, real)
        failure.func(*args, **{key: map_arguments(value, real) for key, value in failure.kwargs.items()})
        return True
    return False
