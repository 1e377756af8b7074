"""The page of other counters shows the kept records, and the kept records are what the counters report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiler import catalog
from tests.crosschecks import page
from tests.crosschecks.measuring import from_json, to_json
from tests.crosschecks.networks import NETWORKS
from tests.museum import MUSEUM

STALE = "write the page again: python -m tests.crosschecks.page --from-records"
CHANGED = "a counter says something else; measure again: python -m tests.crosschecks.page"
SMALL = ("torchvision:resnet18", "torchvision:mobilenet_v2")
"""Networks that are profiled quickly."""

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


@pytest.fixture(scope="module")
def museum() -> list[page.Measured]:
    """Every exhibit."""
    return page.read("museum")


def text() -> str:
    return page.PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_shows_the_museum(museum: list[page.Measured]) -> None:
    """Each row follows from the kept records and our current profiles; there are at least thirty."""
    assert "\n".join(page.museum_table(museum)) in text(), STALE
    assert len(museum) == len(MUSEUM) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_page_shows_the_networks(name: str) -> None:
    """Each row follows from the kept records, and all are explained."""
    (one,) = page.read("networks", [name])
    assert page.network_row(one) in text(), STALE
    assert all(row.explained for rows in one.rows.values() for row in rows)


@pytest.mark.slow
def test_at_least_fifteen_networks_are_compared() -> None:
    """Every counter ran on each of them."""
    records = from_json(page.RECORDS["networks"].read_text(encoding="utf-8"))
    assert list(records) == [network.name for network in NETWORKS]
    assert len(records) >= 15
    assert all([record.counter for record in kept] == list(catalog.counters()) for kept in records.values())


@pytest.mark.exhaustive
def test_the_page_is_up_to_date(museum: list[page.Measured]) -> None:
    """The whole page follows from the kept records."""
    assert page.page(museum, page.read("networks")) == text(), STALE


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", ["museum", "networks"])
def test_the_counters_report_what_is_kept(part: str, tmp_path: Path) -> None:
    """Every counter runs again on everything."""
    command = (sys.executable, "-W", "ignore", "-m", "tests.crosschecks.measuring", str(tmp_path / "records.json"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run((*command, *page.parts()[part]), check=True, cwd=page.ROOT, env=environment)
    kept = page.RECORDS[part].read_text(encoding="utf-8")
    assert (tmp_path / "records.json").read_text(encoding="utf-8") == kept, CHANGED


@pytest.mark.slow
def test_records_are_kept_whole() -> None:
    """The records are the same after writing and reading."""
    kept = page.RECORDS["museum"].read_text(encoding="utf-8")
    assert to_json(from_json(kept)) == kept
