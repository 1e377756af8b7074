"""Profiles made by hand from records, for tests of everything that follows the trace."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Literal

from profiler.opcount import OpCount, Term, contraction, each
from profiler.profiles import Profile
from profiler.records import CounterFigure, CounterRecord, Mode, ModuleRecord, OpCall, ParameterRecord, Status, Trace
from profiler.signatures import TensorSpec

Shape = tuple[int, ...]


class Network:
    """A network made layer by layer; each layer takes the result of the one before it.

    ``Network("net", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).profile()``
    """

    def __init__(self, name: str, shape: Shape, *, mode: Mode = "inference") -> None:
        self.name = name
        self.mode = mode
        self.start = shape
        self.shape = shape
        self.modules: list[ModuleRecord] = []
        self.calls: list[OpCall] = []
        self.held: list[ParameterRecord] = []

    def layer(
        self,
        name: str,
        type: str,
        op: str,
        kind: str,
        out: Shape,
        terms: Iterable[Term] = (),
        weights: dict[str, Shape] | None = None,
        *,
        status: Status = "counted",
    ) -> Network:
        """One module that calls one operation."""
        weights = weights or {}
        specs = tuple(TensorSpec(shape, parameter=True) for shape in weights.values())
        call = OpCall.of(
            op, kind, status, name, 1, "forward", (TensorSpec(self.shape), *specs), (TensorSpec(out),), tuple(terms)
        )
        self.calls.append(call)
        self.modules.append(ModuleRecord(name, type, 1, name, ((self.shape,),), ((out,),)))
        for part, shape in weights.items():
            self.parameter(f"{name}.{part}", shape, kind)
        self.shape = out
        return self

    def parameter(self, name: str, shape: Shape, use: str = "unused", *, trainable: bool = True) -> Network:
        module = name.rpartition(".")[0]
        self.held.append(ParameterRecord((name,), module, shape, "float32", 4, trainable, use=use))
        return self

    def conv(self, name: str, channels: int, kernel: int, size: tuple[int, int]) -> Network:
        batch, inputs = self.shape[:2]
        out = (batch, channels, *size)
        terms = (contraction(out, (inputs, kernel, kernel)), Term("bias", out, OpCount(adds=1), role="bias"))
        weights = {"weight": (channels, inputs, kernel, kernel), "bias": (channels,)}
        return self.layer(name, "Conv2d", "aten::conv2d", "conv", out, terms, weights)

    def linear(self, name: str, features: int) -> Network:
        inputs = prod(self.shape[1:])
        out = (self.shape[0], features)
        terms = (contraction(out, (inputs,)), Term("bias", out, OpCount(adds=1), role="bias"))
        weights = {"weight": (features, inputs), "bias": (features,)}
        return self.layer(name, "Linear", "aten::linear", "linear", out, terms, weights)

    def relu(self, name: str) -> Network:
        terms = (each(self.shape, "results", comparisons=1),)
        return self.layer(name, "ReLU", "aten::relu", "activation", self.shape, terms)

    def max_pool(self, name: str, kernel: int, size: tuple[int, int]) -> Network:
        out = (*self.shape[:2], *size)
        terms = (each(out, "results", comparisons=kernel**2 - 1),)
        return self.layer(name, "MaxPool2d", "aten::max_pool2d", "pool", out, terms)

    def dropout(self, name: str) -> Network:
        return self.layer(name, "Dropout", "aten::dropout", "movement", self.shape, status="free")

    def uncounted(self, name: str, op: str) -> Network:
        return self.layer(name, "Odd", op, "uncounted", self.shape, status="uncounted")

    def idle(self, name: str, weight: Shape | None = None) -> Network:
        """A module that never runs."""
        self.modules.append(ModuleRecord(name, "Linear", 0, name))
        return self.parameter(f"{name}.weight", weight) if weight else self

    def trace(self) -> Trace:
        """The trace, with the parents of modules before their children."""
        root = ModuleRecord("", "Net", 1, "", ((self.start,),), ((self.shape,),))
        records = {"": root}
        for record in self.modules:
            parts = record.name.split(".")[:-1]
            for level in range(len(parts)):
                parent = ".".join(parts[: level + 1])
                records.setdefault(parent, ModuleRecord(parent, "Sequential", 1, parent, ((self.start,),), ((),)))
            records[record.name] = record
        return Trace(tuple(self.calls), tuple(records.values()), tuple(self.held)).numbered

    def profile(self) -> Profile:
        return Profile(self.name, f"nets:{self.name}", self.mode, self.trace(), {"torch": "2.13.0"})


def alexnet() -> Profile:
    """The reference network of the counting rules: 3×227×227, the first convolution without padding."""
    net = Network("alexnet", (1, 3, 227, 227))
    net.conv("features.conv1", 64, 11, (55, 55)).relu("features.relu1").max_pool("features.pool1", 3, (27, 27))
    net.conv("features.conv2", 192, 5, (27, 27)).relu("features.relu2").max_pool("features.pool2", 3, (13, 13))
    net.conv("features.conv3", 384, 3, (13, 13)).relu("features.relu3")
    net.conv("features.conv4", 256, 3, (13, 13)).relu("features.relu4")
    net.conv("features.conv5", 256, 3, (13, 13)).relu("features.relu5").max_pool("features.pool5", 3, (6, 6))
    pooled = (each(net.shape, "results", divides=1),)
    net.layer("avgpool", "AdaptiveAvgPool2d", "aten::adaptive_avg_pool2d", "pool", net.shape, pooled)
    net.dropout("classifier.drop1").linear("classifier.fc1", 4096).relu("classifier.relu6")
    net.dropout("classifier.drop2").linear("classifier.fc2", 4096).relu("classifier.relu7")
    net.linear("classifier.fc3", 1000)
    return net.profile()


def small() -> Profile:
    """A convolution and a linear layer with costs that are easily computed by hand.

    conv: 4·6·6 results of 3·3·3 products, 3,888 multiplies and adds; linear: 10 results of 144 products, 1,440.
    """
    return Network("small", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).linear("fc", 10).profile()


def partial() -> Profile:
    """:func:`small` with an operation without a rule, a module that never ran and a parameter that is never read."""
    net = Network("partial", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).uncounted("odd", "mylib::odd")
    return net.linear("fc", 10).idle("aux", (7, 7)).profile()


def nothing() -> Profile:
    """A network that only moves data and has no parameters."""
    return Network("nothing", (2, 3)).dropout("drop").profile()


def wide(figure: int) -> Profile:
    """One layer of ``figure`` multiplies."""
    terms = (Term("products", (figure,), OpCount(multiplies=1)),)
    return Network("wide", (1,)).layer("scale", "Scale", "aten::mul", "elementwise", (1,), terms).profile()


def many(layers: int) -> Profile:
    """A chain of linear layers, each larger than the one before it."""
    net = Network("many", (1, 4))
    for number in range(layers):
        net.linear(f"blocks.{number}.fc", 4 + number)
    return net.profile()


def counter(
    profile: Profile,
    changes: dict[str, int] | None = None,
    status: Literal["ok", "skipped", "failed"] = "ok",
    message: str = "",
) -> CounterRecord:
    """A record of fvcore: our own MACs of conv and linear layers, with the figures of some modules changed."""
    if status != "ok":
        return CounterRecord("fvcore", "0.1.5", status, message)
    names = {"aten::conv2d": "conv", "aten::linear": "linear"}
    figures = [
        CounterFigure(call.module, names[call.op], (changes or {}).get(call.module, call.count.macs))
        for call in profile.trace.calls
        if call.op in names
    ]
    for call in profile.trace.calls:
        if call.op == "aten::adaptive_avg_pool2d":
            figures.append(CounterFigure(call.module, "adaptive_avg_pool2d", call.inputs[0].size))
    return CounterRecord("fvcore", "0.1.5", "ok", figures=tuple(figures))
