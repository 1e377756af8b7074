"""Anything that can be called is profiled, on copies of everything that it reaches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils.checkpoint import checkpoint

import profiler
from profiler.errors import ProfilerError, TraceError
from profiler.profiles import Profile

BATCH, INPUTS, HIDDEN, CLASSES = 5, 4, 8, 3
FORWARD = BATCH * INPUTS * HIDDEN + BATCH * HIDDEN * CLASSES
BACKWARD = BATCH * INPUTS * HIDDEN + 2 * BATCH * HIDDEN * CLASSES
"""The backward MACs: the input of the first layer needs no gradient."""
PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
LOSS_ADDS = BATCH * (CLASSES + CLASSES - 1) + (BATCH - 1)
"""The forward of cross entropy: a maximum is subtracted, exponentials are summed, then the mean of the batch."""

NET = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
X = torch.ones(BATCH, INPUTS)
Y = torch.zeros(BATCH, dtype=torch.int64)


def loss_of_global(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A loss of a network that is a global variable."""
    return F.cross_entropy(NET(x), y)


def calls_another(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A function that calls one which uses a global network."""
    return loss_of_global(x, y)


class Trainer:
    """Holds a network and its optimizer."""

    def __init__(self, make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD, **options: Any) -> None:
        self.net = network()
        self.optimizer = make(self.net.parameters(), lr=0.1, **options)
        self.steps = 0

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.net(x), y)

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.step(x, y)

    @staticmethod
    def static(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(NET(x), y)


class NamesGlobals:
    """Its methods use a global network, and a function that does."""

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.inner(x, y)

    def inner(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return loss_of_global(x, y)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


def loss_of_argument(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(net(x), y)


def closure() -> Callable[..., Any]:
    net = network()

    def loss_of_closure(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(x), y)

    return loss_of_closure


def default() -> Callable[..., Any]:
    def loss_of_default(x: torch.Tensor, y: torch.Tensor, net: nn.Module = network()) -> torch.Tensor:  # noqa: B008
        return F.cross_entropy(net(x), y)

    return loss_of_default


def wrapped() -> Callable[..., Any]:
    function = closure()

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


LOSSES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "global": (lambda: loss_of_global, "loss_of_global", "NET"),
    "global of another": (lambda: calls_another, "calls_another", "NET"),
    "closure": (closure, "loss_of_closure", "net"),
    "default": (default, "loss_of_default", "net"),
    "wrapped": (wrapped, "loss_of_closure", "net"),
    "method": (lambda: Trainer().loss, "loss", "self.net"),
    "static method": (lambda: Trainer.static, "static", "NET"),
    "object": (NamesGlobals, "NamesGlobals", "NET"),
    "partial": (lambda: functools.partial(loss_of_argument, network()), "loss_of_argument", "net"),
    "partial by name": (lambda: functools.partial(loss_of_argument, net=network()), "loss_of_argument", "net"),
    "partial of partial": (
        lambda: functools.partial(functools.partial(loss_of_argument, network())),
        "loss_of_argument",
        "net",
    ),
    "lambda": (lambda: lambda x, y: loss_of_global(x, y), "lambda", "NET"),
    "cached": (lambda: functools.lru_cache(loss_of_global), "loss_of_global", "NET"),
    "decorated by torch": (lambda: torch.enable_grad()(loss_of_global), "loss_of_global", "NET"),
}


@pytest.mark.parametrize("case", [*LOSSES, pytest.param("compiled", marks=pytest.mark.slow)])
def test_every_form_of_callable_has_the_same_counts(case: str) -> None:
    """The counts are those of the network and the loss, and the names in the rows are those in the code."""
    make, name, prefix = LOSSES[case if case in LOSSES else "global"]
    call = make() if case in LOSSES else torch.compile(make())
    inputs: Any = {"x": X, "y": Y} if "name" in case else (X, Y)
    profile = profiler.profile(call, inputs)
    alone = profiler.profile(network(), X)
    loss = profiler.profile(F.cross_entropy, (torch.ones(BATCH, CLASSES), Y))
    assert profile.name == name
    assert profile.mode == "inference"
    assert profile.complete
    assert profile.total == alone.total + loss.total
    assert profile.total.macs == FORWARD
    assert profile.parameters_total == PARAMETERS
    layers = [layer for layer in profile.layers["layer"] if layer != "(root)"]
    assert layers == [f"{prefix}.{number}" for number in range(3)]
    assert not profile.trace.real_run


def gradient_of_loss(z: torch.Tensor) -> None:
    F.cross_entropy(z, Y).backward()  # type: ignore[no-untyped-call]


def step_of(net: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[..., torch.Tensor]:
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    return step


def parts(profile: Profile) -> dict[str, int]:
    """The FLOPs of each part of a training step."""
    total = profile.training.set_index("layer").loc["total"]
    return {str(name): int(total[name]) for name in total.index if str(name).endswith("_flops")}


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_costs_network_loss_and_optimizer(name: str) -> None:
    """Each part has the counts of the network in training mode, and of the loss with its gradient."""
    net = network()
    profile = profiler.profile(step_of(net, OPTIMIZERS[name](net.parameters(), lr=0.1)), (X, Y))
    trained = profiler.profile(net, X, mode="training", optimizer=name)
    loss = profiler.profile(gradient_of_loss, torch.ones(BATCH, CLASSES, requires_grad=True))
    assert profile.mode == "training"
    assert profile.complete
    assert profile.total.macs == FORWARD + BACKWARD
    assert profile.total == trained.total + loss.total
    theirs, of_loss = parts(trained), parts(loss)
    assert parts(profile) == {part: theirs[part] + of_loss[part] for part in theirs}
    assert parts(profile)["optimizer_flops"] > 0
    assert of_loss["optimizer_flops"] == 0


@pytest.mark.slow
def test_the_counted_step_is_the_next_one() -> None:
    """Momentum's first step initializes its state, and the second one adds to it."""
    trainer = Trainer(momentum=0.9)
    first = parts(profiler.profile(trainer.step, (X, Y)))["optimizer_flops"]
    trainer.step(X, Y)
    second = parts(profiler.profile(trainer.step, (X, Y)))["optimizer_flops"]
    assert first == 2 * PARAMETERS
    assert second == 4 * PARAMETERS


@pytest.mark.slow
def test_adams_second_step_needs_no_real_run() -> None:
    """The copy keeps the number of steps."""
    trainer = Trainer(torch.optim.Adam)
    trainer.step(X, Y)
    profile = profiler.profile(trainer.step, (X, Y))
    assert not profile.trace.real_run
    assert profile.total == profiler.profile(Trainer(torch.optim.Adam).step, (X, Y)).total


@pytest.mark.slow
def test_gradients_are_accumulated() -> None:
    """The second backward pass adds each gradient to that of the first."""
    net = network()

    def once(x: torch.Tensor, y: torch.Tensor) -> None:
        F.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]

    def twice(x: torch.Tensor, y: torch.Tensor) -> None:
        once(x, y)
        once(x, y)

    one, two = profiler.profile(once, (X, Y)).total, profiler.profile(twice, (X, Y)).total
    assert two.adds == 2 * one.adds + PARAMETERS
    assert (two.multiplies, two.macs) == (2 * one.multiplies, 2 * one.macs)
    net[0].weight.grad = torch.zeros(HIDDEN, INPUTS)
    assert profiler.profile(once, (X, Y)).total.adds == one.adds + INPUTS * HIDDEN


