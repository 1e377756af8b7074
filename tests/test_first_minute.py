"""The first minute: a size in place of an input, and what ``print`` shows of a profile."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ProfilerError, TraceError


class Two(nn.Module):
    """Takes two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 4, 3)
        self.vector = nn.Linear(10, 4)

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.image(image).mean((2, 3)) + self.vector(vector)
        return result


CONVOLUTION = nn.Conv2d(3, 4, 3)
MACS = 2 * 4 * 6 * 6 * 3 * 3 * 3
"""The MACs of the convolution on two images of 8 × 8."""


@pytest.mark.parametrize(
    "size",
    [(2, 3, 8, 8), [2, 3, 8, 8], torch.Size((2, 3, 8, 8)), [(2, 3, 8, 8)], ((2, 3, 8, 8),), [torch.Size((2, 3, 8, 8))]],
)
def test_a_size_makes_the_input(size: Any) -> None:
    """It may be a tuple, a list or a ``torch.Size``, alone or in a list."""
    profile = profiler.profile(CONVOLUTION, input_size=size)
    assert profile.input_shapes == ((2, 3, 8, 8),)
    assert profile.total.macs == MACS
    assert profile == profiler.profile(CONVOLUTION, torch.zeros(2, 3, 8, 8))


def test_numpys_integers_are_sizes() -> None:
    """Every type with ``__index__`` is an integer."""
    numpy = pytest.importorskip("numpy")
    assert profiler.profile(CONVOLUTION, input_size=tuple(numpy.array([2, 3, 8, 8]))).total.macs == MACS


def test_a_list_of_sizes_makes_several_inputs() -> None:
    """They are positional arguments."""
    profile = profiler.profile(Two(), input_size=[(2, 3, 8, 8), (2, 10)])
    assert profile.input_shapes == ((2, 3, 8, 8), (2, 10))
    assert profile.total.macs == MACS + 2 * 10 * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_input_has_the_networks_dtype(dtype: torch.dtype) -> None:
    """A network in half precision refuses any other dtype."""
    profile = profiler.profile(nn.Linear(4, 5).to(dtype), input_size=(3, 4))
    (call,) = (call for call in profile.trace.calls if call.kind == "linear")
    assert {spec.dtype for spec in call.inputs} == {str(dtype).removeprefix("torch.")}
    assert profiler.profile(nn.ReLU(), input_size=(3, 4)).input_shapes == ((3, 4),)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, -3, 8, 8), r"found \(1, -3, 8, 8\), expected positive integers"),
        ((1, 0, 8, 8), r"found \(1, 0, 8, 8\), expected positive integers"),
        ((1, 3.0, 8, 8), r"found \(1, 3\.0, 8, 8\), expected positive integers"),
        ((True, 3), r"found \(true, 3\)|found \(True, 3\)"),
        ((1, "3"), r"found \(1, '3'\), expected positive integers"),
        ((1, None), "expected positive integers"),
        ((1, (3, 8)), r"found \(1, \(3, 8\)\), expected positive integers"),
        ([(1, 3), [(8, 8)]], "expected positive integers"),
        ([(1, 3), ()], "expected positive integers"),
        ((), r"found \(\), expected a size such as \(1, 3, 224, 224\)"),
        ([], r"found \[\], expected a size such as"),
        (224, "found 224, expected a size such as"),
        ("1x3x8x8", "found '1x3x8x8', expected a size such as"),
        (torch.zeros(1, 3), "expected a size such as"),
        ((1, torch.zeros(2)), "expected positive integers"),
        ((2**40, 2**40), r"expected a size of at most 2\^59 elements"),
        ((10**5000,), r"expected a size of at most 2\^59 elements"),
        ((1,) * 65, "found 65 sizes, expected at most 64"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_a_wrong_size_is_an_error_of_one_line(size: Any, message: str) -> None:
    """The line names ``input_size``, what was found and what was expected."""
    with pytest.raises(ProfilerError, match=message) as caught:
        profiler.profile(CONVOLUTION, input_size=size)
    text = str(caught.value)
    assert text.startswith("input_size: ")
    assert "\n" not in text
    assert len(text) < 250


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ((1, 3, 224, 224), "(1, 3, 224, 224)"),
        ([1, 3, 224, 224], "(1, 3, 224, 224)"),
        (torch.Size((1, 3, 224, 224)), "(1, 3, 224, 224)"),
        ([(1, 3, 224, 224)], "[(1, 3, 224, 224)]"),
        (((1, 3, 8, 8), (1, 10)), "[(1, 3, 8, 8), (1, 10)]"),
        ([torch.Size((1, 3, 8, 8)), [1, 10]], "[(1, 3, 8, 8), (1, 10)]"),
    ],
    ids=str,
)
@pytest.mark.parametrize("network", [CONVOLUTION, Two()], ids=["one input", "two inputs"])
def test_sizes_in_place_of_inputs_are_recognized(network: nn.Module, inputs: Any, size: str) -> None:
    """One line of the error says what to write."""
    with pytest.raises(TraceError) as caught:
        profiler.profile(network, inputs)
    start = f"inputs: found integers, expected tensors; for inputs of these sizes give input_size={size} (module "
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


