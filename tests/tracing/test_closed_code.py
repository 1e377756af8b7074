# ruff: noqa: E501
"""Code whose work depends on more than is known is run each time; code of which all is known is not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

from profiler.tracing import memo
from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.makes import MAKES
from tests.tracing.hostile import Case, outcome, same_with_and_without, written


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts with an empty memo."""
    memo.clear()
    yield
    memo.clear()


READS: dict[str, Case] = {
    "global rebound": Case("return times(x, N)", "N = 3", outside="N = 2"),
    "int to float": Case("return torch.full((2, 4), N)", "N = 2.0", outside="N = 2"),
    "global list": Case("return times(x, len(L))", "L.append(1)", outside="L = [1]"),
    "global dict": Case("return times(x, D['n'])", "D['n'] = 3", outside="D = {'n': 2}"),
    "global object": Case("return times(x, O.n)", "O.n = 3", outside="class Cfg: n = 2\nO = Cfg()"),
    "SimpleNamespace": Case("return times(x, O.n)", "O.n = 3", outside="O = types.SimpleNamespace(n=2)"),
    "class as config": Case("return times(x, Cfg.n)", "Cfg.n = 3", outside="class Cfg: n = 2"),
    "class as config, list": Case("return times(x, len(Cfg.n))", "Cfg.n.append(3)", outside="class Cfg: n = [2]"),
    "class attr": Case("return times(x, self.n)", "Net.n = 3", members="n = 2"),
    "class attr int to float": Case("return torch.full((2, 4), self.n)", "Net.n = 2.0", members="n = 2"),
    "class attr int to bool": Case("return torch.full((2, 4), self.n)", "Net.n = True", members="n = 1"),
    "function attribute": Case("return times(x, helper.n)", "helper.n = 3", outside="def helper(): pass\nhelper.n = 2"),
    "own function attribute": Case("return times(x, Net.forward.n)", "Net.forward.n = 3", init="Net.forward.n = 2"),
    "partial attribute": Case("return times(x, P.n)", "P.n = 3", outside="P = functools.partial(times)\nP.n = 2"),
    "default mutable": Case(
        "return times(x, helper())", "helper.__defaults__[0].append(3)", outside="def helper(a=[1]): return len(a)"
    ),
    "kwdefault": Case(
        "return times(x, helper())", "helper.__kwdefaults__['a'] = 3", outside="def helper(*, a=1): return a"
    ),
    "defaults": Case("return times(x, helper())", "helper.__defaults__ = (3,)", outside="def helper(a=1): return a"),
    "code replaced": Case(
        "return times(x, helper())", "helper.__code__ = (lambda a=1: 3).__code__", outside="def helper(a=1): return a"
    ),
    "doc": Case("return times(x, len(helper.__doc__))", "helper.__doc__ = 'abc'", outside="def helper(a=1): 'a'"),
    "name of function": Case(
        "return times(x, len(helper.__name__))", "helper.__name__ = 'abc'", outside="def helper(a=1): 'a'"
    ),
    "annotations": Case(
        "return times(x, helper.__annotations__['n'])",
        "helper.__annotations__['n'] = 3",
        outside="def helper(): 'a'\nhelper.__annotations__['n'] = 2",
    ),
    "annotations counter": Case(
        "A = helper.__annotations__\nA['n'] = A.get('n', 0) + 1\nreturn times(x, A['n'])", outside="def helper(): 'a'"
    ),
    "class renamed": Case("return times(x, len(self.__class__.__name__))", "Net.__name__ = 'Other'"),
    "class renamed for the table": Case("return x + 1", "Net.__name__ = 'Other'"),
    "class renamed type": Case("return times(x, len(type(self).__name__))", "Net.__name__ = 'Other'"),
    "bases": Case(
        "return times(x, B.n)", "B.__bases__ = (A2,)", outside="class A1: n = 1\nclass A2: n = 2\nclass B(A1): pass"
    ),
    "closure cell": Case(
        "return times(x, helper())",
        "bump()",
        outside="def make():\n  n = 2\n  def get(): return n\n  def bump():\n    nonlocal n\n    n += 1\n  return get, bump\nhelper, bump = make()",
    ),
    "closure int to float": Case(
        "return torch.full((2, 4), helper())",
        "bump()",
        outside="def make():\n  n = 2\n  def get(): return n\n  def bump():\n    nonlocal n\n    n = 2.0\n  return get, bump\nhelper, bump = make()",
    ),
    "nonlocal in forward": Case(
        "return times(x, helper())",
        outside="def make():\n  n = 2\n  def get():\n    nonlocal n\n    n += 1\n    return n\n  return get\nhelper = make()",
    ),
    "global counter": Case("global N\nN += 1\nreturn times(x, N)", outside="N = 0"),
    "class counter": Case("Net.n += 1\nreturn times(x, self.n)", members="n = 0"),
    "class list counter": Case("self.n[0] += 1\nreturn times(x, self.n[0])", members="n = [0]"),
    "type self counter": Case("type(self).n += 1\nreturn times(x, self.n)", members="n = 0"),
    "property": Case("return times(x, self.p)", "N = 3", outside="N = 2", members="@property\ndef p(self): return N"),
    "getattr computed": Case(
        "return times(x, getattr(self, 'p' + 'q'[:0] + K))",
        "N = 3",
        outside="N = 2\nK = ''",
        members="@property\ndef p(self): return N",
    ),
    "getattr alias": Case(
        "return times(x, get(self, 'p'))",
        "N = 3",
        outside="N = 2\nget = getattr",
        members="@property\ndef p(self): return N",
    ),
    "getattr as default": Case(
        "return times(x, self.get())",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N\ndef get(self, get=getattr): return get(self, 'p')",
    ),
    "getattr mapped": Case(
        "objs = (self, self)\nreturn times(x, sum(map(getattr, objs, 'pq')))",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N\n@property\ndef q(self): return N",
    ),
    "getattr attribute": Case(
        "return times(x, self.get(self, 'p'))",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N",
        init="self.get = getattr",
    ),
    "attrgetter imported": Case(
        "return times(x, attrgetter('p')(self))",
        "N = 3",
        outside="from operator import attrgetter\nN = 2",
        members="@property\ndef p(self): return N",
    ),
    "attrgetter imported inside": Case(
        "from operator import attrgetter\nreturn times(x, attrgetter('p')(self))",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N",
    ),
    "methodcaller imported": Case(
        "return times(x, methodcaller('p')(self))",
        "N = 3",
        outside="from operator import methodcaller\nN = 2",
        members="def p(self): return N",
    ),
    "attrgetter": Case(
        "return times(x, operator.attrgetter('p')(self))",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N",
    ),
    "format": Case(
        "return times(x, '{0.p}'.format(self))", "N = 3", outside="N = 2", members="@property\ndef p(self): return N"
    ),
    "match class": Case(
        "match self:\n  case nn.Module(p=n): pass\nreturn times(x, n)",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N",
    ),
    "match args": Case(
        "match self:\n  case Net(n): pass\nreturn times(x, n)",
        "N = 3",
        outside="N = 2",
        members="__match_args__ = ('p',)\n@property\ndef p(self): return N",
    ),
    "vars": Case("return times(x, vars(self)['n'])", "net.n = 3", init="self.n = 2"),
    "__dict__": Case("return times(x, self.__dict__['n'])", "net.n = 3", init="self.n = 2"),
    "globals": Case("return times(x, globals()['N'])", "N = 3", outside="N = 2"),
    "log level": Case(
        "return times(x, 1 + (LOG.level > 10))",
        "LOG.setLevel(5)",
        outside="LOG = logging.getLogger('breaker')\nLOG.setLevel(20)",
    ),
    "log level getLogger": Case(
        "return times(x, 1 + (logging.getLogger('breaker').level > 10))",
        "logging.getLogger('breaker').setLevel(5)",
        outside="logging.getLogger('breaker').setLevel(20)",
    ),
    "logger with own method": Case(
        "return times(x, LOG.info('two') or 2)",
        "LOG.info = lambda text: 3",
        outside="LOG = logging.Logger('breaker')",
    ),
    "logger of other class": Case(
        "return times(x, LOG.info('two'))",
        "N = 3",
        outside="N = 2\nclass Log(logging.Logger):\n  def info(self, text): return N\nLOG = Log('breaker')",
    ),
    "method of logger by name": Case(
        "write = LOG.info\nreturn times(x, write('two') or 2)",
        "LOG.__dict__['info'] = lambda text: 3",
        outside="LOG = logging.Logger('breaker')",
    ),
    "logger returned": Case(
        "return times(x, find().n)",
        "LOG.n = 3",
        outside="LOG = logging.Logger('breaker')\nLOG.n = 2\ndef find():\n  LOG.info('found')\n  return LOG",
    ),
    "log root": Case(
        "return times(x, 1 + (logging.root.level > 10))",
        "logging.root.setLevel(5)",
        outside="logging.root.setLevel(20)",
    ),
    "init rebound": Case(
        "return times(x, H().n)",
        "H.__init__ = other",
        outside="class H:\n  def __init__(self): self.n = 2\ndef other(self): self.n = 3",
    ),
    "logger attr": Case("return times(x, LOG.n)", "LOG.n = 3", outside="LOG = logging.getLogger('breaker')\nLOG.n = 2"),
    "lru tensor": Case(
        "return x + ones()", outside="@functools.lru_cache\ndef ones(): return torch.ones(4, device='meta') * 2"
    ),
    "lru cache mutable": Case(
        "s = state()\ns[0] += 1\nreturn times(x, s[0])", outside="@functools.lru_cache\ndef state(): return [0]"
    ),
    "lru cache attr": Case(
        "return times(x, f.n)", "f.n = 3", outside="@functools.lru_cache\ndef f(): return 0\nf.n = 2"
    ),
    "cached property": Case(
        "return times(x, self.p)", "N = 3", outside="N = 2", members="@functools.cached_property\ndef p(self): return N"
    ),
    "deque popleft attribute": Case(
        "return times(x, self.next())",
        outside="DQ = collections.deque([1, 2, 3, 4, 5, 6, 7, 8, 9]*9)",
        init="self.next = DQ.popleft",
    ),
    "ordereddict pop attribute": Case(
        "return times(x, self.pop('n', 1))", outside="OD = collections.OrderedDict(n=4)", init="self.pop = OD.pop"
    ),
    "list pop attribute": Case(
        "return times(x, self.next())", outside="DQ = [1, 2, 3, 4, 5, 6, 7, 8, 9]*9", init="self.next = DQ.pop"
    ),
    "count global": Case("return times(x, next(IT))", outside="IT = itertools.count()"),
    "singledispatch": Case(
        "return act(x)",
        "N = 3",
        outside="N = 2\n@functools.singledispatch\ndef act(x): return x\n@act.register(torch.Tensor)\ndef _(x): return times(x, N)",
    ),
    "singledispatch registered": Case(
        "return act(x)",
        "act.register(torch.Tensor, lambda x: x * 2)",
        outside="@functools.singledispatch\ndef act(x): return x + 1",
    ),
    "singledispatchmethod": Case(
        "return self.act(x)",
        "N = 3",
        outside="N = 2",
        members="@functools.singledispatchmethod\ndef act(self, x): return x\n@act.register\ndef _(self, x: torch.Tensor): return times(x, N)",
    ),
    "instance forward": Case("return self.linear(x)", "net.forward = lambda x: x * 2 * 3"),
    "instance layer forward": Case("return self.linear(x)", "net.linear.forward = lambda x: x * 2 * 3"),
    "class forward": Case("return self.linear(x)", "Net.forward = lambda self, x: x * 2 * 3"),
    "method replaced": Case(
        "return self.h(x)", "Net.h = lambda self, x: x * 2 * 3", members="def h(self, x): return x + 1"
    ),
    "class assigned": Case(
        "return x + 1",
        "net.__class__ = Other",
        outside="class Other(nn.Module):\n  def forward(self, x): return x * 2 * 3",
    ),
    "helper replaced": Case("return h(x)", "h = lambda x: x * 2 * 3", outside="def h(x): return x + 1"),
    "helper's helper replaced": Case(
        "return h(x)", "g = lambda x: x * 2 * 3", outside="def g(x): return x + 1\ndef h(x): return g(x)"
    ),
    "hook": Case("return self.linear(x)", "net.linear.register_forward_hook(lambda m, a, y: y * 2)"),
    "pre hook": Case("return self.linear(x)", "net.linear.register_forward_pre_hook(lambda m, a: (a[0] * 2,))"),
    "state dict": Case(
        "return times(x, len(self.state_dict()))", "net._register_state_dict_hook(lambda m, d, p, l: d.update(a=1))"
    ),
    "persistence": Case(
        "return times(x, len(self.state_dict()))",
        "net.register_buffer('b', torch.zeros(2), persistent=True)",
        init="self.register_buffer('b', torch.zeros(2), persistent=False)",
    ),
    "get_parameter": Case(
        "return x + self.get_parameter('p')",
        "N = 1",
        outside="N = 0",
        members="@property\ndef p(self): return [self.a, self.b][N]",
        init="self.a = nn.Parameter(torch.zeros(4))\nself.b = nn.Parameter(torch.zeros(2, 4))",
    ),
    "abc register": Case(
        "return times(x, 1 + isinstance(self, Mark))", "Mark.register(Net)", outside="class Mark(abc.ABC): pass"
    ),
    "class_getitem": Case(
        "return times(x, Mark[1])",
        "N = 3",
        outside="N = 2\nclass Mark:\n  @classmethod\n  def __class_getitem__(cls, C): return N",
    ),
    "class_getitem plain": Case(
        "return times(x, Mark[1])", "N = 3", outside="N = 2\nclass Mark:\n  def __class_getitem__(cls, C): return N"
    ),
    "init_subclass": Case(
        "return times(x, len(type('S', (Mark,), {}).items()))",
        "N = 3",
        outside="N = 2\nclass Mark:\n  def __init_subclass__(cls): cls.items = lambda: [0] * N",
    ),
    "del work": Case(
        "g = Mark()\ndel g\nreturn x + 1",
        "N = 3",
        outside="N = 2\nclass Mark:\n  def __del__(self): times(torch.ones(3, device='meta'), N)",
    ),
    "hash": Case(
        "return times(x, {self.o: 2}.get(self.p, 1))",
        "N = 3",
        outside="N = 2\nclass O1:\n  def __init__(self, n): self.n = n\n  def __hash__(self): return self.n % N\n  def __eq__(self, o): return True",
        init="self.o = O1(2)\nself.p = O1(4)",
    ),
    "deepcopy of object": Case(
        "return times(x, self.o.n)",
        "N = 3",
        outside="N = 2\nclass O1:\n  def __init__(self, n): self.n = n\n  def __deepcopy__(self, memo): return O1(N)",
        init="self.o = O1(5)",
    ),
    "getstate of object": Case(
        "return times(x, self.o.n)",
        "N = 3",
        outside="N = 2\nclass O1:\n  def __init__(self, n): self.n = n\n  def __getstate__(self): return {'n': N}",
        init="self.o = O1(5)",
    ),
    "copy in forward": Case(
        "return times(x, copy.copy(O1(1)).n)",
        "N = 3",
        outside="N = 2\nclass O1:\n  def __init__(self, n): self.n = n\n  def __copy__(self): return O1(N)",
    ),
    "reduce in forward": Case(
        "return times(x, copy.copy(O1(1)).n)",
        "N = 3",
        outside="N = 2\nclass O1:\n  def __init__(self, n): self.n = n\n  def __reduce__(self): return O1, (N,)",
    ),
    "namedtuple class attr": Case(
        "return times(x, self.o.n)",
        "P.n = 3",
        outside="P = collections.namedtuple('P', 'a')\nP.n = 2",
        init="self.o = P(1)",
    ),
    "namedtuple class": Case(
        "return times(x, P.n)", "P.n = 3", outside="P = collections.namedtuple('P', 'a')\nP.n = 2"
    ),
    "new_class": Case(
        "return times(x, O().n())",
        "N = 3",
        outside="N = 2\nO = types.new_class('O', (), {}, lambda ns: ns.update(n=lambda self: N))",
    ),
    "ABCMeta class": Case(
        "return times(x, O().n())", "N = 3", outside="N = 2\nO = abc.ABCMeta('O', (), {'n': lambda self: N})"
    ),
    "class of spoofed module": Case(
        "return times(x, O().n())", "N = 3", outside="N = 2\nclass O:\n  __module__ = 'math'\n  def n(self): return N"
    ),
    "class of torch's module": Case(
        "return times(x, O().n())", "N = 3", outside="N = 2\nclass O:\n  __module__ = 'torch'\n  def n(self): return N"
    ),
    "DynamicClassAttribute": Case(
        "return times(x, self.p)",
        "N = 3",
        outside="N = 2",
        members="@types.DynamicClassAttribute\ndef p(self): return N",
    ),
    "descriptor": Case(
        "return times(x, self.p)",
        "N = 3",
        outside="N = 2\nclass D:\n  def __get__(self, o, k): return N",
        members="p = D()",
    ),
    "enum attr": Case("return times(x, E.A.n)", "E.A.n = 3", outside="class E(enum.Enum):\n  A = 1\nE.A.n = 2"),
    "enum value": Case("return times(x, E.A.value)", "E.A._value_ = 3", outside="class E(enum.Enum):\n  A = 1"),
    "enum held": Case(
        "return times(x, self.e.n)", "E.A.n = 3", outside="class E(enum.Enum):\n  A = 1\nE.A.n = 2", init="self.e = E.A"
    ),
    "dataclass default factory": Case(
        "return times(x, len(O().v))",
        "N = [1, 2]",
        outside="N = [1]\n@dataclasses.dataclass\nclass O:\n  v: list = dataclasses.field(default_factory=lambda: N)",
    ),
    "dataclass": Case(
        "return times(x, O().v)",
        "O.v = 3; O.__init__.__defaults__ = (3,)",
        outside="@dataclasses.dataclass\nclass O:\n  v: int = 2",
    ),
    "generator": Case("return times(x, next(G))", outside="def g():\n  yield from range(100)\nG = g()"),
    "context manager": Case(
        "with ctx() as n: return times(x, n)", "N = 3", outside="N = 2\n@contextlib.contextmanager\ndef ctx(): yield N"
    ),
    "context class": Case(
        "with ctx() as n: return times(x, n)",
        "N = 3",
        outside="N = 2\nclass ctx:\n  def __enter__(self): return N\n  def __exit__(self, *a): pass",
    ),
    "getitem": Case(
        "return times(x, self.o[0])",
        "N = 3",
        outside="N = 2\nclass O:\n  def __getitem__(self, i): return N",
        init="self.o = O()",
    ),
    "decorator": Case(
        "return h(x)",
        "N = 3",
        outside="N = 2\ndef deco(f):\n  @functools.wraps(f)\n  def inner(x): return times(f(x), N)\n  return inner\n@deco\ndef h(x): return x",
    ),
    "partial": Case(
        "return h(x)", "N = 3", outside="N = 2\ndef g(n, x): return times(x, N)\nh = functools.partial(g, 1)"
    ),
    "del nonlocal": Case(
        "return times(x, h())",
        outside="def make():\n  n = 2\n  def get():\n    nonlocal n\n    try:\n      m = n\n      del n\n    except NameError: m = 5\n    return m\n  return get\nh = make()",
    ),
    "minus zero": Case("return times(x, 1 + (math.copysign(1, self.z) < 0))", "net.z = -0.0", init="self.z = 0.0"),
    "minus zero tuple": Case(
        "return times(x, 1 + (math.copysign(1, self.z[0]) < 0))", "net.z = (-0.0,)", init="self.z = (0.0,)"
    ),
    "set order": Case(
        "for n in self.s: x = times(x, n).sum(0, keepdim=True)\nreturn x",
        "net.s = {8, 16}",
        init="self.s = set(); self.s.add(16); self.s.add(8)",
    ),
    "shared list": Case(
        "self.a.append(1)\nreturn times(x, len(self.b))", "net.b = [1]", init="self.a = [1]\nself.b = self.a"
    ),
    "shared list is": Case(
        "return times(x, 1 + (self.a is self.b))", "net.b = [1]", init="self.a = [1]\nself.b = self.a"
    ),
    "shared object": Case(
        "self.a.v.append(1)\nreturn times(x, len(self.b.v))",
        "net.b = O([1])",
        outside="class O:\n  def __init__(self, v): self.v = v",
        init="self.a = O([1])\nself.b = self.a",
    ),
    "requires grad": Case("return self.linear(x)", "net.linear.requires_grad_(False)"),
    "half": Case("return self.linear(x.to(self.linear.weight.dtype))", "net.half()"),
    "tied": Case(
        "return self.l2(self.linear(x))", "net.l2.weight = net.linear.weight", init="self.l2 = nn.Linear(4, 4)"
    ),
    "buffer alias": Case(
        "return x + self.a",
        "net.b = net.a",
        init="self.register_buffer('a', torch.zeros(4))\nself.register_buffer('b', torch.zeros(4))",
    ),
    "parametrized": Case(
        "return self.linear(x)",
        "import torch.nn.utils.parametrize as P; P.register_parametrization(net.linear, 'weight', Doubled())",
        outside="class Doubled(nn.Module):\n  def forward(self, x): return 2 * x",
    ),
    "weight norm": Case(
        "return self.linear(x)", "import torch.nn.utils.parametrizations as P; P.weight_norm(net.linear)"
    ),
    "isinstance list arg": Case(
        "return self.h([x])", "N = 3", outside="N = 2", members="def h(self, xs): return times(xs[0], N)"
    ),
}
"""Networks whose forwards read something outside, and what changes it, or that change it themselves."""