def test_functions_of_tensors_need_no_module() -> None:
    """They are a plain function, a built-in one, and one of torch.func."""
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    assert profiler.profile(lambda a, b: (a @ b).sum(), (a, b)).total.macs == 3 * 4 * 5
    assert profiler.profile(torch.matmul, (a, b)).total.macs == 3 * 4 * 5
    assert profiler.profile(torch.Tensor.matmul, (a, b)).total.adds == 3 * 5 * (4 - 1)
    assert profiler.profile(vmap(torch.dot), (a, a)).total.macs == 3 * 4


def test_data_may_be_in_the_closure() -> None:
    """A step without arguments reads its batch from the closure."""
    net = network()
    weights = torch.ones(INPUTS, INPUTS)
    profile = profiler.profile(lambda: net(X @ weights))
    assert profile.total.macs == FORWARD + BATCH * INPUTS * INPUTS
    assert set(profile.parameters["kind"]) == {"linear"}


HEAD = nn.Sequential(nn.Linear(HIDDEN, CLASSES), nn.BatchNorm1d(CLASSES))


class NamesHead(nn.Module):
    """A network whose forward uses a global network."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = HEAD(self.first(x))
        return result


@pytest.mark.slow
def test_a_network_may_use_a_global_network() -> None:
    """The global network is found, and a copy of it runs."""
    net = NamesHead()
    before = [tensor.tolist() for tensor in HEAD.state_dict().values()]
    profile = profiler.profile(lambda x: net(x).sum().backward(), X)
    assert profile.total.macs == FORWARD + BACKWARD
    assert profile.parameters_total == PARAMETERS + 2 * CLASSES
    assert set(profile.layers["layer"]) == {"(root)", "net.first", "HEAD.0", "HEAD.1"}
    assert [tensor.tolist() for tensor in HEAD.state_dict().values()] == before
    assert HEAD[0].weight.grad is None


@pytest.mark.slow
def test_a_loop_over_a_loader_is_a_callable() -> None:
    """It has two batches, clipped gradients, and a schedule that wraps the optimizer's step."""
    trainer = Trainer(torch.optim.AdamW)
    schedule = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1)
    data = torch.utils.data.TensorDataset(torch.ones(2 * BATCH, INPUTS), torch.zeros(2 * BATCH, dtype=torch.int64))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        for x, y in loader:
            trainer.step(x, y)
            torch.nn.utils.clip_grad_norm_(trainer.net.parameters(), 1.0)
            schedule.step()

    profile = profiler.profile(epoch)
    assert profile.total.macs == 2 * (FORWARD + BACKWARD)
    assert not profile.trace.real_run
    assert profile.complete
    assert schedule.last_epoch == 0
    assert not trainer.optimizer.state
    one = parts(profiler.profile(trainer.step, (X, Y)))
    assert parts(profile)["optimizer_flops"] == 2 * one["optimizer_flops"]


