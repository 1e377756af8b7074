"""Compares what the memo answers with what torch's kernels return for the same call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from profiler.tracing import memo
from profiler.tracing.private import without_functions
from profiler.tracing.tensors import collect


def facts(result: Any, args: Any, kwargs: Any) -> list[Any]:
    """All that a network can see of the results on meta, and which memory they share with arguments and each other."""
    found: list[torch.Tensor] = []
    collect((args, kwargs), found)
    places = {id(tensor.untyped_storage()): place for place, tensor in reversed(list(enumerate(found)))}
    results: list[torch.Tensor] = []
    collect(result, results)
    seen: list[Any] = [type(result), [value is None for value in result] if isinstance(result, (list, tuple)) else ()]
    for place, tensor in enumerate(results):
        same = [number for number, argument in enumerate(found) if argument is tensor]
        memory = places.setdefault(id(tensor.untyped_storage()), len(found) + place)
        seen.append((type(tensor), tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype, tensor.device))
        seen.append((tensor.layout, tensor.requires_grad, tensor.is_leaf, tensor.is_inference(), same, memory))
        seen.append((tensor.untyped_storage().nbytes(), tensor.is_neg(), tensor.is_conj(), tensor.grad_fn))
    return seen


class Answers:
    """Compares each answer with the kernel's; counts those that the memo knows how to give."""

    def __init__(self) -> None:
        self.answered = 0
        self._original = memo.run

    def run(self, func: Any, args: Any, kwargs: Any, key: Any) -> Any:
        """The result of the memo, compared with the kernel's."""
        versions = [tensor._version for tensor in _tensors(args, kwargs)]
        result, answer = self._original(func, args, kwargs, key)
        self.answered += answer.results is not None
        assert [tensor._version for tensor in _tensors(args, kwargs)] == versions, func
        found = facts(result, args, kwargs)
        with without_functions():
            assert found == facts(func(*args, **kwargs), args, kwargs), func
        assert [tensor._version for tensor in _tensors(args, kwargs)] == versions, func
        return result, answer


@contextmanager
def compared() -> Iterator[Answers]:
    """Within it, every answer of the memo is compared with that of the kernel; the memo is empty at first."""
    memo.clear()
    answers = Answers()
    original, memo.run = memo.run, answers.run
    try:
        yield answers
    finally:
        memo.run = original
        memo.clear()


def _tensors(args: Any, kwargs: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    collect((args, kwargs), found)
    return [tensor for tensor in found if not tensor.is_inference()]
