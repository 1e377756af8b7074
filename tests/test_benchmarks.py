"""The benchmarks: how they measure, what they store, and that the page shows what is stored.  No time is tested."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import page, picture, results
from benchmarks.__main__ import main
from benchmarks.floor import replaying
from benchmarks.measuring import find_rows
from benchmarks.results import Result, Stored, figure, quicker, ratio, seconds
from benchmarks.timing import FEWEST, Clock, plain, process, take_turns
from tests import forking

ROOT = Path(__file__).parents[1]

SLOW, FAST = {"cpu": [4.0, 6.0, 9.0], "wall": [5.0, 6.0, 10.0]}, {"cpu": [2.0, 2.0, 2.0], "wall": [2.0, 2.0, 2.0]}
MEASURED = Result("forward", "resnet50", {"slow": SLOW, "fast": FAST}, {"MiB": [3.0]}, {"other": "no reason"})


@pytest.mark.slow
@pytest.mark.usefixtures("little_to_search")
def test_compared_runs_alternate() -> None:
    """Every repeat runs every thing once, in order; each has one sample a repeat by both clocks."""
    ran: list[str] = []
    things = [plain(name, partial(ran.append, name), partial(ran.append, "before")) for name in ("a", "b")]
    samples = take_turns(things, 3)
    assert ran == ["before", "a", "before", "b"] * 3
    assert {name: {clock: len(times) for clock, times in of.items()} for name, of in samples.items()} == {
        "a": {"cpu": 3, "wall": 3},
        "b": {"cpu": 3, "wall": 3},
    }


@pytest.mark.slow
@pytest.mark.usefixtures("little_to_search")
def test_no_repeat_begins_late() -> None:
    """After the given seconds three repeats are enough; before them nothing is left out."""
    for wanted, at_most, made in ((5, 0, FEWEST), (2, 0, 2), (5, 3600, 5)):
        assert len(take_turns([plain("a", lambda: None)], wanted, at_most=at_most)["a"]["cpu"]) == made


@pytest.mark.slow
@pytest.mark.usefixtures("little_to_search")
def test_laps_are_cumulative() -> None:
    """A thing with several laps notes the time since its start."""
    clock = Clock()
    clock.start()
    clock.lap("first")
    sum(range(10_000))
    clock.lap("second")
    assert clock.laps["first"]["wall"] < clock.laps["second"]["wall"]


@pytest.mark.slow
def test_a_replay_computes_nothing() -> None:
    """It returns what the first run returned, also after views and operations in place, and runs no kernel again."""
    ran: list[Any] = []

    class Counts(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ran.append(func)
            return func(*args, **(kwargs or {}))

    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Unflatten(1, (2, 3)), nn.Linear(3, 2))
    with torch.device("meta"):
        x = torch.empty(5, 4)
    model.to("meta")

    def forward() -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = model(x)
            return result

    run = replaying(forward)
    with Counts():  # type: ignore[no-untyped-call]
        results = [run(), run()]
    assert [tuple(result.shape) for result in results if isinstance(result, torch.Tensor)] == [(5, 2, 2)] * 2
    assert ran
    assert all(func._schema.returns[0].alias_info is not None for func in ran)


def test_a_process_that_fails_is_an_error() -> None:
    """The last line that it printed is the message; a process that succeeds has times."""
    clock = Clock()
    process("python", (sys.executable, "-S", "-c", "pass"), {})(clock)
    assert clock.laps["python"]["wall"] > 0
    with pytest.raises(RuntimeError, match="exit code 3: lost"):
        process("python", (sys.executable, "-S", "-c", "import sys; print('lost', file=sys.stderr); sys.exit(3)"), {})(
            clock
        )


def test_a_ratio_is_of_one_repeat() -> None:
    """The median is over the ratios of the repeats, and not a ratio of medians of different repeats."""
    cost, gain = ratio("slow", "fast", must=2.5, wanted=1), quicker("fast", "slow", must=2, wanted=4)
    assert cost.values(MEASURED, "cpu") == [4 / 2, 6 / 2, 9 / 2]
    assert cost.of(MEASURED) == gain.of(MEASURED) == 6 / 2
    assert cost.of(MEASURED, "wall") == 6 / 2
    assert cost.spread(MEASURED) == ((4 / 2 + 6 / 2) / 2, (6 / 2 + 9 / 2) / 2)
    assert (cost.verdict(3), cost.verdict(2.5), cost.verdict(1)) == ("missed", "must", "wanted")
    assert (gain.verdict(1), gain.verdict(3), gain.verdict(4)) == ("missed", "must", "wanted")
    assert (cost.worst([1, 2]), gain.worst([1, 2])) == (2, 1)


def test_a_figure_that_was_not_measured_has_no_value() -> None:
    """A figure of things that were not measured, or of other subjects, is missing and not zero."""
    assert ratio("slow", "absent").of(MEASURED) is None
    assert seconds("slow", "absent").of(MEASURED) is None
    assert figure("other", "MiB").of(MEASURED) is None
    assert ratio("slow", "fast").only("vit_b_16").of(MEASURED) is None
    assert seconds("slow", "fast").of(MEASURED) == 6 + 2
    assert figure("MiB", "MiB").of(MEASURED) == 3
    assert seconds("slow").verdict(1) == ""


def test_results_are_read_as_written(tmp_path: Path) -> None:
    """Samples, figures and failures come back; a new result replaces the one of the same row and subject."""
    stored = Stored({"CPU": "one"}, (MEASURED,))
    path = tmp_path / "results.json"
    path.write_text(results.as_json(stored), encoding="utf-8")
    assert results.read(path) == stored
    again = Result("forward", "resnet50", {"slow": FAST})
    other = Result("forward", "vit_b_16", {"slow": FAST})
    assert stored.updated({}, [again, other]).results == (again, other)
    assert MEASURED.joined(again).samples["slow"]["cpu"] == [4, 6, 9, 2, 2, 2]
    assert MEASURED.samples["slow"]["cpu"] == [4, 6, 9]


def test_every_row_is_whole() -> None:
    """A quick run is of subjects that the row has, and each row has a figure to show."""
    for name, row in find_rows().items():
        assert set(row.quick) <= set(row.subjects), name
        assert row.targets, name
        for target in row.targets:
            assert set(target.subjects) <= set(row.subjects), (name, target.label)


def test_the_page_shows_the_stored_results() -> None:
    """The tables in benchmarks/README.md are those of results.json."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page_text(text, results.read()) == text


