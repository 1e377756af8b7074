"""Derivations: every number follows from the terms of the rules, and adds up to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from profiler.analysis.explaining import explain, layers
from profiler.analysis.explaining.derivation import Derivation, derived_term
from profiler.analysis.explaining.document import Equation, Equations, Explanation, Grid
from profiler.analysis.explaining.words import Size, TermWords, Words, families
from profiler.opcount import COUNT_COLUMNS, OpCount, contraction, each
from profiler.profiles import Profile
from profiler.records import ROOT, OpCall
from profiler.signatures import TensorSpec
from tests import sample_profiles
from tests.analysis.explaining import networks
from tests.config_profiles import of_config

WITHOUT_NAMES = {"aten::cumsum", "aten::reciprocal", "aten::_native_multi_head_attention"}
"""Operators of the network of families that have no named sizes."""


def equations(explanation: Explanation) -> Iterator[Equation]:
    """All equations of an explanation."""
    for block in explanation.blocks:
        if isinstance(block, Equations):
            yield from block.equations


def grid(explanation: Explanation, name: str) -> Grid | None:
    """The table of that name."""
    return next((block for block in explanation.blocks if isinstance(block, Grid) and block.table.name == name), None)


def derivations(profile: Profile) -> list[Derivation]:
    """The derivation of every counted call."""
    return [Derivation.of(tally.call, tally.times) for tally in profile.work.tallies if tally.call.terms]


def check_profile(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every derivation gives the count of its call, every equation is true, and layers add up to their rows."""
    monkeypatch.setattr(layers, "others_on", lambda profile, record: iter(()))  # takes most of the time
    every = derivations(profile)
    for one in every:
        assert one.consistent, one.call.op
    for row in profile.tabulated("layers").records():
        if row["layer"] == "(excluded)":
            continue
        explanation = explain(profile, row["layer"])
        for equation in equations(explanation):
            assert len({side.value for side in equation.sides}) == 1, equation.written()
        table = grid(explanation, "sum")
        name = "" if row["layer"] == ROOT else row["layer"]
        counted = [one for one in every if one.call.module == name]
        total = OpCount()
        for one in counted:
            total = total + one.count * one.times
        assert [getattr(total, figure) for figure in COUNT_COLUMNS] == [row[figure] or 0 for figure in COUNT_COLUMNS]
        if table is not None:
            last = table.table.records()[-1]
            assert {figure: last.get(figure, 0) for figure in COUNT_COLUMNS} == {
                figure: row[figure] for figure in COUNT_COLUMNS
            }


@pytest.mark.parametrize("make", [sample_profiles.alexnet, sample_profiles.partial, sample_profiles.nothing])
def test_sample_profiles_add_up(make: Callable[[], Profile], monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of hand-made profiles, of which only the tensors are known."""
    check_profile(make(), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("make", [networks.families, networks.training])
def test_families_add_up(make: Callable[[], Profile], monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers with operations of every family, and a step of training."""
    check_profile(make(), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "llama_decode", "transformer_training"])