KEEPS: dict[str, Case] = {
    "class attr tensor replaced": Case("return x + 1", "Net.table = torch.ones(3)", members="table = torch.zeros(3)"),
    "self counter": Case("self.n += 1\nreturn times(x, self.n)", init="self.n = 0"),
    "self list counter": Case("self.n[0] += 1\nreturn times(x, self.n[0])", init="self.n = [0]"),
    "__getstate__ mutated": Case("s = self.linear.__getstate__()\ns['n'] = s.get('n', 0) + 1\nreturn times(x, s['n'])"),
    "super property": Case(
        "return times(x, super().q)",
        "N = 3",
        outside="N = 2\nclass B(nn.Module):\n  @property\n  def q(self): return N",
    ),
    "cached property of object": Case(
        "o = self.o.p\nreturn times(x, len(self.o.keys))",
        outside="class O1:\n  def __init__(self): self.keys = [1]\n  @functools.cached_property\n  def p(self): self.keys.append(1)",
        init="self.o = O1()",
    ),
    "iterator attribute": Case("return times(x, next(self.it))", init="self.it = iter([1, 2, 3, 4, 5, 6, 7, 8, 9]*9)"),
    "subclasshook": Case(
        "return times(x, 1 + isinstance(self, Mark))",
        "N = True",
        outside="N = False\nclass Mark(abc.ABC):\n  @classmethod\n  def __subclasshook__(cls, C): return N",
    ),
    "init_subclass count": Case(
        "type('S', (Mark,), {})\nreturn times(x, 1)",
        outside="N = [0]\nclass Mark:\n  def __init_subclass__(cls): N[0] += 1",
    ),
    "del": Case(
        "g = Mark()\ndel g\nreturn times(x, n())",
        outside="N = [0]\ndef n(): return 2\nclass Mark:\n  def __del__(self): N[0] += 1; n.__defaults__ = ()",
    ),
    "init on module": Case("self.__init__()\nreturn x + 1"),
    "init as function": Case(
        "__init__(self.linear, 2)\nreturn times(x, self.linear.n)",
        outside="def __init__(m, n): m.n = getattr(m, 'n', 0) + n",
    ),
    "fake init class": Case(
        "G(self.linear)\nreturn times(x, self.linear.n)",
        outside="class G:\n  def __init__(self, m):\n    self = m\n    self.n = getattr(m, 'n', 0) + 1",
    ),
    "list holds itself": Case("return x + 1", "net.l.append(1)", init="self.l = []\nself.l.append(self.l)"),
    "dict holds itself": Case("return x + 1", "net.l['n'] = 1", init="self.l = {}\nself.l['a'] = self.l"),
    "buffer decides": Case(
        "return times(x, 1 + bool(self.f))", "net.f.fill_(1)", init="self.register_buffer('f', torch.zeros(()))"
    ),
    "autocast": Case("with torch.autocast('cpu', torch.bfloat16): return self.linear(x)"),
    "set_grad_enabled": Case(
        "set_grad_enabled(True)\nreturn self.linear(x)", outside="from torch import set_grad_enabled"
    ),
    "set default dtype": Case(
        "set_default_dtype(torch.float64)\nreturn self.linear(x)", outside="from torch import set_default_dtype"
    ),
}
"""Networks whose forwards change or read what a profile does not show."""

