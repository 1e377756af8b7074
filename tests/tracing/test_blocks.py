# ruff: noqa: E501
"""Calls of blocks that are answered from earlier ones are recorded as if they had run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.rules import REGISTRY
from profiler.tracing import layer_calls, memo, record
from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.makes import MAKES
from tests.tracing.hostile import HEADER


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts with an empty memo."""
    memo.clear()
    yield
    memo.clear()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the classes of the modules whose calls were answered."""
    found: list[str] = []
    original = layer_calls.LayerCalls.answer

    def answer(self: Any, seen: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        result, key = original(self, seen, layer, args, kwargs)
        if result is not layer_calls.NOT_ANSWERED:
            found.append(type(seen.module).__name__)
        return result, key

    monkeypatch.setattr(layer_calls.LayerCalls, "answer", answer)
    return found


@dataclass(frozen=True)
class Blocks:
    """A network of four equal blocks, by the source of the forwards of a block and of the network."""

    block: str
    net: str = "for b in self.blocks: x = b(x)\nreturn x"
    init: str = ""
    outside: str = ""
    net_init: str = ""
    shape: tuple[int, ...] = (2, 4)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The network, and another one with the same blocks."""
        parts = [HEADER, self.outside]
        parts += _class("Block", f"self.linear = nn.Linear(4, 4)\n{self.init}", self.block, "x, *more, **kw")
        blocks = "self.blocks = nn.ModuleList([Block() for _ in range(4)])\nself.other = nn.Linear(4, 4)\n"
        for name, first in (("Net", ""), ("Other", "x = F.relu(x)\n")):
            parts += _class(name, blocks + self.net_init, first + self.net, "x")
        space: dict[str, Any] = {"__name__": "blocks"}
        exec("\n".join(parts), space)
        return space["Net"](), space["Other"]()


def _class(name: str, init: str, forward: str, arguments: str) -> Iterator[str]:
    yield f"class {name}(nn.Module):\n    def __init__(self):\n        super().__init__()"
    yield textwrap.indent(init, "        ")
    yield f"    def forward(self, {arguments}):"
    yield textwrap.indent(forward, "        ")


def recorded(model: nn.Module, shape: tuple[int, ...], *, by_make: bool = True) -> Any:
    """The recording of a network, whose make is known if it can be and should be; or its error."""
    try:
        make = MAKES.of(model, training=False) if by_make else None
    except OpenCodeError:
        make = None
    try:
        return record(model, (torch.empty(*shape, device="meta"),), "inference", operators=REGISTRY, make=make)
    except ProfilerError as error:
        return f"{type(error).__name__}: {error}"


