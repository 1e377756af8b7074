"""The private parts of torch that tracing needs, all in this module."""

from __future__ import annotations

import functools
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import nn

try:
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._python_dispatch import _disable_current_modes as _without_modes
except ImportError as error:
    raise ImportError(
        "this torch has no torch.utils._python_dispatch.TorchDispatchMode, with which the profiler records operations: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C import _current_autograd_node as _running_node
    from torch._C._autograd import _get_sequence_nr as _number_of_next_node
except ImportError as error:
    raise ImportError(
        "this torch does not number its autograd nodes, by which backward operations are distinguished: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch.autograd.graph import _engine_run_backward
except ImportError as error:
    raise ImportError(
        "this torch has no torch.autograd.graph._engine_run_backward, by which backward passes are noticed: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch.utils._device import DeviceContext
except ImportError as error:
    raise ImportError(
        "this torch has no torch.utils._device.DeviceContext, with which networks are built on the meta device: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C._functorch import (
        get_unwrapped,
        is_batchedtensor,
        is_functorch_wrapped_tensor,
        maybe_get_bdim,
        maybe_get_level,
        peek_interpreter_stack,
    )
except ImportError as error:
    raise ImportError(
        "this torch does not say which tensors torch.func has wrapped, by which functions under vmap are counted for "
        "all samples: install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C import _get_function_stack_at as _function_mode_at
    from torch._C import _len_torch_function_stack as _number_of_function_modes
except ImportError as error:
    raise ImportError(
        "this torch does not say whether function modes are active, by which a default device is set: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch.nn.modules.module import _global_buffer_registration_hooks as _hooks_on_buffers
    from torch.nn.modules.module import _global_module_registration_hooks as hooks_on_modules
    from torch.nn.modules.module import _global_parameter_registration_hooks as _hooks_on_parameters
except ImportError as error:
    raise ImportError(
        "this torch does not say whether hooks see the tensors that modules get, without which layers are not copied: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C import DisableTorchFunction as _WithoutFunctions
except ImportError as error:
    raise ImportError(
        "this torch has no torch._C.DisableTorchFunction, with which shapes are read unseen by function modes: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C import _DisableTorchDispatch as _WithoutDispatch
except ImportError as error:
    raise ImportError(
        "this torch has no torch._C._DisableTorchDispatch, with which results are made unseen by dispatch modes: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

if not (hasattr(nn.Module, "_compiled_call_impl") and hasattr(nn.Module, "_call_impl")):
    raise ImportError(
        "this torch calls modules in a way that this profiler does not know, so their calls cannot be watched: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    )

try:
    from torch._C import DispatchKey as _Key
    from torch._C import _dispatch_tls_is_dispatch_key_excluded as _is_excluded
    from torch._C import _dispatch_tls_set_dispatch_key_excluded as _set_excluded
    from torch._C import _set_grad_enabled as set_grad_enabled
except ImportError as error:
    raise ImportError(
        "this torch does not let operators skip autograd, without which they arrive decomposed: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

try:
    from torch._C._dynamo.eval_frame import (
        _FrameAction,
        _FrameExecStrategy,
        set_code_exec_strategy,
    )
    from torch._C._dynamo.eval_frame import get_eval_frame_callback as _compiler_at_work

    NEVER_COMPILED: _FrameExecStrategy | None = _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.DEFAULT)
except ImportError:
    NEVER_COMPILED = None
    """None if this torch does not say whether its compiler is at work: dispatch modes then import it."""

try:
    from torch._C import (
        _get_cudnn_enabled,
        _get_cudnn_sdp_enabled,
        _get_deterministic_algorithms,
        _get_flash_sdp_enabled,
        _get_math_sdp_enabled,
        _get_mem_efficient_sdp_enabled,
        _get_mkldnn_enabled,
        _is_any_autocast_enabled,
        _len_torch_dispatch_stack,
    )
except ImportError as error:
    raise ImportError(
        "this torch does not say which settings its kernels run under, on which the results of operations may depend: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

__all__ = [
    "RUNS_BACKWARD",
    "DispatchMode",
    "apart",
    "argument_names",
    "autograd_is_skipped",
    "batch_of",
    "by_position",
    "call_with_hooks",
    "can_be_decomposed",
    "changes_saved_tensors",
    "checkpoints_stop_early",
    "compiled_further",
    "dispatch_modes",
    "divisions",
    "flex_attention_results",
    "flex_attention_traceable",
    "forward_derivatives",
    "function_modes",
    "function_modes_are_active",
    "gradients_needed",
    "graph_constants",
    "graph_nodes",
    "hooks_on_modules",
    "inline_forks",
    "insert_call",
    "is_fake",
    "is_frozen",
    "is_higher_order",
    "is_mutable",
    "is_wrapped",
    "is_zero",
    "jagged_values",
    "last_node_number",
    "method_graphs",
    "named_operator",
    "nested_shapes",
    "node_that_runs",
    "operator_name",
    "operators",
    "overload_name",
    "registration_hooks",
    "running_node",
    "script_object_type",
    "script_tensors",
    "set_grad_enabled",
    "set_script_tensor",
    "settings_of_kernels",
    "skip_autograd",
    "stored_positions",
    "stored_values",
    "submodule_called",
    "takes_script_objects",
    "transforming",
    "unwatch_calls",
    "unwrapped",
    "watch_calls",
    "without_compiler",
    "without_functions",
    "without_modes",
    "writes_of",
    "written_by",
]


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode whose code is never compiled, and which does not import the compiler for that.

    By default torch imports ``torch._dynamo`` when a mode handles its first operator, which takes as long as
    ``import torch``.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return NEVER_COMPILED is None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]
        if NEVER_COMPILED is not None and "__torch_dispatch__" in vars(cls):
            cls.__torch_dispatch__ = _never_compiled(cls.__torch_dispatch__, NEVER_COMPILED)  # type: ignore[method-assign]


class DefaultDevice(DeviceContext):
    """A context in which new tensors are on one device, as in ``with torch.device(…)``; it sees every function."""


def _never_compiled(run: Callable[..., Any], strategy: _FrameExecStrategy) -> Callable[..., Any]:
    """``run`` without compilation of its frames; the compiler is only used if it is at work in this thread."""
    disabled: Callable[..., Any] | None = None

    def dispatch(*args: Any, **kwargs: Any) -> Any:
        nonlocal disabled
        if _compiler_at_work() is None:
            return run(*args, **kwargs)
        if disabled is None:
            disabled = torch.compiler.disable(run)  # type: ignore[no-untyped-call]
        return disabled(*args, **kwargs)

    set_code_exec_strategy(dispatch.__code__, strategy)
    return functools.update_wrapper(dispatch, run)


MOST_OPERATORS = 2**12
"""The number of operators whose schemas are read once; that of an operator does not change."""

RUNS_BACKWARD = _engine_run_backward.__code__
"""The code that runs a backward pass."""


def operator_name(func: Any) -> str:
    """``aten.conv2d.padding`` → ``"aten::conv2d"``; an operator without a namespace is a higher-order one."""
    name: str = func.name().split(".", 1)[0] if callable(getattr(func, "name", None)) else str(func)
    return name if "::" in name else f"higher_order::{name}"


def overload_name(func: Any) -> str:
    """``aten.conv2d.padding`` → ``"padding"``; empty for an operator without overloads."""
    return str(getattr(func, "_overloadname", ""))


def without_modes() -> AbstractContextManager[Any]:
    """Within it, no dispatch mode and no function mode is active."""
    return _without_modes()


without_functions: Callable[[], AbstractContextManager[Any]] = _WithoutFunctions
"""Within it, function modes and tensor subclasses do not see functions of torch."""


without_dispatch = _WithoutDispatch
"""Within it, dispatch modes do not see operators."""


@contextmanager
def apart() -> Iterator[None]:
    """Within it, operators run as if no run was traced: no mode and no transform of ``torch.func`` sees them."""
    with without_dispatch(), without_functions(), _without_transforms():
        yield


def _without_transforms() -> AbstractContextManager[Any]:
    if not transforming():
        return nullcontext()
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    cleared: AbstractContextManager[Any] = temporarily_clear_interpreter_stack()
    return cleared


def call_with_hooks(module: nn.Module) -> Callable[..., Any]:
    """What a call of a module does unless it is watched or compiled: its hooks and its forward."""
    call: Callable[..., Any] = module._call_impl
    return call


_GLOBAL_HOOKS = tuple(
    hooks
    for name in (
        *("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks"),
        *("buffer_registration_hooks", "module_registration_hooks", "parameter_registration_hooks"),
    )
    if (hooks := getattr(nn.modules.module, f"_global_{name}", None)) is not None
)


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of the module may run hooks, its own or those of all modules."""
    return has_own_hooks(module.__dict__) or has_global_hooks()


def has_own_hooks(held: dict[str, Any]) -> bool:
    """Whether a call of a module with the attributes ``held`` may run hooks of its own."""
    return bool(
        held["_forward_hooks"] or held["_forward_pre_hooks"] or held["_backward_hooks"] or held["_backward_pre_hooks"]
    )


def has_global_hooks() -> bool:
    """Whether there are hooks of all modules."""
    return any(_GLOBAL_HOOKS)


def changes_saved_tensors() -> bool:
    """Whether the caller changes all tensors that are saved for a backward pass (``saved_tensors_hooks``)."""
    return torch._C._autograd._top_saved_tensors_default_hooks(False) is not None


def checkpoints_stop_early() -> Any:
    """Whether a recomputed forward pass stops where nothing more is needed (``set_checkpoint_early_stop``)."""
    return getattr(sys.modules.get("torch.utils.checkpoint"), "_enable_checkpoint_early_stop", True)


_SETSTATE: dict[Any, frozenset[str]] = {
    nn.Module.__setstate__: frozenset(vars(nn.Module())),
    nn.modules.conv._ConvNd.__setstate__: frozenset({*vars(nn.Module()), "padding_mode"}),
}
"""For methods that only add attributes which older versions of torch did not save: the names of those."""


def needed_by_setstate(kind: type[nn.Module]) -> frozenset[str] | None:
    """The attributes with which ``__setstate__`` does nothing but take them over; None if it may do anything."""
    return _SETSTATE.get(kind.__setstate__)


def watch_calls(module: nn.Module, call: Callable[..., Any]) -> None:
    """Make each call of a module a call of ``call``, as it is for compiled modules."""
    module.__dict__["_compiled_call_impl"] = call


def unwatch_calls(module: nn.Module, kind: type) -> None:
    """Undo :func:`watch_calls` if the module is still watched by something of that type."""
    if isinstance(module.__dict__.get("_compiled_call_impl"), kind):
        del module.__dict__["_compiled_call_impl"]


def number_of_function_modes() -> int:
    """How many function modes are active in this thread."""
    return _number_of_function_modes()


def function_modes() -> tuple[Any, ...]:
    """The function modes that are active in this thread."""
    return tuple(map(_function_mode_at, range(_number_of_function_modes())))


def dispatch_modes() -> int:
    """How many dispatch modes are active in this thread."""
    return _len_torch_dispatch_stack()


def registration_hooks() -> tuple[int, ...]:
    """The numbers of the hooks that are called when any module gets a parameter or a buffer."""
    return (*_hooks_on_parameters, *_hooks_on_buffers)


def settings_of_kernels(modes: int = 0) -> tuple[Any, ...] | None:
    """The global settings that the results of kernels may depend on; None where that is not all.

    Autocast has many more settings, and a dispatch mode that is active besides ``modes`` has to see the operation.
    """
    if _is_any_autocast_enabled() or _len_torch_dispatch_stack() != modes:
        return None
    return (
        _grad_enabled(),
        _inference_enabled(),
        _default_dtype(),
        _get_deterministic_algorithms(),
        _is_excluded(_AUTOGRAD_KEY),
        _get_flash_sdp_enabled(),
        _get_mem_efficient_sdp_enabled(),
        _get_math_sdp_enabled(),
        _get_cudnn_sdp_enabled(),
        _get_cudnn_enabled(),
        _get_mkldnn_enabled(),
    )


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether the tensor belongs to a ``FakeTensorMode``: it has no data and only works in its own mode."""
    module = sys.modules.get("torch._subclasses.fake_tensor")
    return module is not None and isinstance(tensor, module.FakeTensor)


def is_higher_order(func: Any) -> bool:
    """Whether ``func`` is an operator that takes functions and runs them."""
    return isinstance(func, torch._ops.HigherOrderOperator)


def can_be_decomposed(func: Any) -> bool:
    """Whether the operator is composite, so that ``func.decompose`` runs the operators that it is made of."""
    check = getattr(func, "_can_decompose", None)
    return check is not None and bool(check())


def script_object_type(value: Any) -> str | None:
    """The class of an object in torch's C++ code (packed weights); None for anything else."""
    if not isinstance(value, torch.ScriptObject):
        return None
    name: str = value._type().qualified_name()
    return name


@functools.lru_cache(MOST_OPERATORS)
def takes_script_objects(func: Any) -> bool:
    """Whether the operator takes such objects, or lists of them."""
    schema = getattr(func, "_schema", None)
    types = [] if schema is None else [argument.type for argument in schema.arguments]
    elements = [type.getElementType() if type.kind() == "ListType" else type for type in types]
    return any(type.kind() == "ClassType" for type in elements)


def is_mutable(func: Any) -> bool:
    """Whether the operator writes to some of its arguments; of a higher-order one it is not known."""
    schema = getattr(func, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


NUMBERS = (torch.FloatType, torch.IntType, torch.BoolType, torch.NumberType)
"""The types of numbers in the schema of an operator."""


def places_of_numbers(func: Any) -> frozenset[int]:
    """The places of arguments for which an operator takes a Python number, in all of its overloads; of others none."""
    if not isinstance(func, torch._ops.OpOverloadPacket):
        return frozenset()
    packet: Any = func
    schemas = [getattr(packet, overload)._schema for overload in packet.overloads()]
    places = [
        {place for place, argument in enumerate(schema.arguments) if isinstance(argument.type, NUMBERS)}
        for schema in schemas
    ]
    return frozenset(set.intersection(*places) if places else ())


@functools.lru_cache(MOST_OPERATORS)
def argument_names(func: Any) -> tuple[str, ...]:
    """The names of the arguments in the operator's schema, in order; empty without a schema."""
    schema = getattr(func, "_schema", None)
    return () if schema is None else tuple(argument.name for argument in schema.arguments)


def named_operator(name: str) -> Any:
    """The operator of that name, in its overload without a name or else its first; None where torch has none."""
    namespace, _, op = name.partition("::")
    packet: Any = getattr(getattr(torch.ops, namespace), op, None)
    if not isinstance(packet, torch._ops.OpOverloadPacket):
        return None  # none of that name, or a higher-order one
    overloads: Any = packet.overloads
    return getattr(packet, "default", None) or getattr(packet, overloads()[0])


def by_position(name: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments as the dispatcher passes them to the operator ``name``: by keyword only what has to be."""
    overload = named_operator(name)
    if not kwargs or overload is None:
        return args, kwargs
    given, rest = list(args), dict(kwargs)
    for argument in overload._schema.arguments[len(args) :]:
        if argument.kwarg_only or not rest:
            break
        given.append(rest.pop(argument.name, argument.default_value))
    return tuple(given), rest


@functools.lru_cache(MOST_OPERATORS)
def writes_of(func: Any) -> tuple[tuple[int, str], ...]:
    """The places and names of the arguments that the operator writes to."""
    return tuple(
        (place, argument.name)
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def written_by(func: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    """The arguments that the operator writes to, including lists of tensors."""
    for place, name in writes_of(func):
        yield args[place] if place < len(args) else kwargs.get(name)


def jagged_values(tensor: torch.Tensor) -> torch.Tensor:
    """The concatenated values of a jagged tensor; ``.values()`` would be recorded as an operation."""
    jagged: Any = tensor
    values: torch.Tensor = jagged._values
    return values


def nested_shapes(tensor: torch.Tensor) -> list[tuple[int, ...]] | None:
    """The shapes of the tensors in a nested one; None for a jagged one on meta, whose lengths are not known."""
    if tensor.layout != torch.jagged:
        return [tuple(shape) for shape in tensor._nested_tensor_size().tolist()]
    jagged: Any = tensor
    if jagged._offsets.is_meta:
        return None
    if jagged._lengths is None:
        lengths = [end - start for start, end in pairwise(jagged._offsets.tolist())]
    else:
        lengths = jagged._lengths.tolist()
    sizes, place = list(tensor.shape), jagged._ragged_idx
    return [(*sizes[1:place], length, *sizes[place + 1 :]) for length in lengths]


def stored_values(tensor: torch.Tensor) -> torch.Tensor:
    """The stored values of a sparse tensor, coalesced or not."""
    return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()


def stored_positions(tensor: torch.Tensor) -> torch.Tensor:
    """The positions of the stored values of a sparse tensor: (dimensions, elements)."""
    positions: torch.Tensor = tensor.detach().to_sparse_coo()._indices()  # type: ignore[no-untyped-call]
    return positions


def transforming() -> bool:
    """Whether a transform of ``torch.func`` (vmap, grad, jvp, …) is running: operations are then decomposed."""
    return peek_interpreter_stack() is not None


def is_wrapped(tensor: torch.Tensor) -> bool:
    """Whether the tensor is a wrapper of a transform of ``torch.func``, which hides its values and its batch size."""
    return bool(is_functorch_wrapped_tensor(tensor))


def is_zero(tensor: torch.Tensor) -> bool:
    """Whether the tensor is a ZeroTensor, all zeros without storage, such as the tangent of a constant."""
    return bool(tensor._is_zerotensor())


def unwrapped(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor inside one wrapper of ``torch.func``."""
    inner: torch.Tensor = get_unwrapped(tensor)
    return inner


def batch_of(tensor: torch.Tensor) -> tuple[int, int] | None:
    """For a tensor that ``vmap`` has wrapped: the level of the transform, counted from outside, and its batch size."""
    if not is_batchedtensor(tensor):
        return None
    return maybe_get_level(tensor), get_unwrapped(tensor).shape[maybe_get_bdim(tensor)]


def forward_derivatives() -> bool:
    """Whether forward-mode derivatives are computed now: a tensor may carry a tangent."""
    level: int = _FORWARD_DERIVATIVES["_current_level"]
    return level >= 0


_FORWARD_DERIVATIVES = vars(torch.autograd.forward_ad)


def last_node_number() -> int:
    """The number of the autograd node that was created last in this thread."""
    return _number_of_next_node() - 1


_OF_CODE = torch.autograd.function.BackwardCFunction


def running_node() -> tuple[int, bool]:
    """The number of the running autograd node (−1 for none), and whether it is of a custom function."""
    node: Any = _running_node()
    if node is None:
        return -1, False
    return node._sequence_nr(), isinstance(node, _OF_CODE)


def node_that_runs() -> Any:
    """The running autograd node, or None."""
    return _running_node()


def gradients_needed() -> tuple[bool, ...]:
    """For each input of the running autograd node, whether it needs a gradient; empty if none runs."""
    node: Any = _running_node()
    return () if node is None else tuple(function is not None for function, _ in node.next_functions)


def function_modes_are_active() -> bool:
    """Whether any torch function mode is active."""
    return bool(_number_of_function_modes())


_grad_enabled = torch.is_grad_enabled
_inference_enabled = torch.is_inference_mode_enabled
_default_dtype = torch.get_default_dtype

_AUTOGRAD_KEYS = (_Key.AutogradFunctionality, _Key.AutogradOther, _Key.AutogradNestedTensor)
"""The dispatch keys of autograd; inference mode excludes the same ones."""

_AUTOGRAD_KEY = _AUTOGRAD_KEYS[0]


def autograd_is_skipped() -> bool:
    """Whether operators in this thread skip autograd."""
    return bool(_is_excluded(_AUTOGRAD_KEY))


def skip_autograd(skip: bool) -> None:
    """Make operators in this thread skip autograd, or not."""
    for key in _AUTOGRAD_KEYS:
        _set_excluded(key, skip)


def without_compiler(model: nn.Module) -> nn.Module:
    """The module inside a wrapper of ``torch.compile``; any other module unchanged."""
    if isinstance(model, torch.jit.ScriptModule):
        return model
    wrapped = model.__dict__.get("_modules", {}).get("_orig_mod")
    return model if wrapped is None else wrapped


def operators(namespace: str) -> dict[str, bool]:
    """Every operator of a namespace in the running torch, with whether it is composite."""
    names: dict[str, bool] = {}
    for full_name in torch._C._dispatch_get_all_op_names():
        name, _, overload_name = full_name.partition(".")
        if name.startswith(f"{namespace}::"):
            packet = getattr(getattr(torch.ops, namespace), name.partition("::")[2])
            overload = getattr(packet, overload_name or "default", None)
            made_of_others = overload is not None and can_be_decomposed(overload)
            names[name] = names.get(name, True) and made_of_others
    return names


_FLEX_SWITCHES: dict[str, Any] = {
    "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG": True,
    "_validate_device": lambda *_: None,
}
"""Names in flex attention's module that decide whether it compiles itself, and on which devices it runs."""


def flex_attention_results() -> int:
    """The number of results of the flex attention operator: older releases do not return the largest scores."""
    module = sys.modules["torch.nn.attention.flex_attention"]
    return 3 if hasattr(module, "AuxOutput") else 2


_FLEX_LOCK = threading.Lock()
_flex_runs = 0
_flex_before: dict[str, Any] = {}


@contextmanager
def flex_attention_traceable() -> Iterator[None]:
    """Within it, flex attention does not compile itself, which breaks dispatch modes, and accepts meta tensors.

    The switches are global for all threads: they are restored when the last thread leaves.
    """
    global _flex_runs
    module = sys.modules.get("torch.nn.attention.flex_attention")
    settings = {} if module is None else vars(module)
    switches = {name: value for name, value in _FLEX_SWITCHES.items() if name in settings}
    with _FLEX_LOCK:
        if not _flex_runs:
            _flex_before.update({name: settings[name] for name in switches})
            settings.update(switches)
        _flex_runs += 1
    try:
        yield
    finally:
        with _FLEX_LOCK:
            _flex_runs -= 1
            if not _flex_runs:
                settings.update(_flex_before)


def script_tensors(module: Any) -> list[tuple[str, torch.Tensor]]:
    """The parameters and buffers of a script module, without its children, by name."""
    compiled: Any = module._c
    library: Any = torch._C
    return [*library.ParameterDict(compiled).items(), *library.BufferDict(compiled).items()]


def set_script_tensor(module: torch.jit.ScriptModule, name: str, tensor: torch.Tensor) -> None:
    """Replace that parameter or buffer by ``tensor``; Python only allows the assignment of real parameters."""
    module._c.setattr(name, tensor)


def is_frozen(module: torch.jit.ScriptModule) -> bool:
    """Whether ``torch.jit.freeze`` turned its parameters into constants; it then has no train or eval mode."""
    return not module._c.hasattr("training")


def method_graphs(module: Any) -> dict[str, Any]:
    """The graphs of the module's methods, by their full names; modules of one class share them."""
    compiled: Any = module._c
    prefix = compiled._type().qualified_name()
    return {f"{prefix}.{name}": compiled._get_method(name).graph for name in compiled._method_names()}


def graph_nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph or block, including the blocks in it (branches and loops), in order."""
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from graph_nodes(block)


def submodule_called(graph: Any, node: Any) -> str | None:
    """The name of the submodule whose forward ``node`` calls, relative to the module whose method is ``graph``."""
    if node.kind() != "prim::CallMethod" or node.s("name") != "forward":
        return None
    itself = next(graph.inputs()).debugName()
    value, names = next(node.inputs()), []
    while value.node().kind() == "prim::GetAttr":
        names.append(value.node().s("name"))
        value = next(value.node().inputs())
    return ".".join(reversed(names)) if names and value.debugName() == itself else None


def inline_forks(graph: Any) -> None:
    """Put the work that the graph hands to another thread, and waits for, where it is handed on.

    What is handed on and not waited for in the same graph stays.
    """
    inline = getattr(torch._C, "_jit_pass_inline_fork_wait", None)
    if inline is not None:  # without it, such work is counted in the module that hands it on
        inline(graph)


def insert_call(graph: Any, op: str, words: Sequence[str], values: Sequence[Any], where: Any, *, after: bool) -> None:
    """Call the operator ``op`` before or after a node, with constants and a list of the tensors among ``values``."""
    with graph.insert_point_guard(where):
        constants = [graph.insertConstant(word) for word in words]
    tensors = [value for value in values if value.type().isSubtypeOf(torch._C.TensorType.get())]
    gathered = graph.create("prim::ListConstruct", tensors, 1)
    gathered.output().setType(torch._C.ListType.ofTensors())
    call = graph.create(op, [*constants, gathered.output()], 0)
    if after:
        gathered.insertAfter(where)
        call.insertAfter(gathered)
    else:
        gathered.insertBefore(where)
        call.insertBefore(where)


def graph_constants(graph: Any) -> list[torch.Tensor]:
    """The tensors that are constants of the graph, in the order in which they are used."""
    found: dict[str, torch.Tensor] = {}
    for node in graph_nodes(graph):
        for value in node.inputs():
            source = value.node()
            if source.kind() == "prim::Constant" and source.hasAttribute("value") and source.kindOf("value") == "t":
                found.setdefault(value.debugName(), source.t("value"))
    return list(found.values())


def compiled_further(graph: Any) -> bool:
    """Whether ``torch.jit.optimize_for_inference`` put kernels into the graph that dispatch modes do not see."""
    return any(node.kind() == "prim::ConstantMKLDNNTensor" for node in graph_nodes(graph))


def divisions(graph: Any) -> list[tuple[Any, Any]]:
    """Divisions of a number by a tensor in the graph: pairs of the reciprocal and the product that TorchScript uses.

    The reciprocal has no other reader.  A pair that is written like this in the user's own file is not a division; for
    a script that was saved without its source this is not known.
    """
    found = []
    for node in graph_nodes(graph):
        source = next(node.inputs()).node() if node.kind() == "aten::mul" else node
        if source.kind() != "aten::reciprocal" or source is node or len(source.output().uses()) > 1:
            continue
        number = list(node.inputs())[1]
        is_tensor = number.type().isSubtypeOf(torch._C.TensorType.get())
        is_number = not is_tensor or _is_number_in_tensor(number.node())
        if is_number and number.type().kind() != "ComplexType" and not _in_own_file(node):
            found.append((source, node))
    return found


def _is_number_in_tensor(node: Any) -> bool:
    """Whether a node makes a tensor of one number, as a traced script does for a plain number."""
    if node.kind() == "prim::NumToTensor":
        return True
    if node.kind() != "prim::Constant" or not node.hasAttribute("value") or node.kindOf("value") != "t":
        return False
    return node.t("value").dim() == 0 and not node.t("value").is_complex()


def _in_own_file(node: Any) -> bool:
    """Whether a node is known to come from a file outside of torch."""
    place = re.match(r'\s*(?:File "(?P<script>[^"]*)"|(?P<trace>[^\n]*?)\(\d+\): )', node.sourceRange())
    file = (place["script"] or place["trace"] or "") if place else ""
    return bool(file) and file != "<string>" and not file.startswith((*torch.__path__, "code/"))


class SymbolicShapes:
    """Symbols for sizes, by torch's own machinery for shapes that are not known."""

    def __init__(self, on_condition: Callable[[Any], None]) -> None:
        try:
            from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
        except ImportError as error:
            raise ImportError(
                "this torch has no torch.fx.experimental.symbolic_shapes.ShapeEnv, with which formulas are derived: "
                "install a torch release that this profiler was tested with (see constraints.txt)"
            ) from error

        class Noting(ShapeEnv):
            """Says when a comparison becomes a condition."""

            def evaluate_expr(self, *args: Any, **kwargs: Any) -> Any:
                before = len(self.guards)
                result = super().evaluate_expr(*args, **kwargs)
                for guard in self.guards[before:]:
                    on_condition(guard.expr)
                return result

        self._environment: Any = Noting(duck_shape=False, specialize_zero_one=True)
        self._dynamic = DimDynamic.DYNAMIC

    def size(self, name: str, value: int) -> Any:
        """A size that is a symbol, with its value."""
        from torch._dynamo.source import ConstantSource

        source = ConstantSource(name)
        made = self._environment.create_symbol(value, source, dynamic_dim=self._dynamic, constraint_dim=None)
        return self._environment.create_symintnode(made, hint=value, source=source)

    def symbol(self, size: Any) -> Any:
        """The symbol of a size."""
        return size.node.expr

    def simplified(self, size: Any) -> Any:
        """The expression of a size, with the symbols that were found to be numbers replaced."""
        return self._environment.replace(size.node.expr)

    def replaced(self, symbol: Any) -> Any:
        """What a symbol was found to be: itself, or a number."""
        return self._environment.replace(symbol)

    def hint(self, size: Any) -> int:
        """The value of a size where the run is made."""
        return int(size.node.hint)

    def guards(self) -> list[Any]:
        """The conditions so far."""
        return [guard.expr for guard in self._environment.guards]

    @contextmanager
    def at_least_two(self) -> Iterator[None]:
        """Within it, torch's shape functions take symbols to be at least 2, where only 1 would be different."""
        from torch.fx.experimental import _config

        if not hasattr(_config, "backed_size_oblivious"):
            yield
            return
        with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            yield


def python_kernels() -> AbstractContextManager[None]:
    """Within it, operators on the meta device run torch's kernels in Python, which take symbols for sizes."""
    from torch._dispatch.python import enable_python_dispatcher

    made: AbstractContextManager[None] = enable_python_dispatcher()
    return made


def symbolic_shapes(on_condition: Callable[[Any], None]) -> SymbolicShapes:
    """A new collection of symbols; ``on_condition`` is called with each comparison that becomes a condition."""
    return SymbolicShapes(on_condition)


def fused_attention() -> tuple[Callable[..., int], Callable[..., Any]] | None:
    """The function that chooses torch's kernel for attention, and the fused kernel on the CPU; None without them."""
    choose = getattr(torch, "_fused_sdp_choice", None)
    kernel = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
    return None if choose is None or kernel is None else (choose, kernel)