def test_integers_may_be_inputs() -> None:
    """There is a hint only if the network refuses them."""

    class Grid(nn.Module):
        def forward(self, height: int, width: int) -> torch.Tensor:
            return torch.ones(height, width) * 2

    assert profiler.profile(Grid(), (3, 4)).total.multiplies == 3 * 4


def test_missing_inputs_are_an_error() -> None:
    """They are left out, or the list is empty; both messages say how to give a size."""
    with pytest.raises(ProfilerError, match=r"found no inputs, expected .* or input_size=\(1, 3, 224, 224\)$"):
        profiler.profile(CONVOLUTION)
    nothing: Any
    for nothing in ((), []):
        with pytest.raises(
            TraceError, match=r"^inputs: found none, expected tensors or input_size=\(1, 3, 224, 224\) \(module"
        ):
            profiler.profile(CONVOLUTION, nothing)
    with pytest.raises(ProfilerError, match="found inputs too"):
        profiler.profile(CONVOLUTION, torch.zeros(1, 3, 8, 8), input_size=(1, 3, 8, 8))


def test_a_failure_of_tensors_has_no_hint() -> None:
    """There is none for a network without inputs either."""

    class Nothing(nn.Module):
        def forward(self) -> torch.Tensor:
            raise ValueError("broken")

    for network, inputs in ((CONVOLUTION, torch.zeros(1, 4, 8, 8)), (Nothing(), ())):
        with pytest.raises(TraceError) as caught:
            profiler.profile(network, inputs)
        assert "input_size" not in str(caught.value)


@pytest.fixture(scope="module")
def small() -> profiler.Profile:
    return profiler.profile(nn.Sequential(CONVOLUTION, nn.ReLU()), input_size=(2, 3, 8, 8), name="small")


def test_repr_is_one_line(small: profiler.Profile) -> None:
    """It has name, parameters, MACs, FLOPs, status and mode."""
    parameters = 3 * 4 * 3 * 3 + 4
    assert repr(small) == (
        f"<Profile small: {parameters} parameters, {MACS:,} MACs, {2 * MACS:,} FLOPs, complete, inference>"
    )


class Terminal(io.StringIO):
    """A stream that is a terminal and has no size, as some do."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_print_fits_the_terminal(small: profiler.Profile, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report uses no more columns than there are, and changes with their number."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = str(small)
    assert max(map(len, text.splitlines())) <= columns
    assert text.startswith("small")
    assert f"{MACS:,}" in text


@pytest.mark.slow
def test_print_has_eighty_columns_without_a_terminal(small: profiler.Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no colors; this holds if standard output is closed too."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    text = str(small)
    assert "\x1b" not in text
    assert 60 < max(map(len, text.splitlines())) <= 80
    monkeypatch.setattr(sys, "stdout", None)
    assert str(small) == text


@pytest.mark.slow
def test_print_has_colors_on_a_terminal(small: profiler.Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NO_COLOR`` turns them off."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert "\x1b[" in str(small)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in str(small)


@pytest.mark.slow
def test_a_saved_profile_prints_the_same(small: profiler.Profile, tmp_path: Path) -> None:
    """This holds for ``repr`` and for the report."""
    small.save(tmp_path / "small.json")
    loaded = profiler.load_profile(tmp_path / "small.json")
    assert (repr(loaded), str(loaded)) == (repr(small), str(small))
