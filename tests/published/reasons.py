"""Why figures of the literature differ from ours, each with what leads from ours to theirs."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP

from profiler import Profile
from profiler.records import OpCall
from tests.published.figures import Reason


def _norms(result: Profile) -> int:
    return sum(record.size for record in result.trace.parameters if not record.buffer and record.use == "norm")


def _biases(result: Profile) -> int:
    return sum(record.size for record in result.trace.parameters if record.names[0].endswith(".bias"))


def _macs_of(op: str, result: Profile) -> int:
    return sum(call.count.macs for call in result.trace.calls if call.op == op)


def _shortcuts(result: Profile) -> int:
    return sum(call.count.macs for call in result.trace.calls if ".downsample" in call.module)


def _late_strides(result: Profile) -> int:
    """In the first block of stages 2 to 4, three quarters of the 1×1 convolution before the strided one."""
    early = ("layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1")
    return sum(call.count.macs * 3 // 4 for call in result.trace.calls if call.module in early)


def _first_split(result: Profile) -> int:
    """A negative number: −28²·(h − 24)², where the first block of stage 2 makes 24 channels into 2·h."""
    (last,) = (call for call in result.trace.calls if call.module == "stage2.0.branch2.5")
    _, half, *sides = last.outputs[0].shape
    return -sides[0] * sides[1] * (half - 24) ** 2


def tensorflow_count(result: Profile) -> int:
    """Half of what TensorFlow's profiler counts of an EfficientNet in eval mode.

    It counts 2 for each multiply–accumulate; 1 for each result of a bias, a product (swish has one; its sigmoid is
    not counted) and a sum, and for each value that a mean averages; nothing for fused batch norms
    (tensorflow/python/profiler/internal/flops_registry.py).
    """
    return sum(map(_tensorflow_flops, result.trace.calls)) // 2


def _tensorflow_flops(call: OpCall) -> int:
    op = call.op.removeprefix("aten::").removesuffix("_")
    if op in ("conv2d", "linear"):
        biases = call.count.adds - call.count.macs + call.outputs[0].size
        return 2 * call.count.macs + biases
    if op in ("adaptive_avg_pool2d", "mean"):
        return call.inputs[0].size
    return call.outputs[0].size if op in ("silu", "mul", "add") else 0


CUT = Reason("cut, not rounded", rounding=ROUND_DOWN)
UP = Reason("rounded up", rounding=ROUND_UP)
NORMS = Reason("the scales and shifts of the batch normalizations are left out", _norms)
BIASES = Reason("without biases, for simplicity, as the source says", _biases)
SCORES = Reason(
    "calflops does not see `torch.baddbmm`, which makes the attention scores",
    lambda result: _macs_of("aten::baddbmm", result),
)
SHORTCUTS = Reason("shortcuts without parameters (option A of the paper); ours are 1×1 convolutions", _shortcuts)
STRIDES = Reason("the paper's blocks stride in their first 1×1 convolution, torchvision's in the 3×3", _late_strides)
STRIDES_CUT = Reason(f"{STRIDES.text}; and cut, not rounded", _late_strides, ROUND_DOWN)
SPLIT = Reason(
    "the shortcut of the authors' first block of stage 2 keeps its 24 channels; rounded up", _first_split, ROUND_UP
)
TENSORFLOW = Reason(
    "counted by TensorFlow's profiler and halved", lambda result: result.total.macs - tensorflow_count(result)
)
OTHER_NETWORK = Reason("not known: not what the authors' code gives, see above", known=False)
NEXT_TABLE = Reason("the same network has 29 M in the source's next table", elsewhere="29 M")
SLIP = Reason(
    "a slip: the paper prints 45.1 G for the same network further down in its table 1, and the README 45.0 and 47.0 G",
    elsewhere="45.1 G",
)
