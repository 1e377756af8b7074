"""Long names in few cells: shortened in the middle, still different, measured in cells."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from profiler.render.names import cut_end, cut_middle, shorten

ATTENTION = [
    f"encoder.layer.{layer}.attention.self.{part}" for layer in (0, 1, 11) for part in ("query", "key", "value")
]


def test_a_name_keeps_its_first_and_last_parts() -> None:
    """As many parts as fit stay at its end."""
    assert shorten(["encoder.layer.0.attention.self.query"], 30) == ["encoder.…attention.self.query"]
    assert shorten(["encoder.layer.0.attention.self.query"], 24) == ["encoder.…self.query"]
    assert shorten(["short.name"], 10) == ["short.name"]


def test_parts_that_differ_are_kept() -> None:
    """The numbers of layers distinguish names that are equal otherwise."""
    assert shorten(ATTENTION, 24)[::3] == [
        "encoder.…0.…self.query",
        "encoder.…1.…self.query",
        "encoder.…11.…self.query",
    ]


def test_long_parts_that_differ_are_shortened_themselves() -> None:
    """They keep their ends, where the numbers are; names are numbered only if even that has no room."""
    names = [f"encoder.layers.encoder_layer_{number}.self_attention" for number in (0, 1)]
    assert shorten(names, 19) == ["…en…yer_0.se…ntion", "…en…yer_1.se…ntion"]
    assert [form[-2:] for form in shorten(names, 8)] == ["on", "~2"]


@pytest.mark.parametrize("most", range(6, 40))
def test_short_forms_are_different_and_fit(most: int) -> None:
    """This holds down to a few cells, also for wide characters and names without dots."""
    names = [
        *ATTENTION,
        "層" * 30 + ".a",
        "層" * 30 + ".b",
        "a" * 60,
        "a" * 59 + "b",
        "a" * 30 + "b" + "a" * 30,
        "." * 50,
    ]
    short = shorten(names, most)
    assert max(map(cell_len, short)) <= most
    assert len(set(short)) == len(names)


@given(st.lists(st.text(st.sampled_from("ab.層é"), max_size=30), unique=True, max_size=12), st.integers(8, 20))
def test_no_two_names_look_the_same(names: list[str], most: int) -> None:
    """Equal names have equal short forms, and no others do."""
    short = shorten(names + names, most)
    assert short[: len(names)] == short[len(names) :]
    assert len(set(short)) == len(names)
    assert max(map(cell_len, short), default=0) <= most


def test_texts_are_cut_by_cells() -> None:
    """A wide character counts as two cells, an accent as none."""
    assert cut_middle("層層層層層層", 7) == "層…層層"
    assert cut_end("層層層", 4) == "層…"
    assert cut_end("e\u0301e\u0301", 2) == "e\u0301e\u0301"


@pytest.mark.slow
def test_many_names_take_little_time() -> None:
    """Names that are alike are compared part by part, and numbers go on counting."""
    start = time.process_time()
    shorten([f"encoder.layer.{number}.attention.self.query" for number in range(5000)], 18)
    assert len(set(shorten(["a" * 50 + f"{number}" + "b" * 60 for number in range(3000)], 16))) == 3000
    assert time.process_time() - start < 5