NEVER: dict[str, Case] = {
    "f_builtins": Case(
        "try:\n  raise ValueError\nexcept ValueError as e:\n  b = e.__traceback__.tb_frame.f_builtins\nreturn times(x, 1 + b['__import__']('time').perf_counter_ns() % 7)"
    ),
    "__builtins__": Case(
        "return times(x, __builtins__['getattr'](self, 'p'))",
        "N = 3",
        outside="N = 2",
        members="@property\ndef p(self): return N",
    ),
    "import inside": Case("import time\nreturn times(x, 1 + time.perf_counter_ns() % 7)"),
    "import from inside": Case("from time import perf_counter_ns\nreturn times(x, 1 + perf_counter_ns() % 7)"),
    "random": Case("return times(x, random.randrange(9))"),
    "environ": Case("return times(x, int(os.environ.get('BREAK_N', '1')))", "os.environ['BREAK_N'] = '3'"),
    "datetime": Case("return times(x, 1 + datetime.datetime.now().microsecond % 7)"),
    "datetime from": Case(
        "return times(x, 1 + datetime.now().microsecond % 7)", outside="from datetime import datetime"
    ),
    "date": Case("return times(x, 1 + datetime.date.today().day % 7)"),
    "_random": Case("return times(x, 1 + 9 * _random.Random().random())", outside="import _random"),
    "Random": Case("return times(x, 1 + 9 * random.Random().random())"),
    "SystemRandom": Case("return times(x, 1 + 9 * random.SystemRandom().random())"),
    "generator seed": Case("return times(x, 1 + torch.Generator().seed() % 7)"),
    "count next attribute": Case("return times(x, self.it())", init="self.it = itertools.count().__next__"),
    "metaclass": Case(
        "return times(x, M.n)",
        "N = 3",
        outside="N = 2\nclass Meta(type):\n  @property\n  def n(cls): return N\nclass M(metaclass=Meta): pass",
    ),
    "metaclass instancecheck": Case(
        "return times(x, 1 + isinstance(x, M))",
        "N = 1",
        outside="N = 0\nclass Meta(type):\n  def __instancecheck__(cls, o): return N\nclass M(metaclass=Meta): pass",
    ),
    "contextvar": Case("return times(x, V.get())", "V.set(3)", outside="V = contextvars.ContextVar('v', default=2)"),
    "weakref": Case("return times(x, R().n)", "o.n = 3", outside="class O: n = 2\no = O()\nR = weakref.ref(o)"),
    "thread local": Case("return times(x, L.n)", "L.n = 3", outside="L = threading.local()\nL.n = 2"),
    "op attribute": Case("return self.op(x)", init="self.op = torch.ops.aten.relu.default"),
    "op packet attribute": Case("return self.op(x)", init="self.op = torch.ops.aten.relu"),
    "autograd function": Case(
        "return Fn.apply(x)",
        "N = 3",
        outside="N = 2\nclass Fn(torch.autograd.Function):\n  @staticmethod\n  def forward(ctx, x): return times(x, N)",
    ),
    "tensor attr": Case("return x + self.a", "net.a = torch.zeros(2, 4)", init="self.a = torch.zeros(4)"),
    "list of modules": Case("return self.m[0](x)", "net.m[0] = nn.Sigmoid()", init="self.m = [nn.ReLU()]"),
    "object with tensor": Case(
        "return x + self.o.t",
        "net.o.t = torch.zeros(2, 4)",
        outside="class O: pass",
        init="self.o = O()\nself.o.t = torch.zeros(4)",
    ),
    "slots": Case(
        "return times(x, self.o.n)",
        "net.o.n = 3",
        outside="class O:\n  __slots__ = ('n',)",
        init="self.o = O()\nself.o.n = 2",
    ),
    "lazy": Case("return self.lazy(x)", init="self.lazy = nn.LazyLinear(3)"),
}
"""Networks whose forwards read something that may be another thing each time."""


