"""What can be registered as a rule, and how one rule takes the place of another."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import profiler
import profiler.traces
from profiler.errors import RuleError
from profiler.opcount import OpCount, Term, each, total
from profiler.rules import REGISTRY
from profiler.signatures import Signature, TensorSpec
from tests.rules.recorded import calls_of

OP = "profiler_registry::mix"


@pytest.fixture(autouse=True)
def restored_registry() -> Iterator[None]:
    """Unregister what a test registers."""
    before = dict(REGISTRY._entries)
    yield
    REGISTRY._entries.clear()
    REGISTRY._entries.update(before)


def costs(figure: int) -> Callable[..., Any]:
    """A rule by which each element has ``figure`` multiplies."""

    def cost(x: Any, *more: Any, out: Any, **options: Any) -> list[profiler.Term]:
        return [profiler.each(out.shape, "own", multiplies=figure)]

    return cost


def multiplies_of_relu() -> int:
    """The current cost of a ReLU of 2·3 elements."""
    return profiler.profile(nn.ReLU(), torch.zeros(2, 3)).total.multiplies


@pytest.mark.parametrize("name", ["mix", "", "mylib::", "::mix", "mylib::mix.default", "my lib::mix", "mylib:mix"])
def test_a_name_that_no_operation_has_is_refused(name: str) -> None:
    """Without a namespace, or with an overload, the rule would never be called."""
    with pytest.raises(RuleError, match=r"the rule of .*: expected the operation's name with its namespace"):
        profiler.rule(name)
    with pytest.raises(RuleError, match="namespace"):
        profiler.free(name)
    with pytest.raises(RuleError, match="namespace"), profiler.rules_replaced({name: costs(1)}):
        pass


def test_a_rule_without_parentheses_is_refused() -> None:
    """``@profiler.rule`` without parentheses would take the function for the name; so would an operator for a name."""
    decorate: Any = profiler.rule
    with pytest.raises(RuleError, match=r"the rule of .*cost: expected the operation's name"):
        decorate(costs(1))
    with pytest.raises(RuleError, match="expected the operation's name"):
        decorate(torch.ops.aten.relu)
    with pytest.raises(RuleError, match="a rule without an operation"):
        profiler.rule()
    with pytest.raises(RuleError, match="a rule without an operation"):
        profiler.free()


@pytest.mark.parametrize(
    "function",
    [lambda x: [], lambda x, output: [], lambda *args: [], lambda out, /: [], lambda: []],
    ids=["nothing", "another name", "any positions", "by position only", "no arguments"],
)
def test_a_rule_that_does_not_take_out_is_refused_when_it_is_registered(function: Any) -> None:
    """The error has the name of the function and the expected signature; nothing is registered."""
    with pytest.raises(
        RuleError, match=rf"the rule of {OP}: .*<lambda> does not take out.*expected a signature"
    ) as info:
        profiler.rule(OP)(function)
    assert "\n" not in str(info.value)
    with pytest.raises(RuleError, match="does not take out"), profiler.rules_replaced({OP: function}):
        pass
    with pytest.raises(RuleError, match="does not take out"):
        profiler.rule(OP, kind=function)(costs(1))
    assert OP not in REGISTRY


@pytest.mark.parametrize(
    "function",
    [lambda x, out: [], lambda x, *, out: [], lambda *args, **options: [], costs(1)],
    ids=["positional", "keyword", "any", "a rule"],
)
def test_every_way_to_take_out_is_accepted(function: Any) -> None:
    """A rule may take ``out`` by name in any position, or in ``**kwargs``."""
    profiler.rule(OP)(function)
    assert OP in REGISTRY


def test_a_rule_that_is_no_function_is_refused() -> None:
    """The example is a number."""
    with pytest.raises(RuleError, match="found 3, expected a function"):
        profiler.rule(OP)(3)  # type: ignore[type-var]


def test_a_rule_for_several_operations_is_registered_for_all_or_none() -> None:
    """A name that occurs twice is an error."""
    with pytest.raises(RuleError, match=f"{OP} is given twice"):
        profiler.rule(OP, "profiler_registry::other", OP)
    assert OP not in REGISTRY


def test_a_function_of_the_same_name_replaces_the_rule_that_it_defines_again() -> None:
    """A notebook's cell may be run again, changed or not; a function of another name or module is an error."""
    cell = f"""
import profiler
@profiler.rule("{OP}")
def mix_cost(x, *, out):
    return [profiler.each(out.shape, "mixes", multiplies=FIGURE)]
"""
    for figure in (1, 1, 2):
        exec(cell.replace("FIGURE", str(figure)), {"__name__": "notebook"})
    entry = REGISTRY.find(OP)
    assert entry is not None
    spec = profiler.TensorSpec((5,))
    assert [term.count.multiplies for term in entry.apply(spec, out=spec)[1]] == [2 * 5]
    for function, module in (("mix_cost", "another_notebook"), ("another_cost", "notebook")):
        with pytest.raises(RuleError, match=f"{OP} is registered already"):
            exec(cell.replace("FIGURE", "3").replace("mix_cost", function), {"__name__": module})
    with pytest.raises(RuleError, match="registered already"):
        profiler.free(OP)
    assert REGISTRY.find(OP) is entry


