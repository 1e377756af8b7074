"""Which module a backward operation belongs to: autograd's nodes are assigned to modules as these return."""

from __future__ import annotations

from typing import Any

import torch


class BackwardScope:
    """Follows the autograd graph.

    Each time a module returns, the nodes behind its results that belong to nobody yet are its own: its
    children returned before it and took theirs.  While a node runs in the backward pass, its module is
    the place where operations are recorded.
    """

    def __init__(self) -> None:
        self.current: tuple[str, int] = ("", 1)
        self._owned: dict[Any, tuple[str, int]] = {}

    def claim(self, outputs: list[torch.Tensor], place: tuple[str, int]) -> None:
        """The nodes behind ``outputs`` that nobody owns yet belong to the module call ``place``."""
        waiting = [tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None]
        while waiting:
            node = waiting.pop()
            if node in self._owned:
                continue
            self._owned[node] = place
            node.register_prehook(self._entering(place))
            waiting.extend(parent for parent, _ in node.next_functions if parent is not None)

    def _entering(self, place: tuple[str, int]) -> Any:
        def enter(gradients: Any) -> None:
            self.current = place

        return enter
