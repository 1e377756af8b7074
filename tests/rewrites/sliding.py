"""Profiles of a network on one window and of its convolutional form on an image → the savings of one pass.

Also the layers that a rewrite changed. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import pandas as pd

from profiler.analysis.rewriting import changed_figures
from profiler.errors import ProfilerError
from profiler.opcount import COUNT_COLUMNS
from profiler.profiles import Profile
from profiler.records import ROOT, show_shape, show_shapes
from profiler.schema import make_table

CHANGED_COLUMNS = (
    "layer",
    "type_before",
    "type_after",
    *(f"{figure}_{ending}" for figure in changed_figures() for ending in ("before", "after", "saved")),
)

SLIDING_FIGURES = ("multiplies", "flops")

SLIDING_COLUMNS = (
    "layer",
    "type_before",
    "type_after",
    *(f"{figure}_{ending}" for figure in SLIDING_FIGURES for ending in ("window", "windows", "pass", "ratio")),
)

SIZES_COLUMNS = (
    "image",
    "windows",
    *(f"{figure}_{ending}" for figure in SLIDING_FIGURES for ending in ("windows", "pass", "ratio")),
)

Figures = dict[str, int | None]


def changed_layers(before: Profile, after: Profile) -> pd.DataFrame:
    """One row for each layer whose type or figures a rewrite changed, in the order in which they run.

    A layer without work after the rewrite has zeros there, and the type of its replacement, if there is one.  Uncounted
    figures are missing.
    """
    olds, news = _by_layer(before), _by_layer(after)
    types_before, types_after = _types(before), _types(after)
    rows = [
        (
            layer,
            types_before.get(layer, ""),
            types_after.get(layer, ""),
            *_before_and_after(olds.get(layer, {}), news.get(layer, {})),
        )
        for layer in dict.fromkeys((*olds, *news))
        if olds.get(layer) != news.get(layer) or (layer != ROOT and types_before.get(layer) != types_after.get(layer))
    ]
    return make_table(CHANGED_COLUMNS, rows)


def sliding_table(window: Profile, image: Profile) -> pd.DataFrame:
    """One row for each layer, the total last: the network on one window, on all windows, and one pass over the image.

    ``window`` is the profile of the network on one window, ``image`` that of its convolutional form on the whole image;
    the number of windows is the size of the resulting map.  ``ratio`` is all windows over one pass; it is missing if
    the pass does no such work.  Uncounted figures are missing.
    """
    windows = window_count(window, image)
    olds, news = _by_layer(window), _by_layer(image)
    types_before, types_after = _types(window), _types(image)
    rows: list[tuple[object, ...]] = [
        (
            layer,
            types_before.get(layer, ""),
            types_after.get(layer, ""),
            *_sliding(olds.get(layer, {}), news.get(layer, {}), windows),
        )
        for layer in dict.fromkeys((*olds, *news))
    ]
    rows.append(("total", "", "", *_sliding(_totals(window), _totals(image), windows)))
    return make_table(SLIDING_COLUMNS, rows)


def sliding_sizes(window: Profile, images: Sequence[Profile]) -> pd.DataFrame:
    """One row for each image: its number of windows, their cost one by one, and the cost of one pass."""
    rows = []
    for image in images:
        windows = window_count(window, image)
        cells = _sliding(_totals(window), _totals(image), windows)
        whole = [cells[place] for place in range(len(cells)) if place % 4]
        rows.append((show_shapes(image.input_shapes), windows, *whole))
    return make_table(SIZES_COLUMNS, rows)


def window_count(window: Profile, image: Profile) -> int:
    """The number of windows of ``window``'s input in the image, from the map of scores of ``image``.

    Raises ProfilerError if the outputs are not (N, K) and (N, K, *places).
    """
    scores, places = _output_shape(window), _output_shape(image)
    if len(scores) != 2 or len(places) < 3 or places[:2] != scores:
        raise ProfilerError(
            f"{window.name} gives {show_shape(scores)} for a window and {image.name} {show_shape(places)} for an image,"
            " expected scores and a map of scores"
        )
    return prod(places[2:])


def _output_shape(profile: Profile) -> tuple[int, ...]:
    shapes = profile.trace.modules[0].output_shapes
    return shapes[0][0] if shapes and shapes[0] else ()


def _by_layer(profile: Profile) -> dict[str, Figures]:
    names = ("parameters", *COUNT_COLUMNS)
    columns = [profile.layers[name].tolist() for name in ("layer", *names)]
    return {layer: dict(zip(names, map(_known, row), strict=True)) for layer, *row in zip(*columns, strict=True)}


def _known(value: Any) -> int | None:
    """An exact count, or None for any of pandas' missing values."""
    return value if isinstance(value, int) else None


def _types(profile: Profile) -> dict[str, str]:
    return {record.name or ROOT: record.type for record in profile.trace.modules}


def _totals(profile: Profile) -> Figures:
    return {name: getattr(profile.total, name) for name in SLIDING_FIGURES}


def _before_and_after(old: Figures, new: Figures) -> list[int | None]:
    cells: list[int | None] = []
    for name in changed_figures():
        was, now = old.get(name, 0), new.get(name, 0)
        cells += [was, now, None if was is None or now is None else was - now]
    return cells


def _sliding(old: Figures, new: Figures, windows: int) -> list[int | float | None]:
    cells: list[int | float | None] = []
    for name in SLIDING_FIGURES:
        one, whole = old.get(name, 0), new.get(name, 0)
        every = None if one is None else windows * one
        cells += [one, every, whole, every / whole if every is not None and whole else None]
    return cells
