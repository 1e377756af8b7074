"""Networks that are hard to trace are counted like any other."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import profiler
from profiler.opcount import OpCount
from profiler.profiles import Profile
from profiler.records import Mode
from profiler.tracing.tensors import stored_in


def macs(profile: Profile) -> dict[str, int]:
    """MACs by layer, without the layers that have none."""
    layers = profile.layers
    return {name: value for name, value in zip(layers["layer"], layers["macs"], strict=True) if value}


def test_a_subclass_of_a_layer_is_a_layer() -> None:
    """The table shows the subclass, and the work is a convolution's."""

    class Scaled(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * 2

    profile = profiler.profile(nn.Sequential(Scaled(3, 4, 3)), torch.zeros(1, 3, 5, 5))
    (row,) = profile.layers.to_dict("records")
    assert (row["type"], row["kind"], row["macs"]) == ("Scaled", "conv", 27 * 4 * 9)
    assert row["multiplies"] == 27 * 4 * 9 + 4 * 9


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_weights_are_computed_and_counted(wrap: Any) -> None:
    """The layer is linear, the work on its weight is counted too, and its parameters are the originals."""
    profile = profiler.profile(nn.Sequential(wrap(nn.Linear(6, 5))), torch.zeros(2, 6))
    assert macs(profile)["0"] == 6 * 2 * 5
    assert profile.layers["kind"].tolist()[-1] == "linear"
    assert set(profile.parameters["kind"]) <= {"linear", "norm", "elementwise", "reduction", "movement"}
    assert profile.complete


def test_the_older_weight_norm_works_too() -> None:
    """It keeps the computed weight as a plain attribute, which is not a leaf of autograd's graph."""
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.Linear(6, 5))
    layer(torch.zeros(1, 6))
    assert sum(macs(profiler.profile(layer, torch.zeros(2, 6))).values()) == 6 * 2 * 5


