"""The bytes that a call at least moves: what it has to read from memory and to write to it.

Each call is one kernel that reads each element of its operands once and writes each element of its results once; what
it computes in between stays inside it.  ``docs/bytes.md`` has the rules and their limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from profiler.records import OpCall
from profiler.signatures import IN_A_BYTE, Packed, Shape, Signature, TensorSpec, specs_in


class Traffic(NamedTuple):
    """The bytes that a call reads, how many of these are of parameters, and the bytes that it writes."""

    read: int = 0
    parameters: int = 0
    written: int = 0


NOTHING = Traffic()


def _aten(*names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}{ending}" for name in names for ending in ("", "_"))


ALLOCATING = _aten(
    *("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "from_file"),
    *("_empty_affine_quantized", "_empty_per_channel_affine_quantized", "empty_quantized", "_efficientzerotensor"),
    *("set", "resize", "resize_as", "set_data", "_resize_output", "resize_as_sparse", "sparse_resize"),
    *("sparse_resize_and_clear", "sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor"),
    *("sparse_bsc_tensor", "sparse_compressed_tensor", "_sparse_coo_tensor_unsafe", "_sparse_coo_tensor_with_dims"),
    *("_sparse_coo_tensor_with_dims_and_tensors", "_sparse_compressed_tensor_unsafe"),
    *("_sparse_compressed_tensor_with_dims", "_sparse_csr_tensor_unsafe", "_sparse_csc_tensor_unsafe"),
    *("_sparse_bsr_tensor_unsafe", "_sparse_bsc_tensor_unsafe", "lift_fresh"),
)
"""Operators that get memory without filling it, or put tensors together without copying them."""

FILLING = _aten(
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full", "eye"),
    *("arange", "range", "linspace", "logspace", "scalar_tensor", "zero", "_new_zeros_with_same_feature_meta"),
    *(
        "rand",
        "rand_like",
        "randn",
        "randn_like",
        "randint",
        "randint_like",
        "randperm",
        "uniform",
        "normal_functional",
    ),
    *("random", "exponential", "geometric", "cauchy", "log_normal", "tril_indices", "triu_indices"),
    *("hann_window", "hamming_window", "bartlett_window", "blackman_window", "kaiser_window", "fft_fftfreq"),
    *("fft_rfftfreq", "_dim_arange", "_shape_as_tensor"),
) | {"aten::normal_", "aten::bernoulli_", "aten::_fill_mem_eff_dropout_mask_"}
"""Operators that write values which no operand has: they read nothing, not even the tensor that they write to."""

OVERWRITING = _aten("copy", "fill", "_copy_from", "_copy_from_and_resize", "index_fill", "index_copy", "index_put")
"""In-place operators that do not read what they write to; of ``index_put`` only without ``accumulate``."""

UNREAD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_aten("type_as", "expand_as", "view_as", "reshape_as"), ("other",)),
    "aten::max_pool2d_with_indices_backward": ("self",),
    "aten::max_pool3d_with_indices_backward": ("self",),
    "aten::adaptive_max_pool2d_backward": ("self",),
    "aten::adaptive_max_pool3d_backward": ("self",),
    "aten::fractional_max_pool2d_backward": ("self",),
    "aten::fractional_max_pool3d_backward": ("self",),
    "aten::avg_pool2d_backward": ("self",),
    "aten::avg_pool3d_backward": ("self",),
    "aten::_adaptive_avg_pool2d_backward": ("self",),
    "aten::_adaptive_avg_pool3d_backward": ("self",),
    "aten::nll_loss_backward": ("self",),
    "aten::nll_loss2d_backward": ("self",),
}
"""Arguments of which an operator only uses the shape or the dtype."""

GATHERING: dict[str, str] = {
    "aten::embedding": "weight",
    "aten::index_select": "self",
    "aten::gather": "self",
    "aten::take": "self",
    "aten::take_along_dim": "self",
    "aten::index": "self",
    "aten::_unsafe_index": "self",
    "aten::masked_select": "self",
    "quantized::embedding_byte": "weight",
}
"""Operators that read one element of a table for each element of their result, and the argument that is the table."""

BAGS = frozenset(
    {"aten::embedding_bag", "aten::_embedding_bag", "aten::_embedding_bag_forward_only"},
)
"""Operators that read a row of a table for each index and join several of them to one result."""

GROUPED = frozenset({"aten::_grouped_mm", "aten::_scaled_grouped_mm", "aten::_scaled_grouped_mm_v2"})
"""Products of groups of rows with a matrix each, such as the weights of experts: a row reads one of the matrices."""

PICKING = frozenset({"aten::nll_loss", "aten::nll_loss_forward", "aten::nll_loss2d", "aten::nll_loss2d_forward"})
"""Losses that read the element of the input at each target."""

PLACING: dict[str, str] = {
    **dict.fromkeys(_aten("scatter", "scatter_add", "scatter_reduce"), "index"),
    **dict.fromkeys(_aten("index_copy", "index_add"), "source"),
}
"""Operators that write to some elements of a tensor, and the argument with as many elements as these."""

UPDATING = _aten("scatter_add", "scatter_reduce", "index_add")
"""Those of them that read these elements too."""

NORMALIZING = frozenset({"aten::batch_norm", "aten::native_batch_norm", "aten::cudnn_batch_norm"})
"""Operators that update running statistics during training, which their schema does not say."""


def bits_of(dtype: str) -> int:
    """The number of bits in memory of one element of that dtype."""
    if dtype in IN_A_BYTE:
        return 8 // IN_A_BYTE[dtype]
    found = re.match(r"(?:complex|bfloat|float|quint|qint|uint|int|bits)(\d+)", dtype)
    return max(int(found[1]), 8) if found else 8


def bytes_of(spec: TensorSpec, elements: int | None = None) -> int:
    """The bytes of a tensor, or of so many of its elements; of a sparse one, of what it stores, with the indices."""
    if spec.stored is not None:
        return -(-spec.stored * bits_of(spec.dtype) // 8) + 8 * _indices_of(spec)
    return -(-(spec.size if elements is None else elements) * bits_of(spec.dtype) // 8)


def _indices_of(spec: TensorSpec) -> int:
    """The number of indices of a sparse tensor, of 8 bytes each."""
    stored = spec.stored or 0
    if spec.layout == "sparse_coo":
        return stored * len(spec.shape)
    if len(spec.shape) < 2:
        return stored
    rows = spec.shape[-1] if spec.layout in ("sparse_csc", "sparse_bsc") else spec.shape[-2]
    return stored + prod(spec.shape[:-2]) * (rows + 1)


def traffic_of(call: OpCall) -> Traffic | None:
    """The bytes that the call moves at least; None if the records do not say which memory it uses."""
    event = call.event
    if event.touched is None or not call.signature.whole:
        return None
    places = tuple(event.reads.index(number) if number in event.reads else -1 for number in event.writes)
    made = len(event.makes)
    key = id(call.signature), event.touched, len(event.reads), places, made, call.status
    known = _known.get(key)
    if known is None or known[0] is not call.signature:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        known = _known[key] = call.signature, _computed(call.signature, event.touched, places, made, call.status)
    return known[1]


MOST_KNOWN = 2**14

_known: dict[Any, tuple[Signature, Traffic]] = {}
"""By the id of a signature, which is kept alive, and by what a call does to memory."""


class _Operand(NamedTuple):
    """A tensor among the arguments: the argument's name, its spec, and the elements that it adds to those before."""

    name: str
    spec: TensorSpec
    elements: int