def test_lambdas_do_not_replace_each_other() -> None:
    """Two lambdas of one module may be different rules."""
    profiler.rule(OP)(lambda x, *, out: [])
    with pytest.raises(RuleError, match="registered already"):
        profiler.rule(OP)(lambda x, *, out: [])


def test_a_free_operation_may_be_declared_free_again() -> None:
    """It is an error for an operation that has a rule."""
    profiler.free(OP)
    profiler.free(OP)
    with pytest.raises(RuleError, match="registered already"):
        profiler.rule(OP)(costs(1))


def test_a_rule_replaces_another() -> None:
    """This needs ``replace=True``; the kind stays unless another one is given."""
    assert multiplies_of_relu() == 0
    with pytest.raises(RuleError, match="registered already"):
        profiler.rule("aten::relu")(costs(7))
    profiler.rule("aten::relu", replace=True)(costs(7))
    profile = profiler.profile(nn.ReLU(), torch.zeros(2, 3))
    assert (profile.total.multiplies, profile.operations.kind.tolist()) == (7 * 2 * 3, ["activation"])
    profiler.rule("aten::relu", kind="norm", replace=True)(costs(8))
    profile = profiler.profile(nn.ReLU(), torch.zeros(2, 3))
    assert (profile.total.multiplies, profile.operations.kind.tolist()) == (8 * 2 * 3, ["norm"])
    profiler.free("aten::relu", replace=True)
    assert multiplies_of_relu() == 0
    assert profiler.profile(nn.ReLU(), torch.zeros(2, 3)).status == "complete"


def test_rules_are_replaced_temporarily() -> None:
    """Replacements may be nested and end when an error is raised; in-place variants follow, and ``None`` is free."""
    with profiler.rules_replaced({"aten::relu": costs(2)}):
        assert multiplies_of_relu() == 2 * 2 * 3
        assert profiler.profile(nn.ReLU(inplace=True), torch.zeros(2, 3)).total.multiplies == 2 * 2 * 3
        with profiler.rules_replaced({"aten::relu": costs(3), "aten::linear": None}):
            assert multiplies_of_relu() == 3 * 2 * 3
            free = profiler.profile(nn.Linear(3, 4), torch.zeros(2, 3))
            assert (free.total.macs, free.status) == (0, "complete")
        with pytest.raises(ZeroDivisionError), profiler.rules_replaced({"aten::relu": costs(4)}):
            raise ZeroDivisionError
        assert multiplies_of_relu() == 2 * 2 * 3
    assert multiplies_of_relu() == 0


def test_an_operation_without_a_rule_gets_one_temporarily() -> None:
    """It is uncounted before and after."""
    assert OP not in REGISTRY
    with profiler.rules_replaced({OP: costs(1)}):
        assert OP in REGISTRY
    assert OP not in REGISTRY


def test_rules_are_replaced_for_one_thread() -> None:
    """Two threads replace one rule at the same time, each for itself; a third one sees neither."""
    met = threading.Barrier(3)
    found: dict[int, int] = {}

    def work(figure: int) -> None:
        with profiler.rules_replaced({"aten::relu": costs(figure)} if figure else {"aten::gelu": costs(1)}):
            met.wait(60)
            found[figure] = multiplies_of_relu()
            met.wait(60)

    threads = [threading.Thread(target=work, args=(figure,)) for figure in (0, 5, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 0, 5: 5 * 2 * 3, 9: 9 * 2 * 3}


def test_a_trace_uses_the_rules_of_its_caller_in_every_thread() -> None:
    """The threads of a network are counted by the rules that the caller of the trace replaced."""
    with profiler.rules_replaced({OP: costs(1)}):
        view = REGISTRY.seen_from_here()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.extend([OP in view, OP in REGISTRY, "aten::relu" in view]))
    thread.start()
    thread.join()
    assert found == [True, False, True]