IN_BLOCKS = ("global rebound", "property", "lru tensor", "deque popleft attribute", "class renamed", "closure cell")
"""Those that are also tested as parts of a larger network."""


@pytest.mark.parametrize("name", READS)
def test_what_a_forward_reads_is_noticed(name: str) -> None:
    """A profile after the change is what it is without the memo, and so is one before it."""
    expected = same_with_and_without(READS[name], "alone")
    assert any(found != expected[0] for found in expected)


@pytest.mark.parametrize("name", [name for name in IN_BLOCKS if name in READS])
def test_what_a_block_reads_is_noticed(name: str) -> None:
    """The same for parts of a network."""
    expected = same_with_and_without(READS[name], "blocks")
    assert any(found != expected[0] for found in expected)


@pytest.mark.parametrize("name", KEEPS)
def test_what_a_profile_does_not_show(name: str) -> None:
    """All profiles are the same, also if the network is run each time."""
    expected = same_with_and_without(KEEPS[name], "alone")
    assert expected == expected[:1] * 3


@pytest.mark.parametrize("name", NEVER)
def test_what_may_differ_each_time_is_open(name: str) -> None:
    """Code that may reach the time, random numbers, files or objects of others is not closed."""
    with written(NEVER[name]) as made, pytest.raises(OpenCodeError):
        MAKES.of(made.net, training=False)