def test_real_networks_add_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer of networks in configs."""
    check_profile(of_config(name), monkeypatch)


@pytest.mark.slow
def test_every_family_gives_names() -> None:
    """Each operator in the network of families has named sizes, except for those without a family."""
    without = {one.call.op for one in derivations(networks.families()) if not all(term.named for term in one.terms)}
    assert without == WITHOUT_NAMES & {one.call.op for one in derivations(networks.families())}
    assert len({families()[op] for one in derivations(networks.families()) if (op := one.call.op) in families()}) > 15


@pytest.mark.slow
def test_gradients_have_names() -> None:
    """The gradients of convolutions and linear layers are derived in named sizes."""
    found = {one.call.op: one for one in derivations(networks.training()) if one.call.phase == "backward"}
    for op in ("aten::convolution_backward", "aten::mm", "aten::sum"):
        assert all(term.named for term in found[op].terms if term.term.what != "first products"), op


def call_of(op: str, shapes: tuple[tuple[int, ...], ...], out: tuple[int, ...], *terms: object) -> OpCall:
    """A counted call; the second and later operands are parameters."""
    specs = tuple(TensorSpec(shape, parameter=place > 0) for place, shape in enumerate(shapes))
    return OpCall.of(op, "conv", "counted", "layer", 1, "forward", specs, (TensorSpec(out),), terms)  # type: ignore[arg-type]


def written(derivation: Derivation, place: int = 0) -> dict[str, list[str]]:
    """The equations of one term by what they compute."""
    return {" = ".join(one.left): one.written() for one in derivation.terms[place].equations()}


def test_a_convolution_without_bias() -> None:
    """K multiplies and K − 1 adds for each result, in named sizes and in numbers."""
    call = call_of("aten::conv2d", ((2, 6, 9, 9), (4, 3, 3, 3)), (2, 4, 7, 7), contraction((2, 4, 7, 7), (3, 3, 3)))
    assert written(Derivation.of(call)) == {
        "multiplies = MACs": [
            "(N·C_out·H_out·W_out)·(C_in/groups·K_h·K_w)",
            "(2·4·7·7)·(6/2·3·3)",
            f"{2 * 4 * 7 * 7 * 27:,}",
        ],
        "adds": [
            "(N·C_out·H_out·W_out)·(C_in/groups·K_h·K_w − 1)",
            "(2·4·7·7)·(6/2·3·3 − 1)",
            f"{2 * 4 * 7 * 7 * 26:,}",
        ],
    }


def test_a_bias_makes_adds_equal_to_multiplies() -> None:
    """The sum of both terms has as many adds as multiplies."""
    out = (1, 4, 7, 7)
    bias = replace(each(out, "bias", adds=1), role="bias")
    call = call_of("aten::conv2d", ((1, 3, 9, 9), (4, 3, 3, 3), (4,)), out, contraction(out, (3, 3, 3)), bias)
    derivation = Derivation.of(call)
    assert written(derivation, 1) == {"adds": ["N·C_out·H_out·W_out", "1·4·7·7", "196"]}
    sums = {one.left: one.written() for one in derivation.sums()}
    assert sums["adds",] == ["5,096 + 196", "5,292"]
    assert derivation.count.adds == derivation.count.multiplies == 4 * 7 * 7 * 27


def test_an_operation_without_a_family() -> None:
    """It is derived from its terms in plain numbers."""
    call = call_of("mylib::odd", ((5, 7),), (5, 7), each((5, 7), "things", multiplies=2, adds=1))
    derivation = Derivation.of(call)
    assert not derivation.terms[0].named
    assert written(derivation) == {"multiplies": ["(5·7)·2", "70"], "adds": ["5·7", "35"]}
    assert derivation.consistent


def test_a_formula_that_is_wrong_is_not_shown() -> None:
    """If the named sizes do not give the number of the term, its plain numbers are shown."""
    term = contraction((4, 5), (3,))
    sizes = {"n": 4, "m": 5, "k": 3}
    right = derived_term(term, TermWords("n*m", "k"), sizes)
    assert right.named
    for wrong in (TermWords("n", "k"), TermWords("n*m", "k*k"), TermWords("n*m/k", "k"), TermWords("n*z", "k")):
        shown = derived_term(term, wrong, sizes)
        assert not shown.named
        assert shown.count == right.count == term.count


def test_a_family_that_fails_is_no_error() -> None:
    """Shapes that a family does not know, as in a damaged file, give a derivation in plain numbers."""
    call = call_of("aten::conv2d", ((2, 3),), (2, 4), contraction((2, 4), (3,)))
    assert not Derivation.of(call).terms[0].named


def test_a_wrong_count_is_seen() -> None:
    """The checks above are able to fail: a derivation that is not that of its call is not consistent."""
    call = call_of("aten::mul", ((5,), (5,)), (5,), each((5,), "products", multiplies=1))
    other = replace(call, answer=replace(call.answer, terms=(each((6,), "products", multiplies=1),)))
    assert not replace(Derivation.of(call), call=other).consistent


def test_all_calls_are_multiplied() -> None:
    """The sum over the calls of a layer."""
    call = call_of("aten::mul", ((5,), (5,)), (5,), each((5,), "products", multiplies=1))
    (equation,) = Derivation.of(call, times=3).all_calls()
    assert equation.written() == ["3·5", "15"]


def test_a_family_is_a_table_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator gets named sizes by one entry in ``FAMILIES``."""

    def halves(call: OpCall) -> Words:
        return Words("halving", [Size("n", 5, "things")], {0: TermWords("n")})

    monkeypatch.setattr("profiler.analysis.explaining.words.families", lambda: {"mylib::halve": halves})
    call = call_of("mylib::halve", ((5,),), (5,), each((5,), "halves", multiplies=1))
    assert written(Derivation.of(call)) == {"multiplies": ["n", "5"]}


def test_a_weight_of_a_convolution_is_used_at_each_position() -> None:
    """MACs / weights, which is the number of positions."""
    text = explain(sample_profiles.alexnet(), "features.conv1").text
    assert "Each of the 23,232 weights is used N·H_out·W_out = 1·55·55 = 3,025 times" in " ".join(text.split())
    assert 3 * 11 * 11 * 64 == 23232
    assert 55 * 55 == 3025


def test_rows_of_a_linear_layer_are_not_called_batch_and_time() -> None:
    """Some layers have the time first, which shapes do not say."""
    call = call_of("aten::linear", ((3, 2, 8), (24, 8)), (3, 2, 24), contraction((3, 2, 24), (8,)))
    assert written(Derivation.of(call))["multiplies = MACs"] == [
        "(n_1·n_2·d_out)·d_in",
        "(3·2·24)·8",
        f"{3 * 2 * 24 * 8:,}",
    ]