def test_the_page_without_its_markers_is_refused() -> None:
    """Nothing is written to a page that has no place for the results."""
    with pytest.raises(ValueError, match="expected the lines"):
        page.page_text("# A page\n", Stored({}, ()))


def test_the_page_names_what_missed_its_bound() -> None:
    """The worst network decides, and failures are listed with their reasons."""
    good = {"forward": FAST, "profile": FAST, "FlopCounterMode": SLOW}
    bad = {"forward": FAST, "profile": SLOW, "FlopCounterMode": SLOW}
    stored = Stored({}, (Result("forward", "resnet50", good), Result("forward", "bert", bad, failed={"thop": "no"})))
    text = page.results_text(stored)
    assert "| forward: first / forward | 3 × (BERT-base) | ≤ 0.6, wanted ≤ 0.3 | 0 of 2 | **missed** |" in text
    assert "- BERT-base, thop: no" in text


def test_the_picture_is_of_the_stored_results() -> None:
    """results.svg names the results that it was drawn from."""
    assert picture.digest_in(picture.PICTURE.read_text(encoding="utf-8")) == picture.digest(results.read())
    assert picture.digest(Stored({}, (MEASURED,))) != picture.digest(results.read())


@pytest.mark.slow
def test_the_same_results_give_the_same_picture(tmp_path: Path) -> None:
    """No date and no random names are in it."""
    pytest.importorskip("matplotlib")
    times = {"forward": FAST, "profile": SLOW, "profile again": FAST, "FlopCounterMode": SLOW}
    stored = Stored({}, (Result("forward", "resnet50", times),))
    for name in ("one.svg", "two.svg"):
        picture.write_picture(stored, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert picture.digest_in((tmp_path / "one.svg").read_text(encoding="utf-8")) == picture.digest(stored)


class ForkedSubject(forking.Forked):
    """The process of a subject, from the server of ``forking`` in place of a new one."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], **_: object) -> None:
        super().__init__(command, env=env)

    def __enter__(self) -> ForkedSubject:
        return self

    def __exit__(self, *_: object) -> None: ...

    def kill(self) -> None:
        """End the process if it still runs."""
        if self.poll() is None:
            self.send_signal(9)


Benchmarks = Callable[..., str]


@pytest.fixture(
    params=[
        pytest.param(True, marks=pytest.mark.slow, id="forked"),
        pytest.param(False, marks=pytest.mark.exhaustive, id="in new processes"),
    ]
)
def benchmarks(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Benchmarks:
    """``python -m benchmarks`` with arguments: what it prints.  Each subject is measured in another process."""

    def printed(*arguments: str) -> str:
        if not request.param:
            done = forking.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT)
            assert done.returncode == 0, done.stderr
            return done.stdout
        stand_in = SimpleNamespace(Popen=ForkedSubject, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
        monkeypatch.setattr("benchmarks.measuring.subprocess", stand_in)
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        main()
        return capsys.readouterr().out

    return printed


def test_a_row_is_measured(benchmarks: Benchmarks) -> None:
    """One repeat on a small network: all figures of the row are printed, and nothing is stored."""
    before = results.RESULTS.read_bytes() if results.RESULTS.exists() else None
    printed = benchmarks("forward", "--subjects", "squeezenet1_1", "--repeats", "1")
    assert all(target.label in printed for target in find_rows()["forward"].targets), printed
    assert before == (results.RESULTS.read_bytes() if results.RESULTS.exists() else None)


def test_a_row_that_fails_says_why(benchmarks: Benchmarks) -> None:
    """The reason is the last line that its process printed."""
    assert "resnet51: profiler.errors.TargetError" in benchmarks("forward", "--subjects", "resnet51", "--repeats", "1")


def test_results_hold_no_names_of_places() -> None:
    """The stored results name versions and hardware, and no folder or host."""
    assert re.findall(r"[\s\"'(]/\w+/", results.as_json(results.read())) == []
    assert re.findall(r"[\s\"'(]/\w+/", 'No such file: "/tmp/x"') == ['"/tmp/']


def test_the_parts_of_a_profile_are_those_that_run() -> None:
    """Each part of ``python -m benchmarks.parts`` is a function that a first profile calls."""
    from torch import nn

    import profiler
    from benchmarks.parts import PARTS, clocks
    from benchmarks.profiling import forget

    forget()
    spent: dict[str, float] = {}
    with clocks(spent):
        profiler.profile(
            nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]), input_size=(1, 4)
        )
    assert set(spent) == {label for label, _, _ in PARTS}
    assert all(seconds > 0 for seconds in spent.values())