def patched(owner: Any, name: str, value: Any) -> Callable[[], AbstractContextManager[None]]:
    """A context in which an attribute has another value."""

    @contextmanager
    def around() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value, raising=False)
            yield

    return around


def other(x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Replaces a function."""
    return x * 2 * 3


def other_method(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Replaces a method of a module."""
    return x * 2 * 3


LINEAR = Case("return self.linear(x)")

PATCHES: dict[str, tuple[Case, Any]] = {
    "method of tensors": (Case("return x.relu()"), patched(torch.Tensor, "relu", other)),
    "operator of tensors": (Case("return x + 1"), patched(torch.Tensor, "__add__", other)),
    "new method of tensors": (
        Case("return x.swish() if hasattr(x, 'swish') else x + 1"),
        patched(torch.Tensor, "swish", other),
    ),
    "attribute of parameters": (
        Case("return times(x, getattr(self.linear.weight, 'n', 1))"),
        patched(nn.Parameter, "n", 3),
    ),
    "function of functional": (Case("return F.relu(x)"), patched(F, "relu", other)),
    "method of loggers": (
        Case("return times(x, LOG.info('two') or 2)", outside="LOG = logging.Logger('breaker')"),
        patched(logging.Logger, "info", lambda self, text: 3),
    ),
    "function of torch": (Case("return torch.relu(x)"), patched(torch, "relu", other)),
    "function of torch in Python": (
        Case("return torch.einsum('ab,cb->ac', x, x)"),
        patched(torch, "einsum", lambda e, x, y: x),
    ),
    "function of math": (Case("return times(x, math.ceil(1.5))"), patched(math, "ceil", lambda x: 5)),
    "layer": (LINEAR, patched(nn.Linear, "forward", other_method)),
    "layer that the forward makes": (Case("return nn.ReLU()(x)"), patched(nn.ReLU, "forward", other_method)),
    "attribute of a layer": (Case("return times(x, getattr(nn.ReLU, 'n', 1))"), patched(nn.ReLU, "n", 3)),
    "call of a module": (LINEAR, patched(nn.Module, "__call__", other_method)),
}
"""What is replaced in torch or in Python, and a network that uses it."""


@pytest.mark.parametrize("name", PATCHES)
def test_what_is_replaced_is_noticed(name: str) -> None:
    """A profile while something is replaced is what it is without the memo."""
    case, around = PATCHES[name]
    expected = same_with_and_without(case, "alone", around)
    assert expected[0] == expected[1] != expected[2]


def setting(
    read: Callable[[], Any], write: Callable[[Any], Any], value: Any
) -> Callable[[], AbstractContextManager[None]]:
    """A context in which a setting has another value."""

    @contextmanager
    def around() -> Iterator[None]:
        before = read()
        write(value)
        try:
            yield
        finally:
            write(before)

    return around


def saved() -> AbstractContextManager[Any]:
    """A context that changes all saved tensors."""
    return torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t * 3)