CASES: dict[str, Blocks] = {
    "residual": Blocks("return x + self.linear(x)"),
    "in place": Blocks("y = self.linear(x)\ny += x\nreturn y.relu_()"),
    "in place arg": Blocks("return x.relu_()"),
    "in place arg other result": Blocks("x.relu_()\nreturn x * 2"),
    "returns input": Blocks("self.linear(x)\nreturn x"),
    "transposed": Blocks("return self.linear(x).t()", net="for b in self.blocks: x = b(x).t()\nreturn x"),
    "view of input": Blocks("return x.view(-1, 4)"),
    "expanded": Blocks("return self.linear(x).sum(0, keepdim=True).expand(2, 4)"),
    "tuple": Blocks("return (self.linear(x), None)", net="for b in self.blocks: x, _ = b(x)\nreturn x"),
    "tuple two": Blocks("return self.linear(x), x", net="for b in self.blocks: x, _ = b(x)\nreturn x"),
    "none": Blocks("x.add_(1)\nreturn None", net="for b in self.blocks: b(x)\nreturn x"),
    "twice": Blocks("return x + self.linear(x)", net="for b in self.blocks: x = b(b(x))\nreturn x"),
    "other sizes": Blocks("return x + self.linear(x)", net="for b in self.blocks: x = b(x) + b(x[:1])\nreturn x"),
    "buffer in place": Blocks("self.n.add_(1)\nreturn x + self.n", init="self.register_buffer('n', torch.zeros(4))"),
    "buffer from x": Blocks(
        "self.n.copy_(x[0])\nreturn x + self.n",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.register_buffer('n', torch.zeros(4))",
    ),
    "parent writes buffer": Blocks(
        "return x + self.n",
        net="for b in self.blocks:\n  x = b(x)\n  b.n.copy_(x[0])\n  x = b(x)\nreturn x",
        init="self.register_buffer('n', torch.zeros(4))",
    ),
    "list": Blocks(
        "self.l.append(1)\nreturn times(x, len(self.l))",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.l = []",
    ),
    "parent list": Blocks(
        "return times(x, len(self.l))",
        net="for b in self.blocks:\n  x = b(x)\n  b.l.append(1)\n  x = b(x)\nreturn x",
        init="self.l = []",
    ),
    "shared list": Blocks("self.l.append(1)\nreturn times(x, len(self.l))", init="self.l = L", outside="L = []"),
    "arg list": Blocks(
        "more[0].append(x)\nreturn self.linear(x)",
        net="l = []\nfor b in self.blocks: x = b(x, l)\nreturn times(x, len(l))",
    ),
    "arg list from constant": Blocks(
        "more[0].append(1)\nreturn self.linear(x)",
        net="for b in self.blocks:\n  l = [2]\n  x = times(b(x, l), len(l))\nreturn x",
    ),
    "list or tuple": Blocks(
        "return times(x, 1 + isinstance(more[0], tuple))", net="for b in self.blocks: x = b(b(x, [x]), (x,))\nreturn x"
    ),
    "is": Blocks(
        "return times(x, 1 + (x is more[0]))", net="for b in self.blocks: x = b(b(x, x), x.view_as(x))\nreturn x"
    ),
    "is three": Blocks(
        "return times(x, 1 + (more[1] is more[0]))",
        net="for b in self.blocks:\n  y = x.view_as(x)\n  x = b(b(x, y, y), y, x)\nreturn x",
    ),
    "is alias": Blocks(
        "return times(x, 1 + (x is more[0]))",
        net="for b in self.blocks:\n  y = x.view_as(x)\n  z = b(x, y)\n  x = z + b(x, x)\nreturn x",
    ),
    "kwargs": Blocks(
        "return times(x, kw.get('n', 1))", net="for i, b in enumerate(self.blocks): x = b(x, n=i % 2)\nreturn x"
    ),
    "bool int": Blocks(
        "return torch.full_like(x, kw['n']) + torch.full((2, 4), kw['n'], device='meta')",
        net="for b in self.blocks: x = b(b(x, n=1) * 1.0, n=True) * 1.0\nreturn x",
    ),
    "minus zero arg": Blocks(
        "return times(x, 1 + (math.copysign(1, kw['n']) < 0))",
        net="for b in self.blocks: x = b(b(x, n=0.0), n=-0.0)\nreturn x",
    ),
    "parameter arg type": Blocks(
        "return times(x, 1 + isinstance(x, nn.Parameter))",
        net="for b in self.blocks: x = b(b(x), )\nreturn b(nn.Parameter(x))",
    ),
    "copy weight": Blocks(
        "return x.copy_(self.linear.weight[:2])",
        net="for b in self.blocks:\n  y = x * 2\n  x = x + F.linear(b(y), self.other.weight)\nreturn x",
    ),
    "empty": Blocks("y = torch.empty_like(x)\ny.copy_(x)\nreturn y"),
    "empty returned": Blocks("return torch.empty_like(x)", net="for b in self.blocks: x = x + b(x)\nreturn x"),
    "ones": Blocks("return torch.ones_like(x)", net="for b in self.blocks: x = x + b(x)\nreturn x"),
    "zeros returned": Blocks(
        "return torch.zeros(2, 4, device='meta')",
        net="for b in self.blocks: x = x + F.linear(b(x), self.other.weight)\nreturn x",
    ),
    "arange mask": Blocks("m = torch.arange(4) < 2\nreturn x.masked_fill(m, 0.0)"),
    "mask decides": Blocks("m = torch.arange(4) < 2\nreturn times(x, int(m.sum()))"),
    "weight returned": Blocks("return self.linear.weight", net="for b in self.blocks: x = F.linear(x, b(x))\nreturn x"),
    "weight computed": Blocks(
        "return self.linear.weight * 2", net="for b in self.blocks: x = F.linear(x, b(x))\nreturn x"
    ),
    "weight arg": Blocks("return more[0] * x", net="for b in self.blocks: x = b(x, self.other.weight[0])\nreturn x"),
    "weight arg computed": Blocks(
        "return F.linear(x, more[0])", net="w = self.other.weight * 2\nfor b in self.blocks: x = b(x, w)\nreturn x"
    ),
    "weight arg computed and plain": Blocks(
        "return F.linear(x, more[0])",
        net="w = self.other.weight * 2\nfor b in self.blocks: x = b(b(x, w), x.t() @ x)\nreturn x",
    ),
    "padded arg": Blocks(
        "return self.c(x)",
        net="for b in self.blocks:\n  x = F.pad(b(F.pad(x, (1, 1, 1, 1))), (0,0,0,0)) + b(torch.cat([x, x], 2).repeat(1,1,1,2)[:, :, :10, :10] * 1)\nreturn x",
        init="self.c = nn.Conv2d(4, 4, 3)\nself.d = nn.Conv2d(4, 4, 3)",
        shape=(1, 4, 8, 8),
    ),
    "padding inside": Blocks(
        "return self.c(F.pad(x, (1, 1, 1, 1)))", init="self.c = nn.Conv2d(4, 4, 3)", shape=(1, 4, 8, 8)
    ),
    "returns padded": Blocks(
        "return F.pad(x[..., 1:-1, 1:-1], (1, 1, 1, 1))",
        net="for b in self.blocks: x = self.c(b(x))\nreturn x",
        net_init="self.c = nn.Conv2d(4, 4, 3, padding=1)",
        shape=(1, 4, 8, 8),
    ),
    "pads arg in place": Blocks(
        "x[..., 0] = 0\nreturn x",
        net="for b in self.blocks: x = self.c(b(x))\nreturn x",
        net_init="self.c = nn.Conv2d(4, 4, 3, padding=1)",
        shape=(1, 4, 8, 8),
    ),
    "unsqueeze_ by parent": Blocks(
        "return x + self.n",
        net="for b in self.blocks:\n  x = b(x)\n  b.n.unsqueeze_(0)\n  x = b(x)\nreturn x",
        init="self.register_buffer('n', torch.zeros(4))",
    ),
    "t_ by block": Blocks(
        "self.linear.weight.t_()\nreturn self.linear(x)", net="for b in self.blocks: x = b(b(x))\nreturn x"
    ),
    "unsqueeze_ arg": Blocks("return x.unsqueeze_(0)", net="for b in self.blocks: x = b(x + 1)\nreturn x"),
    "half by block": Blocks(
        "self.n2 if False else self.e.half()\nreturn x + self.e.n",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.e = E()",
        outside="class E(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.register_buffer('n', torch.zeros(4))",
    ),
    "double by parent": Blocks(
        "return x + self.n",
        net="for b in self.blocks:\n  x = b(x.float())\n  b.double()\n  x = b(x.float())\nreturn x",
        init="self.register_buffer('n', torch.zeros(4))",
    ),
    "weights half by block": Blocks(
        "self.linear.half()\nreturn self.linear(x.half()).float()", net="for b in self.blocks: x = b(b(x))\nreturn x"
    ),
    "to in block": Blocks(
        "self.to(torch.float64)\nreturn self.linear(x.double()).float()",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
    ),
    "without gradient in block": Blocks(
        "self.linear.weight.requires_grad_(False)\nreturn self.linear(x)",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
    ),
    "module without gradient in block": Blocks(
        "self.linear.requires_grad_(False)\nreturn self.linear(x)", net="for b in self.blocks: x = b(b(x))\nreturn x"
    ),
    "weights half in the network": Blocks(
        "return self.linear(x)",
        net="for b in self.blocks: x = b(x)\nself.blocks[1].half()\nreturn x",
    ),
    "sequence rotated": Blocks(
        "self.s.append(self.s.pop(0))\nreturn self.s(x)",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.s = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh())",
    ),
    "sequence changed by parent": Blocks(
        "return self.s(x)",
        net="for b in self.blocks:\n  x = b(x)\n  b.s[0] = b.s[1]\n  x = b(x)\nreturn x",
        init="self.s = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh())",
    ),
    "sequence item deleted": Blocks(
        "return self.s(x)",
        net="for b in self.blocks:\n  x = b(x)\n  del b.s[0]\n  x = b(x)\nreturn x",
        init="self.s = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh())",
    ),
    "sequence gets new": Blocks(
        "return self.s(x)",
        net="for b in self.blocks:\n  x = b(x)\n  b.s[0] = nn.Tanh()\n  x = b(x)\nreturn x",
        init="self.s = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh())",
    ),
    "module dict": Blocks(
        "return self.d['a'](x)",
        net="for b in self.blocks:\n  x = b(x)\n  b.d['a'] = b.d['b']\n  x = b(x)\nreturn x",
        init="self.d = nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Tanh()})",
    ),
    "parameter list": Blocks(
        "return x * self.p[0]",
        net="for b in self.blocks:\n  x = b(x)\n  b.p[0] = b.p[1]\n  x = b(x)\nreturn x",
        init="self.p = nn.ParameterList([nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(2, 4))])",
    ),
    "parameter dict": Blocks(
        "return x * self.p['a']",
        net="for b in self.blocks:\n  x = b(x)\n  b.p['a'] = b.p['b']\n  x = b(x)\nreturn x",
        init="self.p = nn.ParameterDict({'a': nn.Parameter(torch.zeros(4)), 'b': nn.Parameter(torch.zeros(2, 4))})",
    ),
    "parameter list append": Blocks(
        "self.p.append(nn.Parameter(torch.zeros(4, device='meta')))\nreturn times(x, len(self.p))",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.p = nn.ParameterList([nn.Parameter(torch.zeros(4))])",
    ),
    "module list append": Blocks(
        "self.p.append(nn.ReLU())\nreturn times(x, len(self.p))",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.p = nn.ModuleList([nn.ReLU()])",
    ),
    "parameter result": Blocks(
        "return nn.Parameter(x * 2)",
        net="for b in self.blocks:\n  x = b(x)\n  x = times(x, 1 + x.requires_grad)\nreturn x",
    ),
    "inference result": Blocks(
        "with torch.inference_mode(): y = x * 2\nreturn y", net="for b in self.blocks:\n  x = b(x)\n  x += 1\nreturn x"
    ),
    "enable grad result": Blocks(
        "with torch.enable_grad(): y = self.linear(x)\nreturn y",
        net="for b in self.blocks:\n  x = b(x)\n  x = times(x, 1 + x.requires_grad)\nreturn x",
    ),
    "no grad": Blocks("with torch.no_grad(): y = self.linear(x)\nreturn y"),
    "conj result": Blocks(
        "return torch.complex(x, x).conj()",
        net="for b in self.blocks: x = torch.view_as_real(b(x).resolve_conj()).sum(-1)\nreturn x",
    ),
    "neg result": Blocks("return torch.complex(x, x).conj().imag", net="for b in self.blocks: x = b(x) * 2\nreturn x"),
    "complex result": Blocks("return torch.complex(x, x)", net="for b in self.blocks: x = b(x).abs()\nreturn x"),
    "under no_grad": Blocks(
        "return self.linear(x)", net="for b in self.blocks:\n  with torch.no_grad(): x = b(x)\n  x = b(x)\nreturn x"
    ),
    "under inference": Blocks(
        "return self.linear(x)",
        net="for b in self.blocks:\n  with torch.inference_mode(): y = b(x)\n  x = b(x) + y\nreturn x",
    ),
    "under grad": Blocks(
        "return self.linear(x)",
        net="for b in self.blocks:\n  with torch.enable_grad(): y = b(x)\n  x = b(x) + y\nreturn x",
    ),
    "random": Blocks("return x + torch.rand_like(x)"),
    "dropout made": Blocks("return F.dropout(x, 0.5, True)"),
    "nested": Blocks(
        "return self.n(self.linear(x))",
        init="self.n = nn.Sequential(Inner(), Inner())",
        outside="class Inner(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.l = nn.Linear(4, 4)\n  def forward(self, x): return x + self.l(x)",
    ),
    "inner raises": Blocks(
        "try: return self.n(x)\nexcept RuntimeError: return self.linear(x)", init="self.n = nn.Linear(5, 4)"
    ),
    "depends on version": Blocks(
        "return times(x, 1 + x._version)", net="for b in self.blocks:\n  x = b(x)\n  x += 1\n  x = b(x)\nreturn x"
    ),
    "base": Blocks(
        "return times(x, 1 + (x._base is None))",
        net="for b in self.blocks:\n  x = b(x)\n  x = b(x.view(2, 4))\nreturn x",
    ),
    "storage size": Blocks(
        "return times(x, 1 + x.untyped_storage().nbytes() // 64)",
        net="for b in self.blocks:\n  x = b(x)\n  x = b(torch.cat([x, x])[:2])\nreturn x",
    ),
    "as strided": Blocks(
        "return x.as_strided((4, 4), (4, 1))[:2] + 1",
        net="for b in self.blocks:\n  x = torch.cat([x, x])[:2]\n  x = b(x)\nreturn x",
    ),
    "views of one": Blocks(
        "x.add_(more[0])\nreturn x",
        net="for b in self.blocks:\n  y = torch.cat([x, x], 1)\n  x = b(y[:, :4], y[:, 4:]) + b(x + 1, y[:, 4:])\nreturn x",
    ),
    "training flag": Blocks("return times(x, 1 + self.training)"),
    "children": Blocks("return times(x, len(list(self.children())))"),
    "object attribute": Blocks(
        "self.o.n.append(1)\nreturn times(x, len(self.o.n))",
        net="for b in self.blocks: x = b(b(x))\nreturn x",
        init="self.o = O()",
        outside="class O:\n  def __init__(self): self.n = []",
    ),
    "two results dict": Blocks("return {'x': self.linear(x)}", net="for b in self.blocks: x = b(x)['x']\nreturn x"),
    "different sizes of blocks": Blocks(
        "return x + self.linear(x)",
        init="self.k = nn.Linear(4, K())",
        outside="IT = itertools.cycle([3, 5])\ndef K(): return next(IT)",
    ),
    "random branch": Blocks(
        "if torch.rand(()) < 0.5: return x + 1\nreturn self.linear(x)",
        net="for b in self.blocks: x = b(b(b(x)))\nreturn x",
    ),
    "batch norm": Blocks("return self.b(x)", init="self.b = nn.BatchNorm1d(4)"),
    "lstm": Blocks("return self.r(x[None])[0][0]", init="self.r = nn.LSTM(4, 4)"),
    "mha": Blocks("return self.a(x, x, x, need_weights=False)[0]", init="self.a = nn.MultiheadAttention(4, 2)"),
    "mha alias": Blocks(
        "return self.a(x, x.view_as(x), x, need_weights=False)[0]", init="self.a = nn.MultiheadAttention(4, 2)"
    ),
    "mha args": Blocks(
        "return self.a(x, more[0], more[0], need_weights=False)[0]",
        net="for b in self.blocks: x = b(b(x, x), x.view_as(x))\nreturn x",
        init="self.a = nn.MultiheadAttention(4, 2)",
    ),
    "positions": Blocks(
        "return self.linear(x) + more[0]",
        net="p = torch.arange(4, device=x.device)\nfor b in self.blocks: x = b(x, p)\nreturn x",
    ),
    "positions that differ": Blocks(
        "return times(x, int(more[0].sum()))",
        net="for i, b in enumerate(self.blocks): x = b(x, torch.arange(2 + i % 2, device=x.device))\nreturn x",
    ),
    "equal shapes other values": Blocks(
        "return times(x, int(more[0].sum()))",
        net="for i, b in enumerate(self.blocks): x = b(x, torch.full((2,), 1 + i % 2, device=x.device))\nreturn x",
    ),
    "values in a list": Blocks(
        "return times(x, more[0].tolist()[-1])",
        net="for i, b in enumerate(self.blocks): x = b(x, torch.full((2,), 1 + i % 2, device=x.device))\nreturn x",
    ),
    "values change in place": Blocks(
        "return times(x, int(more[0].sum()))",
        net="p = torch.arange(3, device=x.device)\nfor b in self.blocks:\n  x = b(x, p)\n  p.add_(1)\nreturn x",
    ),
    "values change in the block": Blocks(
        "y = times(x, int(more[0].sum()))\nmore[0].add_(1)\nreturn y",
        net="p = torch.arange(3, device=x.device)\nfor b in self.blocks: x = b(x, p)\nreturn x + p.sum()",
    ),
    "values of a view": Blocks(
        "return times(x, int(more[0].sum()))",
        net="p = torch.arange(4, device=x.device)\nfor i, b in enumerate(self.blocks): x = b(x, p[i % 2 :][:2])\nreturn x",
    ),
    "values become data": Blocks(
        "more[0].copy_(x)\nreturn x * 2",
        net="p = torch.zeros(2, 4, device=x.device)\nfor b in self.blocks: x = b(x, p) + F.linear(p, self.other.weight)\nreturn x",
    ),
    "values returned": Blocks(
        "return more[0]", net="p = torch.arange(4.0, device=x.device)\nfor b in self.blocks: x = x + b(x, p)\nreturn x"
    ),
    "values returned in place": Blocks(
        "return more[0].mul_(2)",
        net="p = torch.arange(4.0, device=x.device)\nfor b in self.blocks: x = times(x + b(x, p), int(p[1]))\nreturn x",
    ),
    "values in place with data": Blocks(
        "return more[0].add_(x)",
        net="for b in self.blocks:\n  p = torch.zeros(2, 4, device=x.device)\n  x = F.linear(b(x, p), self.other.weight) + p\nreturn x",
    ),
    "view with data": Blocks(
        "return x + more[0].expand_as(x)",
        net="p = torch.arange(4.0, device=x.device)\nw = self.other.weight[0]\nfor b in self.blocks: x = b(x, p) + (p * w)\nreturn x",
    ),
    "mask of positions": Blocks(
        "return x + x[:, more[0]].sum()",
        net="m = torch.arange(4, device=x.device) < 2\nfor b in self.blocks: x = b(x, m)\nreturn x",
    ),
    "positions as index": Blocks(
        "return x + x[:, more[0]].sum()",
        net="for i, b in enumerate(self.blocks): x = b(x, torch.arange(2, device=x.device) + i % 2)\nreturn x",
    ),
    "angles": Blocks(
        "return self.linear(x) * more[0] + more[1]",
        net="f = torch.arange(2.0, device=x.device) * self.rate\nf = torch.cat((f, f), -1)\nfor b in self.blocks: x = b(x, f.cos(), f.sin())\nreturn x",
        net_init="self.register_buffer('rate', torch.ones(2))",
    ),
    "angles and weights": Blocks(
        "return F.linear(x, more[0] * self.linear.weight)",
        net="f = torch.arange(4.0, device=x.device) * self.rate\nfor b in self.blocks: x = b(b(x, f), x[0])\nreturn x",
        net_init="self.register_buffer('rate', torch.ones(4))",
    ),
    "padded or not": Blocks(
        "return self.c(more[0])[..., :8, :8]",
        net="for b in self.blocks:\n  x = b(x, F.pad(x, (1, 1, 1, 1)))\n  x = b(x, torch.cat([x, x, x], 2)[:, :, :10].repeat(1, 1, 1, 2)[..., :10])\nreturn x",
        init="self.c = nn.Conv2d(4, 4, 3)",
        shape=(1, 4, 8, 8),
    ),
    "padding returned": Blocks(
        "return x * 2",
        net="for b in self.blocks: x = self.c(b(F.pad(x, (1, 1, 1, 1))))\nreturn x",
        net_init="self.c = nn.Conv2d(4, 4, 3)",
        shape=(1, 4, 8, 8),
    ),
    "padding changed": Blocks(
        "x.add_(1)\nreturn x.sum()",
        net="for b in self.blocks:\n  y = F.pad(x, (1, 1, 1, 1))\n  x = self.c(y) + b(y) + self.c(y)\nreturn x",
        net_init="self.c = nn.Conv2d(4, 4, 3)",
        shape=(1, 4, 8, 8),
    ),
    "tied to the outside": Blocks(
        "return self.linear(x)",
        net="x = self.other(x)\nfor b in self.blocks: x = b(x)\nreturn self.other(x)",
        net_init="self.blocks[2].linear.weight = self.other.weight\nself.blocks[0].linear.weight = self.other.weight",
    ),
    "tied to each other": Blocks(
        "return self.linear(x) + F.linear(x, self.linear.weight)",
        net_init="for b in self.blocks[1:]: b.linear.weight = self.blocks[0].linear.weight",
    ),
    "tied inside": Blocks(
        "return self.second(self.linear(x)) * self.second.weight[0]",
        init="self.second = nn.Linear(4, 4)\nself.second.weight = self.linear.weight",
    ),
    "tied inside some": Blocks(
        "return self.third(self.second(self.linear(x))) + torch.stack((self.second.weight, self.linear.weight)).sum(0)[:2]",
        init="self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4)",
        net_init="for b in self.blocks[:2]: b.second.weight = b.linear.weight\nself.blocks[3].third.weight = self.blocks[3].second.weight",
    ),
    "tied under two names": Blocks(
        "return F.linear(self.linear(x), self.again) + self.linear.again.mean()",
        init="self.again = self.linear.again = self.linear.weight",
    ),
    "tied buffers": Blocks(
        "y = x + self.n\nself.n.copy_(x[0])\nreturn y",
        init="self.register_buffer('n', torch.zeros(4))",
        net_init="self.blocks[3].n = self.blocks[0].n",
    ),
    "views that are tied": Blocks(
        "return F.linear(x, self.part) + F.linear(x, self.linear.weight)",
        init="self.part = nn.Parameter(self.linear.weight.detach()[:4])",
    ),
    "argument without a key": Blocks(
        "y = self.linear(x)\nmore[0][len(more[0])] = y\nreturn self.part(y)",
        net="d = {}\nfor b in self.blocks: x = b(x, d)\nreturn times(x, len(d))",
        init="self.part = nn.Sequential(nn.Linear(4, 4), nn.ReLU())",
    ),
    "activation without a key": Blocks(
        "y = self.act(x)\nmore[0][len(more[0])] = y\nreturn self.linear(y)",
        net="d = {}\nfor b in self.blocks: x = b(x, d)\nreturn times(x, len(d))",
        init="self.act = nn.ReLU()",
    ),
    "argument without a key at times": Blocks(
        "return self.part(x, *more)",
        net="d = {}\nx = self.blocks[0](x, d)\nfor b in self.blocks: x = b(b(x, 1), d)\nreturn x",
        init="self.part = Part()",
        outside="class Part(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.linear = nn.Linear(4, 4)\n    def forward(self, x, y): return F.relu(self.linear(x) + (1 if y else 2))",
    ),
    "zeros as argument": Blocks(
        "return self.c(torch.cat([more[0], x, more[0]], 3))[..., :8]",
        net="z = torch.zeros(1, 4, 8, 2, device=x.device)\nfor b in self.blocks: x = F.pad(b(b(x, z), x[..., :2]), (0, 0, 1, 1))\nreturn x",
        init="self.c = nn.Conv2d(4, 4, 3)",
        shape=(1, 4, 8, 8),
    ),
}
"""Blocks that do what may make an answer wrong."""