def _computed(signature: Signature, touched: Shape, places: Shape, made: int, status: str) -> Traffic:
    op = signature.op
    if op in ALLOCATING or not (made or places or (status != "free" and not signature.outputs)):
        return NOTHING  # a view, a question, or nothing but memory
    if status == "free" and any(spec.stored is not None for spec in signature.inputs) and op in SPARSE_VIEWS:
        return NOTHING
    operands = list(_operands(signature, touched))
    written = _written(operands, places)
    bytes_written = sum(_bytes_placed(signature, operand) for operand in written)
    bytes_written += sum(sorted((bytes_of(spec) for spec in signature.outputs), reverse=True)[:made])
    read = parameters = 0
    for operand in operands:
        number = _bytes_read(signature, operand, written)
        read += number
        parameters += number if operand.spec.parameter else 0
    for packed in packed_weights(signature):
        read += bytes_of(packed)
        parameters += bytes_of(packed)
    if op in NORMALIZING and signature.argument("training", False):
        bytes_written += sum(bytes_of(operand.spec) for operand in operands if operand.name.startswith("running_"))
    return Traffic(read, parameters, bytes_written)


SPARSE_VIEWS = _aten(
    *("values", "_values", "indices", "_indices", "crow_indices", "col_indices", "ccol_indices", "row_indices"),
    *("detach", "alias", "_coalesced", "transpose", "t"),
)
"""Operators that return parts of a sparse tensor, or the same parts in another order, without copying them."""


