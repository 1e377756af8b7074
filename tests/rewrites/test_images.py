"""The images that networks are compared on, and weights like those of a trained network."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.rewrites import imitate_training
from tests.rewrites.images import CIFAR10_FILES, DEVIATION, MEAN, cifar10_images, generated_images


def test_generated_images() -> None:
    """The same seed gives the same images; they have 8 bits, are normalized, and are smoother than noise."""
    images = generated_images(50, seed=3)
    assert images.shape == (50, 3, 32, 32)
    assert torch.equal(images, generated_images(50, seed=3))
    assert not torch.equal(images, generated_images(50, seed=4))
    pixels = (images * DEVIATION + MEAN) * 255
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    assert 0 <= pixels.min().round() < pixels.max().round() <= 255
    assert abs(images.mean()) < 0.2
    assert abs(images.std() - 1) < 0.2
    assert images.diff(dim=-1).std() < images.std() / 2


def write_cifar10(folder: Path, images: int, protocol: int = 2) -> np.ndarray[Any, Any]:
    """Write a folder like CIFAR-10's with this many images in each batch; return the pixels of all."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(CIFAR10_FILES) * images, 3072), dtype=np.uint8)
    for number, name in enumerate(CIFAR10_FILES):
        batch = {b"data": pixels[number * images : (number + 1) * images], b"labels": [0] * images}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return pixels


def test_cifar10(tmp_path: Path) -> None:
    """The test batch comes first; an image is its red, green and blue planes, row by row."""
    pixels = write_cifar10(tmp_path, 4)
    images = cifar10_images(tmp_path, 6)
    assert images.shape == (6, 3, 32, 32)
    found = ((images * DEVIATION + MEAN) * 255).round().to(torch.uint8).flatten(1)
    assert np.array_equal(found.numpy(), pixels[:6])
    with pytest.raises(ProfilerError, match="holds 24 images, expected 25"):
        cifar10_images(tmp_path, 25)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Examples are an empty folder, a file of something else, and a pickle that would run code."""
    with pytest.raises(ProfilerError, match=r"test_batch: cannot be read .*No such file"):
        cifar10_images(tmp_path)
    (tmp_path / "test_batch").write_bytes(b"no pickle")
    with pytest.raises(ProfilerError, match="test_batch: cannot be read"):
        cifar10_images(tmp_path)

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("ran").write_text, ("",))

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Runs()}))
    with pytest.raises(ProfilerError, match=r"expected arrays only"):
        cifar10_images(tmp_path)
    assert not (tmp_path / "ran").exists()


def network() -> nn.Sequential:
    """A network with two batch norms."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4), nn.BatchNorm1d(4)
    ).eval()


def test_statistics_are_those_of_the_data() -> None:
    """They are within a few percent, so that the result of a batch norm has about the size of γ and β."""
    images = generated_images(200, (3, 8, 8))
    trained = imitate_training(network(), images)
    inputs = trained[:1](images) if isinstance(trained, nn.Sequential) else images
    norm = trained.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    ratio = norm.running_var / inputs.detach().transpose(0, 1).flatten(1).var(1)
    assert ((ratio > 0.7) & (ratio < 1.4)).all()
    assert norm.weight.std() > 0.05


def test_the_seed_decides_the_network() -> None:
    """Another seed gives another network."""
    states = [imitate_training(network(), seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["1.running_mean"], states[2]["1.running_mean"])


def test_scores_have_the_requested_size() -> None:
    """The last linear layer is scaled, not the batch norm after it."""
    images = generated_images(200, (3, 8, 8))
    trained = imitate_training(network(), images, scores=3.0)
    assert isinstance(trained, nn.Sequential)
    assert trained[:5](images).std().item() == pytest.approx(3.0, rel=1e-4)