@contextmanager
def on_registration() -> Iterator[None]:
    """A context in which each new parameter is replaced."""
    hook: Any = lambda module, name, parameter: None if parameter is None else nn.Parameter(parameter * 2)  # noqa: E731
    handle = nn.modules.module.register_module_parameter_registration_hook(hook)
    try:
        yield
    finally:
        handle.remove()


THREADS = setting(torch.get_num_threads, torch.set_num_threads, 2)
CHECKPOINTED = Case(
    "return cp(f, x, self.linear, use_reentrant=False)",
    outside="from torch.utils.checkpoint import checkpoint as cp\ndef f(x, l): return (l(x) * 2).sin() + 1",
    mode="training",
)

SETTINGS: dict[str, tuple[Case, Any]] = {
    "number of threads": (
        Case("return times(x, get_num_threads())", outside="from torch import get_num_threads"),
        THREADS,
    ),
    "threads by an attribute": (Case("return times(x, self.get())", init="self.get = torch.get_num_threads"), THREADS),
    "warnings": (
        Case("return times(x, 1 + torch.is_warn_always_enabled())"),
        setting(torch.is_warn_always_enabled, torch.set_warn_always, True),
    ),
    "anomaly": (
        Case("return times(x, 1 + torch.is_anomaly_enabled())"),
        setting(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, True),
    ),
    "cache of autocast": (
        Case("return times(x, 1 + torch.is_autocast_cache_enabled())"),
        setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, False),
    ),
    "private": (
        Case("return times(x, 1 + torch._C._get_cublas_allow_tf32())"),
        setting(torch._C._get_cublas_allow_tf32, torch._C._set_cublas_allow_tf32, True),
    ),
    "default dtype": (
        Case("return torch.ones(4) + x"),
        setting(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    ),
    "recomputed as a whole": (CHECKPOINTED, patched(torch.utils.checkpoint, "_enable_checkpoint_early_stop", False)),
    "hook on registration": (Case("return nn.Linear(4, 4, device='meta')(x)"), on_registration),
    "saved tensors": (Case("return self.linear(x).sin()", mode="training"), saved),
}
"""Settings of torch, and a network whose work depends on them."""


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_noticed(name: str) -> None:
    """A profile under another setting is what it is without the memo."""
    case, around = SETTINGS[name]
    expected = same_with_and_without(case, "alone", around)
    assert expected[0] == expected[1] != expected[2]


