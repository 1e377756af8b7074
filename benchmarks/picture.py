"""Stored results → ``results.svg``: for each network the time of each tool as a multiple of the bare forward pass."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from benchmarks.networks import LABELS, NETWORKS
from benchmarks.peers import PEERS
from benchmarks.results import Result, Stored, as_json

PICTURE = Path(__file__).with_name("results.svg")

COLORS = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442", "#999999", "#666666", "#000000")
"""Colors of Okabe and Ito, which people with any color vision tell apart, and grays; each tool has a marker too."""

MARKERS = ("D", "d", "s", "o", "^", "v", "<", ">", "P", "X")

FIRST, AGAIN, TORCH = "profiler, first", "profiler, again", "torch FlopCounterMode"


def multiples(stored: Stored) -> dict[str, dict[str, float]]:
    """For each tool: the median of its time as a multiple of the bare forward pass on meta, by network.

    A counter's is its multiple of the profiles that took turns with it, times the multiple of a first profile.
    """
    forward = {result.subject: result for result in stored.of("forward")}
    others = {result.subject: result for result in stored.of("peers")}
    shown: dict[str, dict[str, float]] = {FIRST: {}, AGAIN: {}, TORCH: {}, **{peer: {} for peer in PEERS}}
    for network in NETWORKS:
        if network not in forward:
            continue
        things = {FIRST: "profile", AGAIN: "profile again", TORCH: "FlopCounterMode"}
        for label, thing in things.items():
            _note(shown[label], network, _median(forward[network], thing, "forward"))
        for peer in PEERS if network in others else ():
            times = _median(others[network], peer, f"profile beside {peer}")
            if times is not None and network in shown[FIRST]:
                _note(shown[peer], network, times * shown[FIRST][network])
    return {label: by_network for label, by_network in shown.items() if by_network}


def _median(result: Result, thing: str, against: str) -> float | None:
    from statistics import median

    found = result.ratios(thing, against)
    return median(found) if found else None


def _note(into: dict[str, float], network: str, value: float | None) -> None:
    if value is not None:
        into[network] = value


def digest(stored: Stored) -> str:
    """Names the results that a picture was made from."""
    return hashlib.sha256(as_json(stored).encode()).hexdigest()[:16]


def digest_in(picture: str) -> str:
    """The digest that a picture holds; empty if it holds none."""
    found = re.search(r"results ([0-9a-f]{16})", picture)
    return found[1] if found else ""


def write_picture(stored: Stored, path: Path = PICTURE) -> None:
    """Draw the picture; the same results give the same file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    tools = multiples(stored)
    networks = [name for name in NETWORKS if any(name in of for of in tools.values())]
    style: dict[Any, Any] = {
        "svg.hashsalt": "results",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(8, 0.7 + 0.55 * max(1, len(networks))), layout="constrained")
        for (tool, of), color, marker in zip(tools.items(), COLORS, MARKERS, strict=False):
            places = [networks.index(name) for name in of]
            axes.scatter(
                list(of.values()),
                places,
                s=38,
                c=color,
                marker=marker,
                label=tool,
                edgecolors="#333333",
                linewidths=0.4,
            )
        _label(axes, networks)
        figure.savefig(path, metadata={"Date": None, "Creator": None, "Description": f"results {digest(stored)}"})
        pyplot.close(figure)


def _label(axes: Any, networks: list[str]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.axvline(1, color="#333333", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(networks)), [LABELS[name] for name in networks])
    axes.invert_yaxis()
    axes.set_xlabel("CPU time as a multiple of one bare forward pass on the meta device; less is quicker")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="both", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
