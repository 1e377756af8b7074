"""PaLM as its paper describes it: one attention head of keys and values, blocks in parallel, SwiGLU, no biases.

A. Chowdhery et al., *PaLM: Scaling Language Modeling with Pathways*, sections 2 and 3, https://arxiv.org/abs/2204.02311
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """y = x + MLP(norm(x)) + attention(norm(x)), with one norm and one head of keys and values for all queries."""

    def __init__(self, width: int, heads: int, head: int, inner: int) -> None:
        super().__init__()
        self.heads, self.head = heads, head
        self.norm = nn.RMSNorm(width)
        self.queries = nn.Linear(width, heads * head, bias=False)
        self.keys = nn.Linear(width, head, bias=False)
        self.values = nn.Linear(width, head, bias=False)
        self.output = nn.Linear(heads * head, width, bias=False)
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        y = self.norm(x)
        queries = self.queries(y).view(batch, length, self.heads, self.head).transpose(1, 2)
        keys, values = (each(y).view(batch, length, 1, self.head).transpose(1, 2) for each in (self.keys, self.values))
        seen = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        seen = seen.transpose(1, 2).reshape(batch, length, self.heads * self.head)
        mixed: torch.Tensor = x + self.output(seen) + self.down(F.silu(self.gate(y)) * self.up(y))
        return mixed


class PaLM(nn.Module):
    """The language model: one table for tokens and logits, and blocks.  Its positions are rotations without parameters.

    Rotations are no contractions, and are left out.
    """

    def __init__(
        self, layers: int = 118, width: int = 18432, heads: int = 48, head: int = 256, words: int = 256000
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width, heads, head, 4 * width) for _ in range(layers))
        self.norm = nn.RMSNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, positions) → (batch, positions, words)."""
        x = self.tokens(tokens)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)