@pytest.mark.slow
def test_both_passes_of_torch_func_are_counted() -> None:
    """The test takes the gradient of a functional call, with parameters as an argument or from the closure."""
    net = network()
    parameters = dict(net.named_parameters())

    def loss(parameters: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(net, parameters, (x,)), y)

    expected = profiler.profile(lambda x, y: loss(parameters, x, y).backward(), (X, Y))  # type: ignore[no-untyped-call]
    for call, inputs in (
        (lambda x, y: grad(loss)(parameters, x, y), (X, Y)),
        (grad(loss), (parameters, X, Y)),
    ):
        profile = profiler.profile(call, inputs)
        assert profile.total == expected.total
        assert profile.total.macs == FORWARD + BACKWARD
        assert profile.parameters_total == PARAMETERS
        assert profile.layers["flops"].tolist() == expected.layers["flops"].tolist()
        assert parts(profile) == parts(expected)


def test_each_call_of_a_loop_is_counted() -> None:
    """The module's calls are numbered, and its parameters counted once."""
    layer = nn.Linear(INPUTS, INPUTS)

    def loop(x: torch.Tensor, times: int) -> torch.Tensor:
        for _ in range(times):
            x = layer(x)
        return x

    profile = profiler.profile(loop, (X, 7))
    assert profile.total.macs == 7 * BATCH * INPUTS * INPUTS
    assert profile.parameters_total == INPUTS * INPUTS + INPUTS
    (row,) = profile.layers.to_dict("records")
    assert (row["layer"], row["calls"]) == ("layer", 7)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_modules_are_recomputed(reentrant: bool) -> None:
    """Activation checkpointing runs its part a second time; the non-reentrant kind stops when it has what it needs."""
    net = network()

    def step(x: torch.Tensor) -> None:
        checkpoint(net, x, use_reentrant=reentrant).sum().backward()

    profile = profiler.profile(step, X.clone().requires_grad_())
    total = profile.training.set_index("layer").loc["total"]
    assert total["forward_macs"] == FORWARD
    assert total["recompute_macs"] == (FORWARD if reentrant else BATCH * INPUTS * HIDDEN)
    assert total["input_gradient_macs"] + total["weight_gradient_macs"] == 2 * FORWARD


@pytest.mark.slow
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_functions_are_recomputed(reentrant: bool) -> None:
    """There is no module; the gradients of both products are still backward."""
    w = torch.ones(INPUTS, INPUTS, requires_grad=True)

    def again(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ w) @ w

    def step(x: torch.Tensor) -> None:
        checkpoint(again, x, use_reentrant=reentrant).sum().backward()

    profile = profiler.profile(step, X.clone().requires_grad_())
    phases = [call.phase for call in profile.trace.calls if call.count.macs]
    assert phases == ["forward"] * 2 + ["recompute"] * (1 + reentrant) + ["backward"] * 4


def test_both_derivatives_of_a_gradient_penalty_are_backward() -> None:
    """A derivative that is differentiated itself is not a forward pass."""
    layer = nn.Linear(INPUTS, HIDDEN, bias=False)

    def penalty(x: torch.Tensor) -> None:
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()  # type: ignore[no-untyped-call]

    profile = profiler.profile(penalty, X.clone().requires_grad_())
    phases = [call.phase for call in profile.trace.calls if call.count.macs]
    assert phases[0] == "forward"
    assert set(phases[1:]) == {"backward"}
    assert profile.total.macs == len(phases) * BATCH * INPUTS * HIDDEN