def test_a_custom_parametrization_runs() -> None:
    """It runs as a module of the network."""

    class Symmetric(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight.triu() + weight.triu(1).t()

    layer = nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    profile = profiler.profile(layer, torch.zeros(3, 4))
    assert macs(profile) == {"(root)": 4 * 3 * 4}
    assert "parametrizations.weight.0" in set(profile.layers["layer"])


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_costs_nothing_in_inference(reentrant: bool) -> None:
    """Nothing is recomputed without gradients."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> Any:
            return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=reentrant)

    assert macs(profiler.profile(Checkpointed(), torch.zeros(2, 4))) == {"body": 32}


def test_checkpointing_recomputes_in_training() -> None:
    """The backward pass runs the forward again, as far as it is needed; the work belongs to the module it came from."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 4)
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

        def forward(self, x: torch.Tensor) -> Any:
            return torch.utils.checkpoint.checkpoint(self.body, self.head(x), use_reentrant=False)

    profile = profiler.profile(Checkpointed(), torch.zeros(2, 4), mode="training")
    assert macs(profile) == {"head": 32 + 32, "body.0": 32 + 32 + 2 * 32, "body.2": 32 + 2 * 32}


@dataclass
class Batch:
    """A container for inputs and results."""

    image: torch.Tensor
    scale: float = 1.0


class Structured(nn.Module):
    """Takes and returns dataclasses and mappings."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, batch: Batch, *, options: dict[str, torch.Tensor]) -> dict[str, Any]:
        x = self.layer(batch.image) + options["shift"]
        return {"batch": Batch(x, batch.scale), "list": [x, (x, None)]}


def test_structured_inputs_and_outputs() -> None:
    """Dataclasses, mappings and keyword arguments work, and the shapes of their tensors are shown."""
    inputs = {"batch": Batch(torch.zeros(2, 4)), "options": {"shift": torch.zeros(4)}}
    profile = profiler.profile(Structured(), inputs)
    assert macs(profile) == {"layer": 32}
    assert profile.input_shapes == ((2, 4), (4,))
    assert profile.trace.modules[0].output_shapes == (((2, 4), (2, 4), (2, 4)),)


def test_ties_are_shown_and_counted_once() -> None:
    """A head shares the weight of the embedding."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embedding.weight
            self.shift = nn.Parameter(torch.zeros(4), requires_grad=False)

        def forward(self, tokens: torch.Tensor) -> Any:
            return self.head(self.embedding(tokens) + self.shift)

    profile = profiler.profile(Tied(), torch.zeros(2, 3, dtype=torch.long))
    assert profile.parameters_total == 44
    assert profile.trainable_total == 40
    names = dict(zip(profile.parameters["parameter"], profile.parameters["names"], strict=True))
    assert names == {"shift": "shift", "embedding.weight": "embedding.weight; head.weight"}
    assert macs(profile) == {"head": 4 * 6 * 10}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_cost_the_same(dtype: torch.dtype) -> None:
    """The dtype changes the bytes and not the counts."""
    profile = profiler.profile(nn.Conv2d(3, 4, 3).to(dtype), torch.zeros(1, 3, 5, 5, dtype=dtype))
    assert macs(profile) == {"(root)": 27 * 36}
    assert profile.parameter_bytes == (4 * 27 + 4) * dtype.itemsize


def test_float8_products_are_counted() -> None:
    """A scaled matrix product of float8 operands."""

    class Float8(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(16, 16).to(torch.float8_e4m3fn), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one = torch.ones((), device=x.device)
            quantized = x.to(torch.float8_e4m3fn)
            result: torch.Tensor = torch._scaled_mm(quantized, self.weight.t(), one, one, out_dtype=torch.float32)
            return result

    assert macs(profiler.profile(Float8(), torch.zeros(16, 16))) == {"(root)": 16**3}


@pytest.mark.slow
def test_a_compiled_module_is_traced_as_the_module_it_wraps() -> None:
    """Nothing is compiled for the trace."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    compiled: Any = torch.compile(model)
    assert macs(profiler.profile(compiled, torch.zeros(2, 4))) == {"0": 32}
    layer: Any = torch.compile(nn.Linear(4, 4))
    inner = nn.Sequential(nn.Sequential(layer))
    assert sum(macs(profiler.profile(inner, torch.zeros(2, 4))).values()) == 32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_exported_module_is_traced() -> None:
    """``torch.export`` makes a graph module that does not have the modules of the layers."""
    exported = torch.export.export(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (torch.zeros(2, 4),)).module()
    profile = profiler.profile(exported, torch.zeros(2, 4))
    assert profile.total.macs == 32
    assert profile.shares.set_index("kind").macs["linear"] == 32


def test_a_symbolically_traced_module_keeps_its_layers() -> None:
    """``torch.fx`` keeps the modules of the layers."""
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    assert macs(profiler.profile(traced, torch.zeros(2, 4))) == {"0": 32}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_module_is_counted() -> None:
    """TorchScript modules take no hooks, so their work belongs to the module around them."""
    scripted = torch.jit.script(nn.Linear(4, 4))
    profile = profiler.profile(nn.Sequential(scripted), torch.zeros(2, 4))
    assert profile.total.macs == 32


@pytest.mark.slow
def test_concurrent_profiles_do_not_disturb_each_other() -> None:
    """Several threads profile the same network at the same time."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU()) for _ in range(5)))
    expected = profiler.profile(model, torch.zeros(3, 4))
    found: list[Profile] = []
    threads = [
        threading.Thread(target=lambda: found.append(profiler.profile(model, torch.zeros(3, 4)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_work_that_depends_on_data_is_counted_on_a_real_run() -> None:
    """The report says that it was a real run, the model is unchanged, and a second profile is the same."""

    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> Any:
            return self.layer(x[(x.sum(1) > 0).nonzero()[:, 0]])

    model = Routed()
    x = torch.tensor([[1.0] * 4, [-1.0] * 4, [1.0] * 4])
    profile = profiler.profile(model, x)
    assert macs(profile) == {"layer": 4 * 2 * 4}
    assert (
        profile.trace.real_run
        == "module (root) (Routed) on 3×4 needs data that meta tensors do not have in aten::nonzero of 3"
    )
    meta = torch.empty(9, 4, device="meta")
    assert profiler.profile(model, meta) == profiler.profile(model, meta)


@pytest.mark.parametrize("switches_on", [False, True])
def test_a_gradient_inside_a_forward_is_counted(switches_on: bool) -> None:
    """A network differentiates within its forward, with gradients on around it or switched on by itself."""

    class Force(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad() if switches_on else nullcontext():
                x = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(self.energy(x).sum(), x)
            return -gradient

    profile = profiler.profile(Force(), torch.zeros(5, 3))
    forward = 5 * 3 * 8 + 5 * 8
    assert profile.total.macs == 2 * forward


def test_a_user_rule_counts_a_custom_operation() -> None:
    """A rule of five lines counts it; without a rule it is uncounted."""

    @torch.library.custom_op("profiler_awkward::mix", mutates_args=())
    def mix(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x @ weight

    mix.register_fake(lambda x, weight: x.new_empty(x.shape[0], weight.shape[1]))

    class Mixes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 6))

        def forward(self, x: torch.Tensor) -> Any:
            return mix(x, self.weight)

    assert profiler.profile(Mixes(), torch.zeros(2, 4)).status == "partial"

    @profiler.rule("profiler_awkward::mix")
    def count(x: profiler.TensorSpec, weight: profiler.TensorSpec, *, out: profiler.TensorSpec) -> list[profiler.Term]:
        return [profiler.contraction(out.shape, weight.shape[:1])]

    profile = profiler.profile(Mixes(), torch.zeros(2, 4))
    assert (profile.status, macs(profile)) == ("complete", {"(root)": 4 * 2 * 6})
    with pytest.raises(profiler.ProfilerError, match="registered already"):
        profiler.rule("profiler_awkward::mix")(lambda x, weight, *, out: [])


def test_an_autograd_function_costs_what_its_operations_cost() -> None:
    """This holds for the forward and the backward pass."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, weight)
            return x @ weight

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            x, weight = ctx.saved_tensors
            return gradients[0] @ weight.t(), x.t() @ gradients[0]

    class Uses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.weight = nn.Parameter(torch.zeros(4, 4))

        def forward(self, x: torch.Tensor) -> Any:
            return Square.apply(self.first(x), self.weight)  # type: ignore[no-untyped-call]

    assert profiler.profile(Uses(), torch.zeros(2, 4)).total.macs == 64
    assert profiler.profile(Uses(), torch.zeros(2, 4), mode="training").total.macs == 64 + 32 + 64


NESTED = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


@pytest.mark.slow
@NESTED
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_tensors_cost_the_sum_over_their_rows(layout: torch.layout) -> None:
    """The rows have several lengths and lie one after the other; the strided layout needs a real run."""
    parts = [torch.zeros(3, 4), torch.zeros(5, 4)]
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.LayerNorm(6))
    profile = profiler.profile(model, torch.nested.nested_tensor(parts, layout=layout))
    assert profile.total == profiler.profile(model, torch.cat(parts)).total
    assert profile.input_shapes == ((8, 4),)
    assert bool(profile.trace.real_run) == (layout == torch.strided)


class NestedAttention(nn.Module):
    """Attention on (N, H, L, d), which is a transposed view of the (N, L, H, d) input."""

    def forward(self, x: torch.Tensor) -> Any:
        heads = x.transpose(1, 2)
        heads = heads if x.layout == torch.jagged else heads.contiguous()  # each kernel requires something else
        return nn.functional.scaled_dot_product_attention(heads, heads, heads)


class NestedProducts(nn.Module):
    """Rows with different last sizes: x·xᵀ and its softmax."""

    def forward(self, x: torch.Tensor) -> Any:
        rows = x.transpose(1, 2)
        return torch.softmax(rows @ rows.transpose(2, 3), -1)


@NESTED
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.parametrize("network", [NestedAttention, NestedProducts])
def test_work_within_the_rows_of_a_nested_tensor_costs_the_sum_over_rows(
    network: type[nn.Module], layout: torch.layout, mode: Mode
) -> None:
    """Rows of lengths 3 and 5 cost as much as two calls with one row each; this needs a real run."""
    if network is NestedProducts and layout == torch.jagged:
        pytest.skip("torch has no product of two jagged tensors")
    parts = [torch.ones(3, 2, 8), torch.ones(5, 2, 8)]
    nested = torch.nested.nested_tensor(parts, layout=layout).requires_grad_(mode == "training")
    profile = profiler.profile(network(), nested, mode=mode)
    alone = [profiler.profile(network(), part[None].requires_grad_(mode == "training"), mode=mode) for part in parts]
    assert (profile.status, bool(profile.trace.real_run)) == ("complete", True)
    assert forward(profile) == forward(alone[0]) + forward(alone[1])


def forward(profile: Profile) -> OpCount:
    count = OpCount()
    for call in profile.trace.calls:
        if call.phase == "forward":
            count = count + call.count
    return count


@pytest.mark.slow
def test_packed_sequences_cost_their_steps() -> None:
    """An LSTM over sequences of lengths 5 and 3 runs 8 steps."""
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(2, 5, 8), torch.tensor([5, 3]), batch_first=True)
    profile = profiler.profile(nn.LSTM(8, 6, batch_first=True), (packed,))
    assert profile.total.macs == 8 * 4 * 6 * (8 + 6)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_products_cost_their_stored_elements(layout: torch.layout) -> None:
    """Each stored element is multiplied with the columns of the dense operand; elementwise work counts stored
    elements.
    """

    class Product(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            product: torch.Tensor = torch.sparse.mm(a, b)
            return product

    sparse = torch.eye(6).to_sparse(layout=layout)
    profile = profiler.profile(Product(), (sparse, torch.zeros(6, 4)))
    assert (profile.status, macs(profile)) == ("complete", {"(root)": 6 * 4})
    assert profile.total.adds == 6 * 4

    class Square(nn.Module):
        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return a * a

    squared = profiler.profile(Square(), sparse)
    assert (squared.status, squared.total.multiplies) == ("complete", 6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_layers_count_as_their_float_form(tmp_path: Path) -> None:
    """The shape and the bias are read from the packed weights."""
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    quantize: Any = torch.ao.quantization.quantize_dynamic
    quantized = quantize(model, {nn.Linear}, dtype=torch.qint8)
    profile = profiler.profile(quantized, torch.zeros(2, 8))
    assert (profile.status, profile.total) == ("complete", profiler.profile(model, torch.zeros(2, 8)).total)
    profile.save(tmp_path / "p.json")
    assert profiler.load_profile(tmp_path / "p.json") == profile


class Does(nn.Module):
    """A module made of a function of one tensor."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize("product", [lambda x: x @ x.t(), lambda x: torch.einsum("ij,kj->ik", x, x)])
def test_products_of_integers_count_and_other_integer_work_does_not(product: Any) -> None:
    """A matrix product of integers is arithmetic; an index plus one is not."""
    x = torch.zeros(3, 5, dtype=torch.long)
    assert macs(profiler.profile(Does(product), x)) == {"(root)": 3 * 3 * 5}
    assert not profiler.profile(Does(lambda x: x * 2 + 1), x).total


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_work_on_quantized_tensors_counts() -> None:
    """Quantized tensors represent floating-point numbers."""
    quantize = Does(lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8))
    then_relu = Does(lambda x: torch.relu(torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)))
    x = torch.zeros(3, 5)
    difference = profiler.profile(then_relu, x).total - profiler.profile(quantize, x).total
    assert difference.comparisons == 15


class NamesItsDevice(nn.Module):
    """A network that names an accelerator, as code for one machine does."""

    def __init__(self, needs_data: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.needs_data = needs_data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x.cuda()) + torch.zeros(4, device="cuda:1").to("cuda", torch.float32)
        with torch.device("cuda"):
            y = y + torch.ones(4)
        if self.needs_data:
            y = y[y.isfinite().all(1).nonzero()[:, 0]]
        result: torch.Tensor = self.layer(y.to(torch.device("cuda")).to(0).cpu())
        return result


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("needs_data", [False, True])
def test_a_network_that_names_an_accelerator_is_traced_without_one(needs_data: bool, mode: Mode) -> None:
    """It is traced on meta, or in a real run if it needs data."""
    profile = profiler.profile(NamesItsDevice(needs_data), torch.zeros(2, 4), mode=mode)
    assert profile.status == "complete"
    assert bool(profile.trace.real_run) == needs_data
    assert sum(call.count.macs for call in profile.trace.calls if call.phase == "forward") == 2 * 2 * 4 * 4


def test_attributes_that_cannot_be_copied_are_shared() -> None:
    """Locks and open files of the network or of its parts are shared; a module that is held twice is copied once."""

    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.again = [self.layer]
            self.lock = threading.Lock()

        def forward(self, x: torch.Tensor) -> Any:
            with self.lock:
                return self.again[0](self.layer(x))

    network = nn.Sequential(Locked(), nn.ReLU())
    profile = profiler.profile(network, torch.zeros(2, 4))
    assert macs(profile) == {"0.layer": 2 * 2 * 4 * 4}
    assert profile.status == "complete"


def test_a_network_of_fake_tensors_is_traced() -> None:
    """The trace needs only their shapes."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        network, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.zeros(2, 4)
    assert (
        profiler.profile(network, x).total
        == profiler.profile(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (torch.zeros(2, 4),)).total
    )


SPARSE = pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta", "ignore:Sparse invariant checks")


@SPARSE
@pytest.mark.parametrize(
    ("stored", "elements"),
    [
        (lambda: torch.eye(6).to_sparse(), 6),
        (lambda: torch.ones(6, 6).to_sparse_bsr((3, 3)), 36),
        (lambda: torch.ones(6, 4).to_sparse(), 24),
        (lambda: torch.ones(6, 4).to_sparse(1), 24),
        (lambda: torch.stack([torch.eye(3), torch.eye(3)]).to_sparse_csr(), 6),
    ],
)
def test_a_sparse_tensor_holds_its_elements_not_its_blocks(stored: Any, elements: int) -> None:
    """The layouts are COO and blocked, with dense dimensions or a batch."""
    assert stored_in(stored()) == elements


@SPARSE
def test_a_sparse_adjacency_costs_its_stored_elements() -> None:
    """A graph convolution with a sparse buffer takes a real run; it has the products of 9 edges and work on their
    values.
    """

    class Graph(nn.Module):
        adjacency: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            edges = torch.randint(0, 5, (2, 9), generator=torch.Generator().manual_seed(0))
            self.register_buffer("adjacency", torch.sparse_coo_tensor(edges, torch.ones(9), (5, 5)).coalesce())
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return torch.sparse.mm(self.adjacency, self.layer(x)) * self.adjacency.values().sum()

    network = Graph()
    edges = network.adjacency.values().numel()
    profile = profiler.profile(network, torch.zeros(5, 4))
    assert (profile.status, bool(profile.trace.real_run)) == ("complete", True)
    assert profile.total.macs == 5 * 4 * 3 + edges * 3
    assert profile.total.adds == 5 * 4 * 3 + edges * 3 + (edges - 1)


@SPARSE
def test_a_sparse_input_is_not_mistaken_for_an_empty_one() -> None:
    """A sparse tensor on meta would store nothing."""

    class Sums(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.sparse.sum(x) + (x.coalesce().values() * 2).sum()

    profile = profiler.profile(Sums(), torch.eye(6).to_sparse())
    assert (profile.status, profile.total) == ("complete", OpCount(multiplies=6, adds=5 + 5 + 1))
