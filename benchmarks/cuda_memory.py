"""The predicted memory of networks against what torch allocates on a GPU: ``python -m benchmarks.cuda_memory``.

It needs a GPU.  The ratio is above 1 by the workspace of kernels and the rounding of the allocator, and differs where a
kernel on the GPU saves other tensors than the one on the CPU.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import profiler
from profiler.records import Mode

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "vgg11", "vit_b_16")
MODES: tuple[Mode, ...] = ("inference", "training")
BATCH = 8


def allocated(network: nn.Module, images: torch.Tensor, mode: Mode) -> int:
    """The most bytes that torch has allocated at once in a run on the GPU."""
    network = network.cuda().train(mode == "training")
    network.zero_grad(set_to_none=True)
    on_gpu = images.cuda()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    if mode == "inference":
        with torch.inference_mode():
            network(on_gpu)
    else:
        result = network(on_gpu)
        torch.autograd.backward(result, torch.ones_like(result))
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def main() -> int:
    """Print one row for each network and mode; 2 without a GPU."""
    if not torch.cuda.is_available():
        print("benchmarks.cuda_memory: there is no GPU", file=sys.stderr)
        return 2
    models = profiler.import_torchvision().models
    print("network,mode,predicted,allocated,ratio")
    for name in NETWORKS:
        for mode in MODES:
            network, images = getattr(models, name)(), torch.rand(BATCH, 3, 224, 224)
            predicted = profiler.profile(network, images, mode=mode, memory=True).memory_needed
            found = allocated(network, images, mode)
            print(f"{name},{mode},{predicted},{found},{found / predicted:.4f}")
            del network
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