def test_an_optimizers_closure_is_forward_and_backward() -> None:
    """A step calls it to compute the loss again."""
    net = nn.Linear(INPUTS, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = (net(X) - 1).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def step() -> None:
        optimizer.step(closure)

    profile = profiler.profile(step)
    assert parts(profile)["optimizer_flops"] == 2 * (INPUTS + 1)
    assert parts(profile)["forward_flops"] == BATCH * 2 * INPUTS + BATCH * (1 + 1) + (BATCH - 1)
    assert {call.phase for call in profile.trace.calls if call.count.macs} == {"forward", "backward"}


def test_a_step_that_raises_ends_the_optimizer_phase() -> None:
    """Code that runs after it has caught the error is not the optimizer's."""
    net = nn.Linear(INPUTS, HIDDEN)

    class Fails(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            raise ValueError("no")

    optimizer = Fails(net.parameters(), lr=0.1)

    def step(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            try:
                optimizer.step()
            except ValueError:
                return x * 3
        return x

    profile = profiler.profile(step, X)
    assert [call.phase for call in profile.trace.calls if call.count.multiplies] == ["forward"]


@pytest.mark.parametrize("train", [True, False])
def test_modules_keep_their_modes(train: bool) -> None:
    """Dropout and the statistics of batch norm cost work in train mode only."""
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Dropout()).train(train)
    profile = profiler.profile(lambda x: net(x), X)
    expected = profiler.profile(net, X, mode="training" if train else "inference")
    forward = sum(call.count.flops for call in expected.trace.calls if call.phase == "forward")
    assert profile.total.flops == forward


def test_shared_objects_are_copied_once() -> None:
    """Examples are tied modules, a network in a list and in the closure, and an optimizer's parameters."""
    first, second = nn.Linear(INPUTS, INPUTS, bias=False), nn.Linear(INPUTS, INPUTS, bias=False)
    second.weight = first.weight
    layers = [first, second]
    profile = profiler.profile(lambda x: layers[1](first(x)), X)
    assert profile.parameters_total == INPUTS * INPUTS
    assert profile.total.macs == 2 * BATCH * INPUTS * INPUTS
    assert len(profile.parameters) == 1


@pytest.mark.slow
def test_two_objects_with_one_name_get_two_names() -> None:
    """Two functions use one name for different objects."""
    one, two = closure(), closure()
    profile = profiler.profile(lambda x, y: one(x, y) + two(x, y), (X, Y))
    assert profile.parameters_total == 2 * PARAMETERS
    assert set(profile.layers["layer"]) >= {"net.0", "net_2.0"}


async def asynchronous() -> None:
    """A coroutine function: a call runs nothing."""


def generates() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("call", "inputs", "message"),
    [
        (asynchronous, (), "asynchronous makes a coroutine"),
        (generates, (), "generates makes a generator"),
        (functools.partial(asynchronous), (), "asynchronous makes a coroutine"),
        (nn.Linear, (), r"found a class; call it first: Linear\("),
        (Trainer, (), r"found a class; call it first: Trainer\("),
        (network, (X,), r"call it first: network\("),
        (loss_of_global, (X,), "does not take the inputs: missing a required argument: 'y'"),
        (3, (), "expects a torch.nn.Module or something to call, not int"),
        ("net", (), "expects a torch.nn.Module or something to call, not str"),
    ],
)
def test_coroutines_and_the_like_are_refused(call: Any, inputs: Any, message: str) -> None:
    """One line says what to do."""
    with pytest.raises(ProfilerError, match=message) as caught:
        profiler.profile(call, inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option", [{"mode": "training"}, {"optimizer": "sgd"}, {"method": "generate"}, {"part": "net"}]
)
def test_options_for_networks_are_refused(option: Any) -> None:
    """A callable itself decides what they would set."""
    with pytest.raises(ProfilerError, match="for a callable, expected it for a torch"):
        profiler.profile(loss_of_global, (X, Y), **option)


def test_objects_that_cannot_be_copied_are_refused() -> None:
    """The run would advance a generator, and change a module inside of an object without a copy."""
    batches = (X for _ in range(3))
    net = network()
    with pytest.raises(TraceError, match=r"reaches the generator .*, which cannot be copied"):
        profiler.profile(lambda: net(next(batches)))

    class Closed:
        def __init__(self) -> None:
            self.net = net

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise TypeError("no")

        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        def __del__(self) -> None:
            """Release something outside of the object."""

    closed = Closed()
    with pytest.raises(TraceError, match="reaches a module in a Closed, which cannot be copied"):
        profiler.profile(lambda: closed.net(X))


def test_a_callable_cannot_be_cross_checked() -> None:
    """Counters take networks; a callable, its profile, and a recording have none."""
    net = network()
    with pytest.raises(ProfilerError, match=r"a cross-check needs a torch.nn.Module, not function$"):
        profiler.crosscheck(loss_of_global, (X, Y))  # type: ignore[arg-type]
    with profiler.record() as recording:
        net(X)
    for profile, kind in ((profiler.profile(lambda x: net(x), X), "lambda"), (recording.profile(), "Code")):
        with pytest.raises(ProfilerError, match=f"found a profile of {kind}, expected one of the network, Sequential"):
            profiler.crosscheck(net, X, profile=profile)
    assert profiler.crosscheck(net, X, profile=profiler.profile(net, X)).counters


def test_lazy_modules_are_refused() -> None:
    """A callable runs once, and not a first time to find shapes."""
    net = nn.LazyLinear(3)
    with pytest.raises(TraceError, match=r"net.weight has no shape yet: call its module once"):
        profiler.profile(lambda: net(X))


def test_inputs_of_a_callable_may_be_a_size_or_a_function() -> None:
    """This works as for networks."""
    net = network()
    assert profiler.profile(lambda x: net(x), input_size=(BATCH, INPUTS)).total.macs == FORWARD
    assert profiler.profile(lambda x, n: net(x), lambda _: (X, 3)).total.macs == FORWARD


def test_an_error_names_the_callable_and_the_module() -> None:
    """It has the original message, too."""
    net = network()

    def fails(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(net(x.T))

    with pytest.raises(TraceError, match=r"module net.0 \(Linear\) on 4×5 raised RuntimeError"):
        profiler.profile(fails, X)

    def raises(x: torch.Tensor) -> None:
        raise ValueError("upgrade your checkpoint")

    with pytest.raises(TraceError, match=r"module \(root\) \(raises\) on 5×4 raised ValueError: upgrade"):
        profiler.profile(raises, X)


@pytest.mark.slow
def test_excluding_and_saving_work(tmp_path: Any) -> None:
    """The profile of a callable supports both."""
    net = network()
    profile = profiler.profile(step_of(net, torch.optim.SGD(net.parameters())), (X, Y), exclude="net.2", name="mine")
    assert profile.total.macs == 2 * BATCH * INPUTS * HIDDEN
    profile.save(tmp_path / "p.json")
    assert profiler.load_profile(tmp_path / "p.json") == profile
    assert profile.target == "tests.test_callables:step_of.<locals>.step"


def test_a_callable_that_needs_data_gets_a_real_run() -> None:
    """It runs on copies of the real tensors, and the report says why."""
    net = network()

    def step(x: torch.Tensor) -> torch.Tensor:
        while x.sum() > 1:
            x = net(x).sum() * x / 1000
        return x

    ones = {name: torch.full_like(tensor, 0.1) for name, tensor in net.state_dict().items()}
    net.load_state_dict(ones)
    profile = profiler.profile(step, X)
    assert "needs data" in profile.trace.real_run
    assert profile.total.macs > 0
    assert profile.total.macs % FORWARD == 0


@pytest.mark.slow
def test_generate_is_counted_token_by_token() -> None:
    """Data decide the next token, so a copy runs for real; the counts equal those of a recording."""
    transformers = pytest.importorskip("transformers")
    profiler.import_torchvision()
    layers, width, vocabulary, prompt, new = 2, 32, 50, 5, 4
    config = transformers.GPT2Config(
        n_layer=layers, n_embd=width, n_head=2, vocab_size=vocabulary, n_positions=64, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    net = transformers.GPT2LMHeadModel(config).eval()
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    ids = torch.ones(1, prompt, dtype=torch.int64)
    before = [tensor.tolist() for tensor in net.state_dict().values()]
    profile = profiler.profile(net.generate, {"inputs": ids, **options})
    scores = prompt * prompt + sum(prompt + step for step in range(1, new))
    linear = (prompt + new - 1) * layers * 12 * width * width + new * width * vocabulary
    assert profile.total.macs == linear + layers * 2 * scores * width
    assert "needs data" in profile.trace.real_run
    assert profile.name == "generate"
    assert "self.transformer.h.0.attn" in set(profile.layers["layer"])
    assert [tensor.tolist() for tensor in net.state_dict().values()] == before
    with profiler.record() as recording:
        net.generate(ids, **options)
    assert recording.profile().total == profile.total
