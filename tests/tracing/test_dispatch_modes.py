"""The code of a dispatch mode is never compiled, and modes do not import the compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

import profiler
from profiler.tracing.private import DispatchMode

WITHOUT_COMPILER = """
import sys
import torch
from profiler.tracing.private import DispatchMode

class Counts(DispatchMode):
    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        Counts.calls += 1
        return func(*args, **(kwargs or {}))

with Counts():
    torch.empty_strided((2, 3), (3, 1), device="meta").t()
assert Counts.calls == 2
print(sorted({"torch._dynamo", "torch._inductor", "sympy"}.intersection(sys.modules)))
"""


@pytest.mark.slow
def test_modes_do_not_import_the_compiler() -> None:
    """The import of the compiler takes as long as that of torch itself."""
    result = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


class Counts(DispatchMode):
    """Counts calls, and notices if a frame of its own is compiled."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = 0
        self.compiled = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        self.compiled = self.compiled or torch.compiler.is_dynamo_compiling()
        return func(*args, **(kwargs or {}))


def cosine_of_sine(x: torch.Tensor) -> torch.Tensor:
    return x.sin().cos()


@pytest.mark.slow
def test_a_mode_works_within_compiled_code() -> None:
    """The compiler leaves the mode's own code alone: the mode sees every operation."""
    compiled: Any = torch.compile(cosine_of_sine, backend="eager")
    with Counts() as mode:
        compiled(torch.ones(2))
    assert (mode.calls, mode.compiled) == (2 + 1, False)  # with the tensor of ones


@pytest.mark.slow
def test_compiled_functions_of_a_network_are_recorded() -> None:
    """The operations are those of the function as it is written."""
    compiled: Any = torch.compile(cosine_of_sine, backend="eager")
    found = profiler.profile(lambda x: compiled(x).tanh(), torch.zeros(2))
    assert [call.op for call in found.trace.calls] == ["aten::sin", "aten::cos", "aten::tanh"]
