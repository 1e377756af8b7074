"""Results of a check → GitHub annotations: workflow commands that GitHub shows at the file in a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.budgets.model import CheckResult, Finding
from profiler.budgets.sentences import growth_text, layers_text, passed_line, sentence, title
from profiler.printable import visible


def render(results: Sequence[CheckResult]) -> dict[str, str]:
    """``annotations.txt``: an error for each limit of a budget that was not kept, a notice for a network that passed.

    All figures above a baseline are one error, since GitHub shows at most 10 errors of a step.
    """
    lines: list[str] = []
    for result in results:
        of_budget = [finding for finding in result.failures if finding.before is None]
        above = [finding for finding in result.failures if finding.before is not None]
        for finding in of_budget:
            lines.append(_command("error", result, f"{result.name}: {title(finding)}", _message(finding)))
        if above:
            lines.append(_command("error", result, _baseline_title(result, above), _baseline_message(result, above)))
        if result.passed:
            lines.append(_command("notice", result, f"{result.name}: within its limits", passed_line(result)))
        else:
            lines += [_command("notice", result, result.name, remark) for remark in result.remarks]
    return {"annotations.txt": "".join(f"{line}\n" for line in lines)}


def _baseline_title(result: CheckResult, above: Sequence[Finding]) -> str:
    if len(above) == 1:
        return f"{result.name}: {title(above[0])}"
    return f"{result.name}: {len(above)} figures are not within their baseline"


def _baseline_message(result: CheckResult, above: Sequence[Finding]) -> str:
    """A line for each figure, and one for the layers: those that grew, or what is not counted."""
    layers = growth_text(result) or layers_text(above[0])
    return "\n".join(filter(None, (*(visible(sentence(finding)) for finding in above), visible(layers))))


def _message(finding: Finding) -> str:
    return "\n".join(filter(None, (visible(sentence(finding)), visible(layers_text(finding)))))


def _command(kind: str, result: CheckResult, title: str, message: str) -> str:
    """``::error file=…,title=…::message``."""
    properties = {"file": result.file, "title": title}
    written = ",".join(f"{key}={escape_property(visible(value))}" for key, value in properties.items() if value)
    return f"::{kind} {written}::{escape_message(visible(message, keep=chr(10)))}"


def escape_message(text: str) -> str:
    """The text after the second ``::``: percent signs and line ends are escaped."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """The value of a property, in which colons and commas are escaped too."""
    return escape_message(text).replace(":", "%3A").replace(",", "%2C")
