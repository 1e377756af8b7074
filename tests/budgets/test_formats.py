"""The formats of a check: what they say, and that hostile names stay text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from profiler import catalog
from profiler.budgets.model import CheckResult
from profiler.budgets.sentences import growth_text, layers_text, passed_line, sentence, title, verdict_line
from profiler.printable import visible
from profiler.render.checking import check_report
from profiler.render.checks import check_files, github, junit
from profiler.render.checks.junit import NO_TIME
from profiler.render.terminal import render_terminal
from tests import sample_profiles as nets
from tests.budgets.checks import checked, compared, grown

HOSTILE = 'a|b<c>,"d":%0A\r\n::error::\x1b[31m\u202ee&f'


def hostile() -> CheckResult:
    """A failure of a network whose modules and paths have hostile names."""
    net = nets.Network("bad", (1, 4)).linear(HOSTILE, 5).uncounted("odd\x00", "lib::<script>")
    result = checked(net.profile(), modules={"a|*\x1b*": {"macs": 1}}, complete=True)
    return replace(result, name=HOSTILE, file=f"{HOSTILE}.yaml", remarks=(HOSTILE,))


def results() -> dict[str, list[CheckResult]]:
    """Checks of every kind: failures of all verdicts, growth, and networks that passed."""
    alexnet = {"macs": "700M", "parameters": "<= 62M", "modules": {"features.*": {"macs": "600M", "flops": ">= 2G"}}}
    over = checked(nets.alexnet(), **alexnet, complete=True, shares={"linear": {"parameters": "<= 90 %"}})
    return {
        "over": [over],
        "partial": [checked(nets.partial(), macs="1G", flops=1, shares={"conv": "<= 40 %"}, complete=True)],
        "grown": [compared(grown(), nets.small(), "10%", parameters="1k")],
        "passed": [checked(nets.alexnet(), macs="800M", complete=True, shares={"conv": ">= 50 %"})],
        "several": [over, checked(nets.small(), macs="1M"), compared(nets.wide(75), nets.wide(100))],
        "hostile": [hostile()],
    }


RESULTS = results()


def terminal(found: Sequence[CheckResult], width: int = 100) -> str:
    """What a terminal shows."""
    return render_terminal(check_report(found), Console(file=io.StringIO(), width=width, color_system=None))


def document(found: Sequence[CheckResult], form: str) -> str:
    """The single file of a format that has one."""
    (text,) = check_files(found, (form,)).values()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("name", RESULTS)
def test_reports_equal_their_golden_files(golden: Callable[[str, str], None], name: str) -> None:
    """The terminal's text, the Markdown for a pull request and the annotations."""
    golden(f"checks/{name}.txt", terminal(RESULTS[name]))
    golden(f"checks/{name}.md", document(RESULTS[name], "summary"))
    golden(f"checks/{name}.annotations", document(RESULTS[name], "github"))
    golden(f"checks/{name}.json", document(RESULTS[name], "json"))
    golden(f"checks/{name}.xml", junit.junit_text(RESULTS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("form", catalog.formats())
def test_every_format_of_reports_shows_a_check(name: str, form: str) -> None:
    """None of them knows anything of checks."""
    assert all(check_files(RESULTS[name], (form,)).values())


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("name", RESULTS)
def test_a_terminal_of_any_width(name: str, width: int) -> None:
    """No line is wider than the terminal, and from 60 columns on the verdict on each limit is shown."""
    text = terminal(RESULTS[name], width)
    assert max(map(len, text.splitlines())) <= width
    for result in RESULTS[name]:
        for finding in result.failures:
            assert width < 60 or finding.verdict in text


def unescaped(text: str) -> str:
    """What GitHub makes of an escaped text, in its order."""
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


COMMAND = re.compile(r"::(error|notice) file=([^,:]*),title=([^,:]*)::(.*)")


def visible_lines(text: str) -> str:
    """The text with escapes for control characters other than line feeds."""
    return visible(text, keep="\n")


def errors_of(result: CheckResult) -> list[tuple[str, str, str]]:
    """The file, the title and the message of each error about a network."""
    errors = []
    for finding in result.failures:
        if finding.before is None:
            message = "\n".join(visible(text) for text in (sentence(finding), layers_text(finding)) if text)
            errors.append((visible(result.file), visible(f"{result.name}: {title(finding)}"), message))
    above = [sentence(finding) for finding in result.failures if finding.before is not None]
    if above:
        heading = f"{result.name}: {len(above)} figures are not within their baseline"
        errors.append((result.file, heading, "\n".join([*above, growth_text(result)])))
    return errors


@pytest.mark.parametrize("name", RESULTS)
def test_annotations_are_one_command_a_line(name: str) -> None:
    """Each has a file, a title and a message; GitHub reads from them what was meant."""
    lines = document(RESULTS[name], "github").splitlines()
    found = [COMMAND.fullmatch(line) for line in lines]
    assert all(found), lines
    commands = [match.groups() for match in found if match is not None]
    errors = [command[1:] for command in commands if command[0] == "error"]
    expected = [part for result in RESULTS[name] for part in errors_of(result)]
    assert [tuple(map(unescaped, error)) for error in errors] == [tuple(map(visible_lines, part)) for part in expected]
    passed = [result for result in RESULTS[name] if result.passed]
    notices = [unescaped(command[3]) for command in commands if command[0] == "notice"]
    assert [notice for notice in notices if ": passed: " in notice] == [passed_line(result) for result in passed]


def test_the_escapes_of_github() -> None:
    """Percent signs and line ends everywhere; colons and commas in properties only."""
    assert github.escape_message("a%b\r\nc:d,e") == "a%25b%0D%0Ac:d,e"
    assert github.escape_property("a%b\r\nc:d,e") == "a%25b%0D%0Ac%3Ad%2Ce"
    assert github.escape_message("%0A") == "%250A"


def test_a_hostile_name_stays_text() -> None:
    """Control characters and directions are escaped in every text."""
    for form in ("github", "junit", "summary"):
        text = document([hostile()], form)
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text), form
    assert "\x1b" not in terminal([hostile()])
    names = {network["name"] for network in json.loads(document([hostile()], "json"))["networks"]}
    assert names == {HOSTILE}


ATTRIBUTES = {
    "testsuites": set[str](),
    "testsuite": {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "time"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
}
"""What the schemas of Jenkins and of Ant's task know of these elements and what they demand."""


def junit_faults(text: str) -> list[str]:
    """What is wrong with a document by the usual schemas of JUnit's XML."""
    root = ElementTree.fromstring(text)
    faults = [] if root.tag == "testsuites" else [f"root {root.tag}"]
    for element in root.iter():
        if set(element.attrib) != ATTRIBUTES.get(element.tag, set()):
            faults.append(f"{element.tag} has {sorted(element.attrib)}")
    for suite in root:
        cases = suite.findall("testcase")
        tags = [child.tag for child in suite]
        if tags != ["properties", *["testcase"] * len(cases), "system-out", "system-err"]:
            faults.append(f"order {tags}")
        failed = sum(case.find("failure") is not None for case in cases)
        if (suite.get("tests"), suite.get("failures")) != (str(len(cases)), str(failed)):
            faults.append("numbers")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", "")):
            faults.append("timestamp")
        faults += [f"in a case {child.tag}" for case in cases for child in case if child.tag != "failure"]
    return faults


@pytest.mark.parametrize("name", RESULTS)
def test_junit_is_valid(name: str) -> None:
    """It has the elements, their order and the attributes of the usual schemas, and a case for each limit."""
    text = document(RESULTS[name], "junit")
    assert junit_faults(text) == []
    root = ElementTree.fromstring(text)
    assert [len(suite.findall("testcase")) for suite in root] == [len(result.findings) for result in RESULTS[name]]
    assert [suite.get("failures") for suite in root] == [str(len(result.failures)) for result in RESULTS[name]]


def test_junit_is_the_same_on_each_run() -> None:
    """It holds no date of the run."""
    assert document(RESULTS["over"], "junit") == document(RESULTS["over"], "junit")
    assert NO_TIME in document(RESULTS["over"], "junit")


def test_a_fault_of_junit_is_seen() -> None:
    """The check above is able to fail."""
    text = document(RESULTS["over"], "junit")
    assert junit_faults(text.replace(' tests="', ' tests="1'))
    assert junit_faults(text.replace(' package="profiler check"', ""))
    assert junit_faults(text.replace("<properties />", ""))
    assert junit_faults(text.replace("<failure ", "<error ").replace("</failure>", "</error>"))


@pytest.mark.parametrize("name", RESULTS)
def test_json_has_every_number(name: str) -> None:
    """Counts are integers, and every finding is in it with its verdict."""
    data = json.loads(document(RESULTS[name], "json"))
    assert data["passed"] is all(result.passed for result in RESULTS[name])
    for network, result in zip(data["networks"], RESULTS[name], strict=True):
        assert [finding["verdict"] for finding in network["findings"]] == [each.verdict for each in result.findings]
        for finding, each in zip(network["findings"], result.findings, strict=True):
            if each.unit == "count":
                assert (finding["actual"], type(finding["actual"])) == (each.actual, int)
            assert [layer["layer"] for layer in finding["layers"]] == [layer.name for layer in each.layers]


def test_csv_has_every_limit() -> None:
    """Kept ones too, with the room that is left."""
    rows = list(csv.DictReader(io.StringIO(str(check_files(RESULTS["over"], ("csv",))["limits.csv"]))))
    assert [(row["figure"], row["actual"], row["verdict"], row["by"]) for row in rows] == [
        ("operations that are not counted", "0", "kept", "0"),
        ("MACs", "714188480", "over", str(714188480 - 700_000_000)),
        ("parameters", "61100840", "kept", str(62_000_000 - 61_100_840)),
        ("MACs of features.*", "655566528", "over", str(655566528 - 600_000_000)),
        ("FLOPs of features.*", rows[4]["actual"], "below", str(2 * 10**9 - int(rows[4]["actual"]))),
    ]


def test_a_line_says_how_much_room_is_left() -> None:
    """One line for a network that passed."""
    (result,) = RESULTS["passed"]
    assert passed_line(result) == (
        "alexnet: passed: MACs: 714,188,480, limit <= 800 M, 85,811,520 (10.73 %) left; "
        "conv, share of FLOPs: 91.79 %, limit >= 50 %, 41.79 points left; everything is counted."
    )


def test_growth_within_the_tolerance_is_reported() -> None:
    """The figure that grew the most is named."""
    assert passed_line(compared(nets.wide(101), nets.wide(100), "1%")) == (
        "wide: passed: none of 8 figures is above the baseline by more than the tolerance (multiplies grew by 1.00 %)."
    )


def test_the_verdict_on_all() -> None:
    """One or several networks, none or some of them not within their limits."""
    small, over = checked(nets.small(), macs="1M"), checked(nets.small(), macs=1)
    assert [verdict_line(found) for found in ([small], [small, small], [over], [small, over], [over, over])] == [
        "small is within its limits",
        "Every network is within its limits",
        "small is not within its limits",
        "1 of 2 networks is not within its limits",
        "2 of 2 networks are not within their limits",
    ]


def test_a_percentage_never_rounds_to_a_limit_that_it_exceeds_silently() -> None:
    """An excess of less than a hundredth of a point is shown as such."""
    result = checked(nets.small(), shares={"conv": "<= 72.972 %"})
    assert "over by <0.01 points" in sentence(result.findings[0])
    assert "<0.01 %" in terminal([result])
