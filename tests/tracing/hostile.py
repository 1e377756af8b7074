"""Networks that are written as source, so that what their forwards read can be changed between two profiles."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.traces import trace
from profiler.tracing import memo

HEADER = """
import abc, collections, contextlib, copy, dataclasses, datetime, enum, functools, itertools, logging, math, operator
import os, random, sys, time, types, typing, weakref
import contextvars, threading
import torch
import torch.nn.functional as F
from torch import nn

def times(x, n):
    for _ in range(int(n)):
        x = x + 1
    return x
"""

_numbers = itertools.count()


@dataclass(frozen=True)
class Case:
    """A network of one class, by the parts of its source, and a statement that changes something.

    ``net`` is its instance, which ``change`` may name.
    """

    body: str
    change: str = ""
    outside: str = ""
    members: str = ""
    init: str = ""
    mode: Any = "inference"

    def module(self) -> ModuleType:
        """A new module of Python that has the class ``Net`` and its instance ``net``."""
        lines = [HEADER, textwrap.dedent(self.outside), "class Net(nn.Module):"]
        if self.members:
            lines.append(textwrap.indent(textwrap.dedent(self.members).strip("\n"), "    "))
        init = f"super().__init__()\nself.linear = nn.Linear(4, 4)\n{textwrap.dedent(self.init)}"
        lines += ["    def __init__(self):", textwrap.indent(init, "        ")]
        lines += ["    def forward(self, x):", textwrap.indent(textwrap.dedent(self.body).strip("\n"), "        ")]
        made = ModuleType(f"written_{next(_numbers)}")
        sys.modules[made.__name__] = made
        exec(compile("\n".join(lines), made.__name__, "exec"), made.__dict__)
        made.__dict__["net"] = made.Net()
        return made


@contextmanager
def written(case: Case) -> Iterator[ModuleType]:
    """The module of a case, which is forgotten afterwards."""
    made = case.module()
    try:
        yield made
    finally:
        del sys.modules[made.__name__]


def outcome(model: nn.Module, mode: Any = "inference", x: torch.Tensor | None = None) -> Any:
    """The trace of a network, or its error."""
    given = torch.empty(2, 4, device="meta") if x is None else x
    try:
        return trace(model, (given,), mode)
    except ProfilerError as error:
        return f"{type(error).__name__}: {error}"


def outcomes(case: Case, shape: str, around: Any = nullcontext) -> list[Any]:
    """What two profiles find before the change, and one after it, which is made ``around`` it.

    ``shape`` says how the network is used: ``"alone"``, or in ``"blocks"``: several times in a sequence.
    """
    with written(case) as made:
        model = made.net if shape == "alone" else nn.Sequential(made.net, made.Net(), nn.Sequential(made.Net()))
        found = [outcome(model, case.mode) for _ in range(2)]
        exec(case.change, made.__dict__)
        with around():
            return [*found, outcome(model, case.mode)]


def same_with_and_without(case: Case, shape: str, around: Any = nullcontext) -> list[Any]:
    """The outcomes of a case, which are the same with the memo as without it."""
    with memo.without_memo():
        expected = outcomes(case, shape, around)
    memo.clear()
    assert outcomes(case, shape, around) == expected
    return expected