@pytest.mark.slow
def test_the_profiler_registers_each_of_its_own_operations_once() -> None:
    """Functions with the same name would replace each other silently, so the test looks at every registration."""
    code = """
import sys, types
import profiler
package = types.ModuleType("profiler.rules")
package.__path__ = [profiler.__path__[0] + "/rules"]
sys.modules["profiler.rules"] = package
from profiler.rules.registry import Registry
add, seen = Registry.add, []
Registry.add = lambda self, entry, **options: (seen.append(entry.op), add(self, entry, **options))
del sys.modules["profiler.rules"]
import profiler.rules
twice = sorted({op for op in seen if seen.count(op) > 1})
sys.exit(f"{twice}" if twice or len(seen) < 100 else 0)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("given", [[5], "a", 7, None])
def test_a_result_that_is_no_term_is_an_error_of_the_rule(given: Any) -> None:
    """The operation is uncounted, for a reason that names its shapes; the rest of the network is counted."""
    with profiler.rules_replaced({"aten::relu": lambda x, *, out: given}):
        profile = profiler.profile(nn.Sequential(nn.ReLU(), nn.Linear(3, 5)), torch.ones(2, 3))
    (call,) = (call for call in profile.trace.calls if call.status == "uncounted")
    assert call.op == "aten::relu"
    assert call.reason.startswith("its rule failed on 2×3: TypeError: ")
    assert (profile.status, profile.total.macs) == ("partial", 2 * 3 * 5)


@pytest.mark.parametrize(("reads", "there"), [(None, False), (["x"], True), (["n"], False)])
def test_a_rule_gets_the_values_that_it_declares(reads: list[str] | None, there: bool) -> None:
    """It gets floating-point values only if it declares them, and integers unless it declares others."""
    seen: list[Any] = []

    def cost(x: Any, n: Any, *, out: Any) -> list[profiler.Term]:
        for operand in (x, n):
            try:
                seen.append(operand.values)
            except profiler.errors.DataDependentError as error:
                seen.append(str(error))
        return [profiler.each(out.shape, "own", multiplies=1)]

    profiler.rule("aten::mul", reads=reads, replace=True)(cost)
    real = profiler.traces.trace_for_real(Times(), (torch.tensor([0.5, 2.0]), torch.tensor([3, 4])), reason="test")
    assert real.calls[0].count.multiplies == 2
    assert (seen[0] == [0.5, 2.0]) == there
    assert (seen[1] == [3, 4]) == (reads != ["x"])
    assert there or "to a rule that names it in its reads" in seen[0]


class Times(nn.Module):
    """A floating-point tensor times integers."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        return x * n


def test_declared_names_of_values_are_checked() -> None:
    """A name that is no parameter of the operator would never be found."""
    with pytest.raises(RuleError, match="reads names 'boxes', expected one of x, more, out, options"):
        profiler.rule(OP, reads=["boxes"])(costs(1))
    with pytest.raises(RuleError, match=r"found reads='x', expected a list of names: reads=\['x'\]"):
        profiler.rule(OP, reads="x")(costs(1))


@pytest.mark.slow
def test_no_module_has_to_be_imported_before_another() -> None:
    """Imported in reverse order, the families register the same operations."""
    code = (
        "import pkgutil\n"
        "walk = pkgutil.walk_packages\n"
        "pkgutil.walk_packages = lambda *given: reversed(list(walk(*given)))\n"
        "from profiler.rules import REGISTRY\n"
        "print(*sorted(entry.op for entry in REGISTRY))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert len(found) > 1000
    families = (
        "aten::",
        "higher_order::",
        "profiler::",
        "quantized::",
        "semi_structured::",
        "sparse::",
        "torchvision::",
    )
    assert {entry.op for entry in REGISTRY if entry.op.startswith(families)} == set(found)


def test_a_rule_by_name_gets_its_arguments_by_name() -> None:
    """It gets the arguments that it names, in any order of the schema, ``self`` as ``input``, and no others."""

    def cost(input: TensorSpec, scale: float = 1.0, *, out: Any) -> list[Term]:
        return [each(input.shape, "scaled", multiplies=1 if scale != 1 else 0, adds=1)]

    profiler.rule(OP, by_name={"alpha": "scale"}, reads=["scale"])(cost)
    entry = REGISTRY.find(OP)
    assert entry is not None
    x = TensorSpec((3, 7))
    _, terms = entry.of(Signature(OP, (("mode", "fast"), ("alpha", 2.0), ("self", x)), x, 1))
    assert total(terms) == OpCount(multiplies=3 * 7, adds=3 * 7)
    _, terms = entry.of(Signature(OP, (("self", x), ("mode", "fast")), x, 2))
    assert total(terms) == OpCount(adds=3 * 7)
    assert REGISTRY.read_by(OP) == {"alpha", "scale"}
    with pytest.raises(RuleError, match="parameter 'size', expected one of input, scale"):
        profiler.rule(OP, by_name={"alpha": "size"}, replace=True)(cost)


def test_a_replacement_is_called_by_position() -> None:
    """A user's function that replaces a rule by name gets the arguments as they were passed."""
    seen: list[tuple[Any, ...]] = []

    def cost(*args: Any, out: Any) -> list[Term]:
        seen.append(args)
        return [each(out.shape, "all", adds=1)]

    with profiler.rules_replaced({"aten::convolution": cost}):
        calls_of(torch.nn.functional.conv1d, torch.ones(1, 2, 5), torch.ones(3, 2, 3), None, 2)
    assert list(seen[0][:2]) == [TensorSpec((1, 2, 5)), TensorSpec((3, 2, 3))]
    assert len(seen[0]) == 9