CLOSED: dict[str, Case] = {
    "logger": Case("LOG.info('size %s', x.shape)\nreturn times(x, 2)", outside="LOG = logging.getLogger('breaker')"),
    "layers": Case("return F.relu(self.linear(x), inplace=True)"),
    "helper": Case("return h(x, 2)", outside="def h(x, n=3): return times(x, n)"),
    "constant": Case("return times(x, N)", outside="N = 2"),
    "constants of a class": Case("return times(x, C.n)", outside="class C: n = 2"),
    "partial attribute": Case("return self.h(x)", init="self.h = functools.partial(F.softmax, dim=-1)"),
    "closure over a constant": Case("return h(x)", outside="def make(n):\n  return lambda x: times(x, n)\nh = make(2)"),
    "decorated": Case("return h(x)", outside="@torch.no_grad()\ndef h(x): return x + 1"),
    "context manager": Case(
        "with c() as n: return times(x, n)", outside="@contextlib.contextmanager\ndef c(): yield 2"
    ),
    "property": Case("return times(x, self.p)", members="@property\ndef p(self): return 2"),
    "static method": Case("return self.h(x)", members="@staticmethod\ndef h(x): return x + 1"),
    "lists": Case(
        "xs = [x]\nfor n in self.ns: xs.append(times(xs[-1], n))\nreturn torch.cat(xs, 1)", init="self.ns = [1, 2]"
    ),
    "dataclass": Case(
        "return times(x, self.c.n)", outside="@dataclasses.dataclass\nclass C:\n  n: int = 2", init="self.c = C()"
    ),
    "named tuple": Case("return P(x, x).a + 1", outside="P = collections.namedtuple('P', 'a b')"),
    "getattr": Case("return getattr(self, 'linear')(x)"),
    "formatted error": Case("if x.dim() > 3: raise ValueError('found {}'.format(x.dim()))\nreturn x + 1"),
    "import": Case("from math import ceil\nreturn times(x, ceil(1.5))"),
    "layer made": Case("return nn.ReLU()(x)"),
}
"""Plain code."""


@pytest.mark.parametrize("name", CLOSED)
def test_plain_code_is_closed(name: str) -> None:
    """The second profile is the first one."""
    with written(CLOSED[name]) as made:
        first = outcome(made.net)
        assert not isinstance(first, str)
        assert outcome(made.net) is first