@pytest.mark.parametrize("name", CASES)
def test_blocks_are_recorded_as_if_they_ran(name: str) -> None:
    """Three recordings are what they are without memo and make, also after one of another network with equal blocks."""
    case = CASES[name]
    first, other = case.networks()
    with memo.without_memo():
        expected = {id(model): recorded(model, case.shape, by_make=False) for model in (first, other)}
    assert "NeedsDataError" not in str(expected[id(first)])[:20]
    for order in ((first, first, first), (other, first, other)):
        memo.clear()
        for model in order:
            assert recorded(model, case.shape) == expected[id(model)]


ANSWERED = (
    "residual",
    "in place",
    "in place arg",
    "twice",
    "tuple",
    "nested",
    "kwargs",
    "batch norm",
    "padding inside",
    "returns input",
    "positions",
    "angles",
    "padded or not",
    "tied to the outside",
    "tied to each other",
    "tied inside",
    "tied inside some",
    "tied under two names",
)
"""Blocks whose calls are answered even in the first run."""


@pytest.mark.parametrize("name", ANSWERED)
def test_plain_blocks_are_answered(name: str, answered: list[str]) -> None:
    """Equal blocks run once."""
    case = CASES[name]
    model, _ = case.networks()
    recorded(model, case.shape)
    assert "Block" in answered


@pytest.mark.parametrize(
    ("name", "answers", "runs"),
    [("argument without a key", "Sequential", "Block"), ("activation without a key", "Linear", "ReLU")],
)
def test_parts_of_a_block_that_has_to_run_are_answered(name: str, answers: str, runs: str, answered: list[str]) -> None:
    """A block that is given a dictionary has no key; the modules in it have one.  An activation takes no longer to run."""
    case = CASES[name]
    model, _ = case.networks()
    recorded(model, case.shape)
    assert answers in answered
    assert runs not in answered
