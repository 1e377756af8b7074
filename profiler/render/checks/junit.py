"""Results of a check → JUnit XML, which CI systems show as tests: a suite for each network, a case for each limit."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from profiler.budgets.model import CheckResult, Finding
from profiler.budgets.sentences import layers_text, sentence
from profiler.printable import visible

NO_TIME = "1970-01-01T00:00:00"
"""Schemas demand a time.  The same results are the same bytes, so it is not that of the check."""


def render(results: Sequence[CheckResult]) -> dict[str, str]:
    """``junit.xml``."""
    return {"junit.xml": junit_text(results)}


def junit_text(results: Sequence[CheckResult]) -> str:
    """The document; it has every element and attribute that a known schema of JUnit's format demands."""
    suites = ElementTree.Element("testsuites")
    for number, result in enumerate(results):
        suites.append(_suite(result, number))
    ElementTree.indent(suites)
    body = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(result: CheckResult, number: int) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": visible(result.name),
            "package": "profiler check",
            "id": str(number),
            "timestamp": NO_TIME,
            "hostname": "localhost",
            "tests": str(len(result.findings)),
            "failures": str(len(result.failures)),
            "errors": "0",
            "time": "0",
        },
    )
    ElementTree.SubElement(suite, "properties")
    for finding in result.findings:
        case = {"name": visible(_name(finding)), "classname": visible(result.name), "time": "0"}
        element = ElementTree.SubElement(suite, "testcase", case)
        if not finding.passed:
            _failure(element, finding)
    ElementTree.SubElement(suite, "system-out").text = visible("\n".join(result.remarks), keep="\n")
    ElementTree.SubElement(suite, "system-err")
    return suite


def _name(finding: Finding) -> str:
    """The name of a case, which stays the same while the limit does; the figures of a baseline change more often."""
    return finding.key if finding.before is not None else f"{finding.key} {finding.limit.text}"


def _failure(case: ElementTree.Element, finding: Finding) -> None:
    message = visible(sentence(finding))
    failure = ElementTree.SubElement(case, "failure", {"message": message, "type": finding.verdict})
    failure.text = "\n".join(filter(None, (message, visible(layers_text(finding)))))
