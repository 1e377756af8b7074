"""Scaled dot-product attention and its gradients."""

from __future__ import annotations

from collections.abc import Iterator

from profiler.analysis.explaining.document import Assigned, Definition, Inline, Spans
from profiler.analysis.explaining.families.softmax import ROW
from profiler.analysis.explaining.formulas import Formula
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall
from profiler.signatures import Shape, TensorSpec

SCORES = "B*heads*L_q*L_k"


def _operands(call: OpCall) -> tuple[Shape, Shape, Shape] | None:
    """Query, key and value of four dimensions."""
    given = [call.signature.argument(name) for name in ("query", "key", "value")]
    if not all(isinstance(spec, TensorSpec) for spec in given):
        given = list(call.inputs[:3])
    query, key, value = (spec.shape for spec in given)
    return (query, key, value) if len(query) == len(key) == 4 else None


def _sizes(query: Shape, key: Shape, value: Shape) -> list[Size]:
    shared = [Size("heads_kv", key[1], "heads of keys and values")] if key[1] != query[1] else []
    return [
        Size("B", query[0], "sequences"),
        Size("heads", query[1], "heads of queries" if shared else "heads"),
        *shared,
        Size("L_q", query[2], "queries of a sequence"),
        Size("L_k", key[2], "keys of a sequence"),
        Size("d_k", query[3], "size of a query and of a key"),
        Size("d_v", value[3], "size of a value"),
    ]


def attention(call: OpCall) -> Words | None:
    """softmax(scale · Q·Kᵀ + mask) · V."""
    operands = _operands(call)
    if operands is None:
        return None
    sizes = _sizes(*operands)
    return Words(
        "scaled dot-product attention",
        sizes,
        {
            "scores": TermWords(SCORES, "d_k", about="Each score is a dot product of a query and a key"),
            "scale": TermWords(SCORES, about="Each score is scaled"),
            "mask": TermWords(SCORES, about="The mask is added to each score"),
            "softmax rows": TermWords(
                "B*heads*L_q",
                one={kind: text.replace("L", "L_k") for kind, text in ROW.items()},
                about="A softmax over the scores of each query",
            ),
            "dropout": TermWords(SCORES, about="Dropout: the mask and the scale of each weight"),
            "weighted values": TermWords(
                "B*heads*L_q*d_v", "L_k", about="Each result is a sum of the values, weighted by the softmax"
            ),
        },
        Definition("softmax(Q·Kᵀ / √d_k) · V", r"\operatorname{softmax}\!\left(\frac{Q K^{\top}}{\sqrt{d_k}}\right) V"),
        tuple(_remarks(call, *operands, {size.name: size.number for size in sizes})),
    )


def _remarks(call: OpCall, query: Shape, key: Shape, value: Shape, numbers: dict[str, int]) -> Iterator[Spans]:
    products = Formula("B*heads*L_q*L_k*(d_k + d_v)", numbers)
    yield ("Both products together: ", Inline(products, "both"), " MACs.")
    if query[2] == key[2]:
        yield (
            "With T tokens there are ",
            Inline(Formula("T^2".replace("^", "**"))),
            " scores for each head: twice the tokens, four times this work.",
        )
    elif query[2] == 1:
        yield (
            "With ",
            Assigned("L_q", 1),
            ", the next token, this work is proportional to the number of keys in the cache.",
        )
    if key[1] != query[1]:
        yield (
            f"Groups of {query[1] // key[1]:,} heads share their keys and values. That makes the cache smaller; every "
            "query head still does its own products.",
        )
    if call.signature.argument("is_causal") is True:
        yield ("The causal mask hides scores. The count is dense: it includes them.",)


def gradients(call: OpCall) -> Words | None:
    """The gradients for query, key and value."""
    operands = _operands(call)
    if operands is None:
        return None
    softmax = {"multiplies": "2*L_k", "adds": "2*L_k - 1"}
    return Words(
        "gradients of attention",
        _sizes(*operands),
        {
            "value gradient": TermWords(
                "B*heads*L_k*d_v", "L_q", about="Value gradient: the weights, transposed, times the result's gradient"
            ),
            "gradient of the weights": TermWords(
                SCORES, "d_v", about="Gradient of the weights: the result's gradient times the values, transposed"
            ),
            "softmax rows": TermWords("B*heads*L_q", one=softmax, about="Back through the softmax of each query"),
            "dropout": TermWords(SCORES, about="Back through dropout"),
            "query gradient": TermWords(
                "B*heads*L_q*d_k", "L_k", about="Query gradient: the gradient of the scores times the keys"
            ),
            "key gradient": TermWords(
                "B*heads*L_k*d_k",
                "L_q",
                about="Key gradient: the gradient of the scores, transposed, times the queries",
            ),
        },
    )


_KERNELS = (
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_fused_attention_overrideable",
)

FAMILIES = {
    attention: ("aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention_math", *_KERNELS),
    gradients: tuple(f"{name}_backward" for name in _KERNELS),
}