def _operands(signature: Signature, touched: Shape) -> Iterator[_Operand]:
    """The tensors among the arguments with the sizes that ``vmap`` maps over, in order."""
    place = 0
    for name, value in signature.arguments:
        for found in specs_in(value):
            spec = found.plain
            extra = touched[place] if place < len(touched) else -1
            yield _Operand(name, spec, spec.size if extra < 0 else extra)
            place += 1


def _written(operands: Sequence[_Operand], places: Shape) -> list[_Operand]:
    """The operands that are written to; ``places`` are those of their storages among the ones that are read."""
    own = [operand for operand in operands if operand.elements or not operand.spec.size]
    return [own[place] for place in places if 0 <= place < len(own)]


def _bytes_read(signature: Signature, operand: _Operand, written: Sequence[_Operand]) -> int:
    op, name, spec = signature.op, operand.name, operand.spec
    if op in FILLING or name == "out" or name in UNREAD.get(op, ()):
        return 0
    elements = operand.elements
    if any(operand is other for other in written):
        if op in OVERWRITING and not signature.argument("accumulate", False):
            return 0
        if op in PLACING or op in INDEX_PUT:
            return _bytes_placed(signature, operand) if op in UPDATING or op in INDEX_PUT else 0
    if name == GATHERING.get(op):
        elements = min(elements, signature.outputs[0].size)
    elif op in GROUPED and name == "mat2" and len(spec.shape) == 3 and spec.shape[0]:
        rows = signature.inputs[0].shape[0] if len(signature.inputs[0].shape) == 2 else spec.shape[0]
        elements = elements // spec.shape[0] * min(spec.shape[0], rows)
    elif op in BAGS and name == "weight":
        elements = min(elements, signature.argument("indices").size * spec.shape[-1])
    elif op in PICKING and name == "self":
        elements = min(elements, signature.argument("target").size)
    elif op in CONVOLUTION_GRADIENTS and _is_idle(signature, name):
        return 0
    return bytes_of(spec, elements)


INDEX_PUT = _aten("index_put", "_index_put_impl", "_unsafe_index_put")

CONVOLUTION_GRADIENTS = frozenset({"aten::convolution_backward", "aten::convolution_backward_overrideable"})


def _is_idle(signature: Signature, name: str) -> bool:
    """Whether the gradients of a convolution that are wanted do not need that argument."""
    of_input, of_weight, *_ = signature.argument("output_mask", (True, True, True))
    return (name == "weight" and not of_input) or (name == "input" and not of_weight)


def _bytes_placed(signature: Signature, operand: _Operand) -> int:
    """The bytes of a written operand that are written."""
    op, spec = signature.op, operand.spec
    elements = operand.elements
    if op in PLACING:
        like = signature.argument(PLACING[op])
        elements = min(elements, like.size) if isinstance(like, TensorSpec) else elements
    elif op in _aten("index_fill"):
        dim, index = signature.argument("dim"), signature.argument("index")
        row = spec.size // spec.shape[dim] if spec.shape and spec.shape[dim] else spec.size
        elements = min(elements, row * index.size)
    elif op in INDEX_PUT:
        elements = min(elements, _indexed(spec.shape, signature.argument("indices")))
    return bytes_of(spec, elements)


def _indexed(shape: Shape, indices: Sequence[TensorSpec | None]) -> int:
    """The number of elements that ``indices`` select of a tensor of that shape; all of those that a mask covers."""
    sizes, many, place = list[Shape](), 1, 0
    for index in indices:
        if index is None:
            many *= shape[place]
            place += 1
        elif index.dtype in ("bool", "uint8"):
            many *= index.size
            place += len(index.shape)
        else:
            sizes.append(index.shape)
            place += 1
    return many * prod(_broadcast(sizes)) * prod(shape[place:])


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape to which they are broadcast."""
    rank = max(map(len, shapes), default=0)
    wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*wide, strict=True))


def packed_weights(signature: Signature) -> Iterator[TensorSpec]:
    """The weights in packed objects among the arguments."""
    for _, value in signature.arguments:
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Packed):
                yield from (spec for spec in (item.weight, item.bias) if spec is not None)
