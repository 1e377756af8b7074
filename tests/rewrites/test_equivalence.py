"""How far apart two networks are: each figure by hand, and differences that must not pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.rewrites import check_equivalence, check_windows
from profiler.rewrites.equivalence import MEASURES, in_float64
from profiler.rewrites.windows import sliding_windows


class Plus(nn.Module):
    """Adds a number."""

    def __init__(self, number: float | torch.Tensor) -> None:
        super().__init__()
        self.number = number
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input plus the number."""
        return x + self.number


def test_the_figures_by_hand() -> None:
    """The outputs, up to 4, differ by 0.5: two batches of 2·3 values, and 6·0.25 for each batch."""
    x = torch.tensor([[1.0, 2.0, -4.0]]).repeat(4, 1)
    found = check_equivalence(Plus(0.0), Plus(0.5), x, 1.5, batch=2)
    assert (found.batches, found.values, found.largest_output) == (2, 4 * 3, 4.0)
    assert (found.largest_absolute, found.largest_relative) == (0.5, 0.5 / 4)
    assert (found.largest_squared, found.mean_squared) == (2 * 3 * 0.25, 0.25)
    assert (found.dtype, found.difference, found.passed) == ("float32", 1.5, True)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_difference_above_the_tolerance_does_not_pass(measure: Any) -> None:
    """This holds for each measure."""
    x = torch.ones(4, 3)
    exact = check_equivalence(Plus(0.0), Plus(0.5), x, 0, measure=measure).difference
    assert check_equivalence(Plus(0.0), Plus(0.5), x, exact, measure=measure).passed
    assert not check_equivalence(Plus(0.0), Plus(0.5), x, exact * 0.999, measure=measure).passed


def test_the_worst_batch_decides() -> None:
    """One bad batch among good ones fails the check."""
    x = torch.zeros(6, 1)
    off = torch.tensor([0.0, 0.0, 3.0, 0.0, 0.0, 0.0]).view(6, 1)

    class Off(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1] + x[:, 1:]

    class Kept(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1]

    found = check_equivalence(Kept().eval(), Off().eval(), torch.cat((x, off), 1), 1, batch=2)
    assert (found.largest_squared, found.batches) == (9.0, 3)
    assert not found.passed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("measure", MEASURES)
def test_nan_and_infinity_do_not_pass(value: float, measure: Any) -> None:
    """They do not pass even if both networks return them, or if a later batch is good."""
    x = torch.zeros(4, 1)
    x[1] = value
    assert not check_equivalence(Plus(0.0), Plus(0.0), x, float("inf"), measure=measure, batch=1).passed


def test_equal_networks_have_no_difference() -> None:
    """They have several inputs and outputs of several types, and write into their inputs."""

    class Several(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            return {"sum": x.add_(y), "best": (y.argmax(1),)}

    inputs = {"x": torch.rand(4, 3), "y": torch.rand(4, 3)}
    found = check_equivalence(Several().eval(), Several().eval(), inputs, 0, batch=3)
    assert found.passed
    assert found.values == 4 * 3 + 4


def test_a_score_is_compared_with_a_map_of_one_place() -> None:
    """(N, K) and (N, K, 1, 1) are compared; (N, K) and (K, N) are not."""
    score, one = nn.Flatten().eval(), nn.Identity().eval()
    assert check_equivalence(score, one, torch.rand(2, 3, 1, 1), 0).passed
    with pytest.raises(ProfilerError, match="2×4 and 2×2×2, which cannot be compared"):
        check_equivalence(score, one, torch.rand(2, 2, 2), 0)


def test_networks_in_training_mode_or_on_meta_are_refused() -> None:
    """There are no outputs to compare."""
    well = nn.Linear(3, 3).eval()
    with pytest.raises(ProfilerError, match=r"the second network \(Linear\) is in training mode"):
        check_equivalence(well, nn.Linear(3, 3), torch.rand(2, 3), 0)
    with pytest.raises(ProfilerError, match=r"the first network \(Linear\) is on the meta device"):
        check_equivalence(nn.Linear(3, 3, device="meta").eval(), well, torch.rand(2, 3), 0)


def test_other_wrong_arguments_are_refused() -> None:
    """Examples are an unknown measure, no inputs, and batches that do not fit."""
    plus = Plus(0.0)
    with pytest.raises(ProfilerError, match="measure 'worst' is not known"):
        check_equivalence(plus, plus, torch.rand(2), 0, measure="worst")  # type: ignore[arg-type]
    with pytest.raises(ProfilerError, match="no outputs"):
        check_equivalence(plus, plus, torch.rand(0, 3), 0, batch=2)
    with pytest.raises(ProfilerError, match="same first dimension"):
        check_equivalence(plus, plus, (torch.rand(2), torch.rand(3)), 0, batch=2)


def test_windows_are_in_the_order_of_the_map() -> None:
    """The window at (i, j) begins at pixel (i·step, j·step)."""
    image = torch.arange(5 * 7.0).view(1, 1, 5, 7)
    places, windows = sliding_windows(image, (3, 3), 2)
    corners = [int(window[0, 0, 0, 0]) for window in windows]
    assert places == (2, 3)
    assert corners == [7 * i + j for i in (0, 2) for j in (0, 2, 4)]
    with pytest.raises(ProfilerError, match="an image of 5×7 has no window of 6×6"):
        sliding_windows(image, (6, 6))


def test_a_map_of_another_size_is_refused() -> None:
    """The message has both sizes."""
    with pytest.raises(ProfilerError, match="gives 1×1×4×4 for 2×2 windows, expected 1×9×2×2"):
        check_windows(nn.Flatten().eval(), nn.Identity().eval(), torch.rand(1, 1, 4, 4), (3, 3), 0)


def test_in_float64_makes_a_copy() -> None:
    """The network itself stays in float32."""
    network = nn.Linear(2, 2)
    assert in_float64(network).weight.dtype == torch.float64
    assert network.weight.dtype == torch.float32
