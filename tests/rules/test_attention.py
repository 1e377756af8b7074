"""Attention: one definition, every fused form, and whole layers compared with their unfused forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.errors import DataDependentError, UncountedError
from profiler.measures.causal_macs import hidden_macs
from profiler.opcount import OpCount, total
from profiler.signatures import TensorSpec
from tests.rules import real_tensors
from tests.rules.counting import Tally, assert_counted, exp, mac, maximum, spec
from tests.rules.counting import total as summed
from tests.rules.registered import call_of, count_of, count_whole_and_decomposed, kind_of, terms_of
from tests.rules.tensors import specs, values

Q, K, V, OUT = spec(2, 4, 7, 8), spec(2, 4, 5, 8), spec(2, 4, 5, 6), spec(2, 4, 7, 6)
ROWS, KEYS = 2 * 4 * 7, 5
SCORES = ROWS * KEYS
FLOAT_MASK, BOOL_MASK = spec(7, 5), spec(7, 5, dtype="bool")


def attention_by_hand(*, scale: bool = True, mask: bool = False, dropout: bool = False) -> OpCount:
    """The definition for Q, K and V above, summed term by term."""
    products = SCORES * 8 + ROWS * 6 * KEYS
    return OpCount(
        multiplies=products + SCORES * scale + 2 * SCORES * dropout,
        adds=SCORES * 7 + SCORES * mask + ROWS * (KEYS + KEYS - 1) + ROWS * 6 * (KEYS - 1),
        divides=SCORES,
        comparisons=ROWS * (KEYS - 1),
        transcendentals=SCORES,
        macs=products,
    )


def attend(q: Any, k: Any, v: Any, mask: Any, hidden: Any, drop: Any, scale: float | None) -> Any:
    """softmax(scale·q·kᵀ + mask)·v for one head; ``hidden`` scores become −∞, ``drop`` is dropout mask and scale."""
    result = []
    for i, query in enumerate(q):
        scores = [summed(mac(a, b) for a, b in zip(query, key, strict=True)) for key in k]
        factor = 1 / math.sqrt(len(query)) if scale is None else scale
        if factor != 1:
            scores = [factor * s for s in scores]
        if mask is not None:
            scores = [s + m for s, m in zip(scores, mask[i], strict=True)]
        if hidden is not None:
            scores = [s.tally.number(-math.inf) if h else s for s, h in zip(scores, hidden[i], strict=True)]
        largest = maximum(*scores)
        exps = [exp(s - largest) for s in scores]
        norm = summed(exps)
        weights = [e / norm for e in exps]
        if drop is not None:
            weights = [(w * keep) * scale_up for w, (keep, scale_up) in zip(weights, drop[i], strict=True)]
        columns = zip(*v, strict=True)
        result.append([summed(mac(w, x) for w, x in zip(weights, column, strict=True)) for column in columns])
    return result


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    heads=st.integers(1, 2),
    shared=st.booleans(),
    length=st.integers(1, 3),
    keys=st.integers(1, 3),
    d_k=st.integers(1, 3),
    d_v=st.integers(1, 3),
    mask=st.sampled_from(["none", "float", "bool", "causal"]),
    scale=st.sampled_from([None, 1.0, 0.3]),
)
def test_attention_costs_what_its_loop_costs(
    heads: int, shared: bool, length: int, keys: int, d_k: int, d_v: int, mask: str, scale: float | None
) -> None:
    """The rule equals the tally of the plain loop, whose results equal those of torch."""
    tally = Tally()
    kv_heads = 1 if shared else heads
    q, k = tally.array(heads, length, d_k), tally.array(kv_heads, keys, d_k, seed=1)
    v, bias = tally.array(kv_heads, keys, d_v, seed=2), tally.array(length, keys, seed=3)
    hidden = [[j > i for j in range(keys)] for i in range(length)]
    found = [
        attend(
            q[h],
            k[h % kv_heads],
            v[h % kv_heads],
            bias if mask == "float" else None,
            hidden if mask in ("bool", "causal") else None,
            None,
            scale,
        )
        for h in range(heads)
    ]
    attn_mask = {"float": values(bias), "bool": ~torch.tensor(hidden)}.get(mask)
    options: Any = {"is_causal": mask == "causal", "scale": scale, "enable_gqa": shared}
    tensors = [values(x)[None] for x in (q, k, v)]
    query, key, value = tensors
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask, **options)
    assert torch.allclose(values(found)[None], expected)
    arguments = specs([*tensors, attn_mask])
    assert_counted(terms_of("scaled_dot_product_attention", *arguments, **options, out=specs(expected)), tally)


def test_dropout_costs_what_its_loop_costs() -> None:
    """Each weight is multiplied by its mask and by the scale."""
    tally = Tally()
    q, k, v = tally.array(2, 4), tally.array(3, 4), tally.array(3, 2)
    drop = [[(1.0, 2.0), (0.0, 2.0), (1.0, 2.0)]] * 2
    attend(q, k, v, None, None, drop, None)
    assert_counted(
        terms_of("scaled_dot_product_attention", spec(2, 4), spec(3, 4), spec(3, 2), None, 0.5, out=spec(2, 2)), tally
    )


def test_attention_by_hand() -> None:
    """Two products, scale, mask, softmax and dropout; boolean and causal masks are free, and masked scores count."""
    op = "scaled_dot_product_attention"
    assert count_of(op, Q, K, V, out=OUT) == attention_by_hand()
    assert count_of(op, Q, K, V, FLOAT_MASK, out=OUT) == attention_by_hand(mask=True)
    assert count_of(op, Q, K, V, BOOL_MASK, out=OUT) == attention_by_hand()
    assert count_of(op, Q, K, V, None, 0.0, True, out=OUT) == attention_by_hand()
    assert count_of(op, Q, K, V, None, 0.1, out=OUT) == attention_by_hand(dropout=True)
    assert count_of(op, Q, K, V, scale=1.0, out=OUT) == attention_by_hand(scale=False)
    assert kind_of(op, Q, K, V, out=OUT) == "attention"


def test_formulas_show_products_and_their_sizes() -> None:
    """The scores have d_k products each, the values L_k products each."""
    formulas = [term.formula for term in terms_of("scaled_dot_product_attention", Q, K, V, out=OUT)]
    assert formulas[0] == "8·(2·4·7·5)"
    assert formulas[1] == "2·4·7·5 multiplies"
    assert formulas[-1] == "5·(2·4·7·6)"


def test_every_query_head_has_its_own_products() -> None:
    """Heads that share keys and values save nothing."""
    shared = count_of("scaled_dot_product_attention", Q, spec(2, 1, 5, 8), spec(2, 1, 5, 6), enable_gqa=True, out=OUT)
    assert shared == attention_by_hand()


@pytest.mark.parametrize(
    ("op", "before", "options"),
    [
        ("_scaled_dot_product_flash_attention", [0.1], {}),
        ("_scaled_dot_product_flash_attention", [None, None, None, 0.1], {}),
        ("_scaled_dot_product_flash_attention_for_cpu", [0.1, True], {"attn_mask": BOOL_MASK}),
        ("_scaled_dot_product_efficient_attention", [None, True, 0.1], {}),
        ("_scaled_dot_product_cudnn_attention", [BOOL_MASK, True, 0.1, True, False], {}),
        ("_scaled_dot_product_fused_attention_overrideable", [None, 0.1], {}),
        ("_cudnn_attention_forward", [None, None, None, 7, 5, True, 0.1], {}),
        ("_scaled_dot_product_attention_math", [None, 0.1], {"dropout_mask": None}),
    ],
)
def test_fused_forms_cost_their_definition(op: str, before: list[Any], options: dict[str, Any]) -> None:
    """Each kernel has the same cost, with dropout 0.1 and the default scale; scale = 1 costs nothing."""
    results = (OUT, spec(2, 4, 7), spec(0))
    assert count_of(op, Q, K, V, *before, **options, out=results) == attention_by_hand(dropout=True)
    unscaled = count_of(op, Q, K, V, *before, **options, scale=1.0, out=results)
    assert unscaled == attention_by_hand(scale=False, dropout=True)


@pytest.mark.slow
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_causal_masks_hide_scores_above_the_diagonal(queries: int, keys: int, heads: int) -> None:
    """In every form, the products of each hidden pair of positions leave the causal MACs, and the dense count stays."""
    hidden = sum(j > i for i in range(queries) for j in range(keys))
    q, k, v = spec(2, heads, queries, 8), spec(2, heads, keys, 8), spec(2, heads, keys, 6)
    out = (spec(2, heads, queries, 6), None)
    forms: list[tuple[str, list[Any]]] = [
        ("scaled_dot_product_attention", [None, 0.0]),
        ("_scaled_dot_product_flash_attention", [0.0]),
        ("_scaled_dot_product_flash_attention_for_cpu", [0.0]),
        ("_scaled_dot_product_efficient_attention", [None, True, 0.0]),
        ("_scaled_dot_product_cudnn_attention", [None, True, 0.0]),
        ("_scaled_dot_product_fused_attention_overrideable", [None, 0.0]),
    ]
    for op, before in forms:
        dense, causal = (call_of(op, q, k, v, *before, is_causal, out=out) for is_causal in (False, True))
        assert dense.count == causal.count
        assert [hidden_macs(call) for call in (dense, causal)] == [0, 2 * heads * hidden * (8 + 6)]


def test_a_custom_rule_hides_no_scores() -> None:
    """It is not known which macs of a custom rule a mask hides."""
    call = call_of("scaled_dot_product_attention", Q, K, V, None, 0.0, True, out=OUT)
    assert hidden_macs(call) > 0
    assert hidden_macs(replace(call, answer=replace(call.answer, terms=call.terms * 2))) == 0


def test_float_masks_of_the_fused_forms() -> None:
    """A kernel that takes a float mask adds it to each score."""
    for op, arguments, options in [
        ("_scaled_dot_product_flash_attention_for_cpu", [], {"attn_mask": FLOAT_MASK}),
        ("_scaled_dot_product_efficient_attention", [FLOAT_MASK, False], {}),
        ("_scaled_dot_product_cudnn_attention", [FLOAT_MASK, False], {}),
    ]:
        counted = count_of(op, Q, K, V, *arguments, **options, out=(OUT, spec(2, 4, 7)))
        assert counted == attention_by_hand(mask=True)
    assert count_of("_scaled_dot_product_flash_attention", Q, K, V, out=(OUT,)) == attention_by_hand()
    assert count_of("_triton_scaled_dot_attention", Q, K, V, 0.1, out=OUT) == attention_by_hand(dropout=True)


def test_kernels_that_keep_heads_last() -> None:
    """(N, L, H, d) has the same count; alibi adds a product and a sum for each score."""
    q, k, v, out = spec(2, 7, 4, 8), spec(2, 5, 4, 8), spec(2, 5, 4, 6), spec(2, 7, 4, 6)
    flash: Any = (None, None, 7, 5, 0.0, False, False)
    assert count_of("_flash_attention_forward", q, k, v, *flash, out=(out,)) == attention_by_hand()
    alibi = count_of("_flash_attention_forward", q, k, v, *flash, alibi_slopes=spec(4), out=(out,))
    assert alibi == attention_by_hand() + OpCount(multiplies=SCORES, adds=SCORES)
    efficient: Any = (None, None, None, None, 0.0, 0)
    assert count_of("_efficient_attention_forward", q, k, v, FLOAT_MASK, *efficient, out=(out,)) == attention_by_hand(
        mask=True
    )


def test_kernels_that_are_parts_or_variants_of_others() -> None:
    """An in-place form, the Triton form, and the step that splits the projected queries, keys and values."""
    q, k, v, out = spec(2, 7, 4, 8), spec(2, 5, 4, 8), spec(2, 5, 4, 6), spec(2, 7, 4, 6)
    flash: Any = (None, None, 7, 5, 0.0, False, False)
    inplace = count_of("_flash_attention_forward_no_dropout_inplace", out, q, k, v, *flash, out=spec(2, 4, 7))
    assert inplace == count_of("_flash_attention_forward", q, k, v, *flash, out=(out,))
    x, weights = spec(2, 7, 12), (spec(36, 12), spec(36), spec(12, 12), spec(12))
    native = count_of("_native_multi_head_attention", x, x, x, 12, 4, *weights, None, False, out=(x, None))
    assert count_of("_triton_multi_head_attention", x, x, x, 12, 4, *weights, out=x) == native
    parts = count_of("_transform_bias_rescale_qkv", spec(2, 7, 36), spec(36), 4, out=(spec(2, 4, 7, 3),) * 3)
    assert parts == OpCount(adds=2 * 7 * 36, multiplies=2 * 7 * 12)


def test_packed_sequences_cost_the_sum_of_their_sequences() -> None:
    """Lengths 3 and 4 meet 5 and 2 keys; a real run knows the lengths, and a run on meta does not."""
    q, k, v, out = spec(7, 4, 8), spec(7, 4, 8), spec(7, 4, 6), spec(7, 4, 6)
    sums_q, sums_k = real([0, 3, 7]), real([0, 5, 7])
    one_by_one = OpCount()
    for length, keys in ((3, 5), (4, 2)):
        one = count_of(
            "_scaled_dot_product_attention_math",
            spec(1, 4, length, 8),
            spec(1, 4, keys, 8),
            spec(1, 4, keys, 6),
            out=(spec(1, 4, length, 6),),
        )
        one_by_one = one_by_one + one
    flash: Any = (4, 5, 0.0, False, False)
    assert count_of("_flash_attention_forward", q, k, v, sums_q, sums_k, *flash, out=(out,)) == one_by_one
    used = count_of("_flash_attention_forward", q, k, v, sums_q, sums_k, *flash, seqused_k=real([5, 2]), out=(out,))
    assert used == one_by_one
    one_batch: Any = (spec(1, 7, 4, 8), spec(1, 7, 4, 8), spec(1, 7, 4, 6), None)
    efficient = count_of("_efficient_attention_forward", *one_batch, sums_q, sums_k, 4, 5, 0.0, 0, out=(out,))
    assert efficient == one_by_one
    on_meta = spec(3, dtype="int32")
    with pytest.raises(DataDependentError, match="real run"):
        count_of("_flash_attention_forward", q, k, v, on_meta, on_meta, *flash, out=(out,))
    with pytest.raises(UncountedError, match="packed"):
        count_of("_cudnn_attention_forward", Q, K, V, None, sums_q, sums_k, 7, 5, False, out=(OUT,))
    with pytest.raises(UncountedError, match="pages"):
        count_of("_flash_attention_forward", q, k, v, sums_q, sums_k, *flash, block_table=on_meta, out=(out,))


def real(numbers: list[int]) -> TensorSpec:
    """The spec that a rule gets for a tensor of these numbers in a real run."""
    return real_tensors.real(numbers, torch.int32)


def test_flex_attention_costs_its_definition() -> None:
    """It is dense under any block mask; the work of a ``score_mod`` is recorded separately."""
    op, results = "higher_order::flex_attention", (OUT, spec(2, 4, 7), spec(2, 4, 7))
    block_mask: Any = (7, 5, spec(1, 1, 1, dtype="int32"))
    assert count_of(op, Q, K, V, None, block_mask, 0.25, {}, (), (), out=results) == attention_by_hand()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("need_weights", "average"), [(True, True), (True, False), (False, True)])
def test_fused_multihead_attention_costs_the_unfused_layer(need_weights: bool, average: bool, masked: bool) -> None:
    """Projections, attention and the mean over heads cost what the layer's own code costs."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True, device="meta").eval()
    x = torch.empty(3, 5, 8, device="meta")
    mask = torch.empty(5, 5, device="meta") if masked else None
    unfused, _ = count_whole_and_decomposed(
        lambda: layer(x, x, x, attn_mask=mask, need_weights=need_weights, average_attn_weights=average)
    )
    weights = specs([layer.in_proj_weight, layer.in_proj_bias, *layer.out_proj.parameters()])
    arguments = (*[specs(x)] * 3, 8, 2, *weights, specs(mask), need_weights, average)
    fused = count_of("_native_multi_head_attention", *arguments, out=(specs(x), None))
    assert fused == unfused
    assert fused.macs == 4 * (3 * 5 * 8) * 8 + 2 * (3 * 2 * 5 * 5) * 4


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_fused_encoder_layer_costs_the_unfused_layer(activation: str, norm_first: bool) -> None:
    """The layer has attention, two residual sums, two norms and the feed-forward part."""
    layer = nn.TransformerEncoderLayer(
        8, 2, 16, activation=activation, norm_first=norm_first, batch_first=True, device="meta"
    ).eval()
    x = torch.empty(3, 5, 8, device="meta")
    unfused, _ = count_whole_and_decomposed(lambda: layer(x))
    attention = layer.self_attn
    weights = specs([attention.in_proj_weight, attention.in_proj_bias, *attention.out_proj.parameters()])
    norms = specs([*layer.norm1.parameters(), *layer.norm2.parameters()])
    forward = specs([*layer.linear1.parameters(), *layer.linear2.parameters()])
    options = (activation == "gelu", norm_first, 1e-5)
    fused = count_of(
        "_transformer_encoder_layer_fwd", specs(x), 8, 2, *weights, *options, *norms, *forward, out=specs(x)
    )
    assert fused == unfused
    assert fused.macs == 4 * (3 * 5 * 8) * 8 + 2 * (3 * 2 * 5 * 5) * 4 + 2 * (3 * 5) * 8 * 16


def test_no_keys_cost_nothing() -> None:
    """The adds of an empty softmax are not negative."""
    empty = terms_of("scaled_dot_product_attention", Q, spec(2, 4, 0, 8), spec(2, 4, 0, 6), out=OUT)
    assert total(empty) == OpCount()
