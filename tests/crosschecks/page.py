"""The page of other counters, docs/other-counters.md: ``python -m tests.crosschecks.page`` writes it again.

The reports of the counters are measured first and kept in ``tests/golden/crosschecks``; with ``--from-records`` the
page is made from the kept records.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from profiler import Profile, catalog, profile
from profiler.crosschecks.counter import all_reasons
from profiler.crosschecks.rows import Row, crosscheck_rows
from profiler.files import write_text
from profiler.records import CounterRecord, show_shapes
from tests.crosschecks.measuring import from_json, subjects
from tests.crosschecks.networks import NETWORKS
from tests.museum import MUSEUM

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "other-counters.md"
RECORDS = {name: ROOT / "tests" / "golden" / "crosschecks" / f"{name}.json" for name in ("museum", "networks")}

INTRODUCTION = """\
# What other counters report

The MACs of {exhibits} small modules and {networks} networks as eight counters print them, compared with the exact
count. Each counter was run as its manual says, in eval mode (fvcore and torch's without gradients). `=` means the exact
count, `–` means that the counter failed; the messages are below. `torch` is `FlopCounterMode` on the meta device and
`torch-cpu` is the same on the CPU; both columns have half of its FLOPs. `calflops` prints MACs and FLOPs; its column
has its MACs.

{explained}
This page is written by `python -m tests.crosschecks.page`.
"""

MUSEUM_HEADING = """\
## The museum

Small modules that counters get wrong ([tests/museum.py](../tests/museum.py)). Each runs on two samples, unless it has
no batch.
"""

NETWORKS_HEADING = """\
## Networks

Each runs on one image or one text. The ratio to the exact count is in parentheses.
"""

REASONS_HEADING = """\
## Reasons

Why a figure is not the exact one. Each reason is derived from the report of the counter, and from its own rules
applied to the recorded shapes; the parts add up to the difference, layer by layer. The counters in the last column
are those for which the reason occurs here, with the number of modules and networks.
"""


@dataclass(frozen=True)
class Measured:
    """One exhibit or network: our profile, the records of all counters, and the rows of the cross-check."""

    name: str
    profile: Profile
    records: Mapping[str, CounterRecord]
    rows: Mapping[str, tuple[Row, ...]]

    @property
    def macs(self) -> int:
        return self.profile.total.macs

    def figure(self, counter: str) -> int | None:
        """The total that the counter reported, or ``None`` if it failed."""
        record = self.records[counter]
        return sum(figure.figure for figure in record.figures) if record.status == "ok" else None


def exhibit_profile(name: str) -> Profile:
    """Our profile of an exhibit."""
    model, inputs = MUSEUM[name]()
    return profile(model, inputs, name=name)


def read(part: str, names: Iterable[str] | None = None) -> list[Measured]:
    """The museum or the networks as they were measured, with our current profiles."""
    networks = {network.name: network for network in NETWORKS}
    found = []
    for name, records in from_json(RECORDS[part].read_text(encoding="utf-8")).items():
        if names is None or name in names:
            ours = networks[name].profile() if name in networks else exhibit_profile(name)
            rows = {record.counter: tuple(crosscheck_rows(ours.trace, record)) for record in records}
            found.append(Measured(name, ours, {record.counter: record for record in records}, rows))
    return found


def page(museum: list[Measured], networks: list[Measured]) -> str:
    """The whole page."""
    everything = [*museum, *networks]
    return "\n".join(
        (
            INTRODUCTION.format(exhibits=len(museum), networks=len(networks), explained=_explained(everything)),
            _versions(everything),
            MUSEUM_HEADING,
            *museum_table(museum),
            "",
            NETWORKS_HEADING,
            *networks_table(networks),
            "",
            REASONS_HEADING,
            *_reasons(everything),
            "",
            "## Failures\n",
            *_failures(everything),
            "",
        )
    )


def _explained(everything: list[Measured]) -> str:
    rows = [row for one in everything for rows in one.rows.values() for row in rows]
    different = sum(bool(row.difference) for row in rows)
    left = [row for row in rows if not row.explained]
    return (
        f"Of {len(rows):,} figures of single layers {different:,} are not the exact ones; "
        f"{'all of these differences are explained' if not left else f'{len(left)} of them are unexplained'}."
    )


def _versions(everything: list[Measured]) -> str:
    versions = {
        counter: {one.records[counter].version for one in everything if one.records[counter].version}
        for counter in catalog.counters()
    }
    texts = (f"{counter} {', '.join(sorted(found))}" for counter, found in versions.items())
    return f"Versions: {'; '.join(texts)}.\n"


def museum_table(museum: list[Measured]) -> Iterator[str]:
    """One row for each exhibit, and one with the number of exhibits on which each counter is right."""
    yield f"| module | exact | {' | '.join(catalog.counters())} |"
    yield f"|:--|--:|{'--:|' * len(catalog.counters())}"
    for one in museum:
        yield museum_row(one)
    right = (sum(one.figure(counter) == one.macs for one in museum) for counter in catalog.counters())
    yield f"| **exact on** | {len(museum)} | {' | '.join(f'**{number}**' for number in right)} |"


def museum_row(one: Measured) -> str:
    """The total of each counter for one exhibit."""
    cells = (_cell(one.figure(counter), one.macs) for counter in catalog.counters())
    return f"| {one.name} | {one.macs:,} | {' | '.join(cells)} |"


def networks_table(networks: list[Measured]) -> Iterator[str]:
    """One row for each network."""
    yield f"| network | input | exact | {' | '.join(catalog.counters())} |"
    yield f"|:--|:--|--:|{'--:|' * len(catalog.counters())}"
    for one in networks:
        yield network_row(one)


def network_row(one: Measured) -> str:
    """The total of each counter for one network."""
    cells = []
    for counter in catalog.counters():
        figure = one.figure(counter)
        ratio = "" if figure in (None, one.macs) else f" ({figure / one.macs:.4f})"
        cells.append(_cell(figure, one.macs) + ratio)
    return f"| {one.name} | {show_shapes(one.profile.input_shapes)} | {one.macs:,} | {' | '.join(cells)} |"


def _cell(figure: int | None, macs: int) -> str:
    if figure is None:
        return "–"
    return "=" if figure == macs else f"{figure:,}"


def _reasons(everything: list[Measured]) -> Iterator[str]:
    """All reasons, with the counters that each of them was found for."""
    met: dict[str, dict[str, set[str]]] = {}
    for one in everything:
        for counter, rows in one.rows.items():
            for code in {part.reason.code for row in rows for part in row.parts}:
                met.setdefault(code, {}).setdefault(counter, set()).add(one.name)
    yield "| reason | what it means | counters |"
    yield "|:--|:--|:--|"
    for reason in all_reasons():
        who = ", ".join(f"{counter} {len(names)}" for counter, names in met.get(reason.code, {}).items())
        yield f"| {reason.code} | {reason.meaning} | {who} |"


def _failures(everything: list[Measured]) -> Iterator[str]:
    messages: dict[tuple[str, str], list[str]] = {}
    for one in everything:
        for counter, record in one.records.items():
            if record.status != "ok":
                messages.setdefault((counter, record.message), []).append(one.name)
    for (counter, message), names in messages.items():
        yield f"- **{counter}**: {message} ({', '.join(names)})"


def measure() -> None:
    """Run every counter on everything, in a process whose torch has one thread, and keep the records."""
    command = (sys.executable, "-W", "ignore", "-m", "tests.crosschecks.measuring")
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    for part, names in parts().items():
        subprocess.run((*command, str(RECORDS[part]), *names), check=True, cwd=ROOT, env=single)


def parts() -> dict[str, list[str]]:
    """The names in the museum, and those of the networks."""
    return {
        "museum": [name for name in subjects() if name in MUSEUM],
        "networks": [network.name for network in NETWORKS],
    }


if __name__ == "__main__":
    if "--from-records" not in sys.argv[1:]:
        measure()
    write_text(PAGE, page(read("museum"), read("networks")))
