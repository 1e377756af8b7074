"""A profile on meta, first and again, against other counters as their manuals use them, on real tensors."""

from __future__ import annotations

from pathlib import Path

from benchmarks.machine import environment
from benchmarks.networks import NETWORKS, on_meta
from benchmarks.peers import PEERS, ULTRALYTICS, Peer, PeerError
from benchmarks.profiling import AGAIN, WITH_TABLES, first_and_again, warm_up
from benchmarks.results import Result, quicker
from benchmarks.row import Options, Row
from benchmarks.timing import take_turns

ROOT = Path(__file__).parents[2]


def measure(network: str, options: Options) -> Result:
    """Each counter and two profiles in turn: one with nothing in the memo, and the same again.

    A counter runs in a process of its own.
    """
    warm_up()
    first, again = first_and_again(*on_meta(network))
    result = Result("peers", network)
    for name in PEERS:
        paths = [str(ROOT)]
        if name == ULTRALYTICS:
            if options.ultralytics is None:
                result = result.joined(Result("peers", network, failed={name: "not installed"}))
                continue
            paths.insert(0, str(options.ultralytics))
        peer = Peer(name, network, dict(environment(PYTHONPATH=":".join(paths))))
        try:
            samples = take_turns((peer.thing(), first, again), options.repeats, options.seconds)
        except PeerError as error:
            result = result.joined(Result("peers", network, failed={name: str(error)}))
        else:
            lasted = {beside(name): samples[WITH_TABLES], again_beside(name): samples[WITH_TABLES + AGAIN]}
            paired = {name: samples[name], **lasted}
            result = result.joined(Result("peers", network, paired))
        finally:
            peer.close()
    return result


def beside(peer: str) -> str:
    """The name of the first profiles that took turns with this counter."""
    return f"{WITH_TABLES} beside {peer}"


def again_beside(peer: str) -> str:
    """The name of the second profiles that took turns with this counter."""
    return f"{WITH_TABLES}{AGAIN} beside {peer}"


ROW = Row(
    "Other counters, on real tensors, against a profile with all its tables, on meta",
    NETWORKS,
    measure,
    (
        *(quicker(beside(name), name, 10, 30, f"{name} / first") for name in PEERS),
        *(quicker(again_beside(name), name, 10, 30, f"{name} / again") for name in PEERS),
    ),
    quick=("resnet50",),
    repeats=3,
    seconds=30,
    limit=1200,
)
