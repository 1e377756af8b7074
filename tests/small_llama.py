"""The sizes of a small Llama with grouped queries, as arguments of its class."""

from __future__ import annotations

LAYERS, HIDDEN, INNER, HEADS, SHARED, WORDS = 2, 64, 128, 4, 2, 100
SIZE = HIDDEN // HEADS
LLAMA = {
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_key_value_heads": SHARED,
    "vocab_size": WORDS,
}
