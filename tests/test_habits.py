"""Habits of this repository that no linter knows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent

BRITISH = re.compile(
    r"neighbour|colour|behaviour|favour|honour|labour|centred|centre|centring|licence|defence|offence|grey"
    r"|catalogue|analogue|dialogue|programme|artefact|judgement|whilst|amongst|learnt|spelt|misspelt|fulfil\b"
    r"|(?:label|model|cancel|travel|signal|total|channel|tunnel)l(?:ed|ing)\b"
    r"|(?:normal|quantis?|initial|parameter|triangular|factor|synchron|recogn|optim|maxim|minim|serial|summar"
    r"|general|linear|material|vector|special|categor|penal|emphas|organ|real|util|visual|token|random|custom"
    r"|character|standard|local|final|memor|author|critic|regular|discret|polar|binar|diagonal|orthogonal)"
    r"is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])"
    r"|quantis(?:e|ed|es|er|ing|ation)|analys(?:e|ed|ing)\b|paralys",
    re.IGNORECASE,
)
"""British spellings, also as a part of a name; American ones are used everywhere."""

DIALECT = re.compile(
    r"\btwins?\b(?! svt)|\btak(?:e|es|ing|en) apart\b|\b(?:has|have|had) not\b(?! been)|\bwhose counts?\b"
    r"|\bhand(?:s|ed)? back\b|\bof one's own\b|\bfor (?:lack|want) of\b"
    r"|\b(?:this|that|which|what|it) (?:is|are) (?-i:none)\b"
    r"|\ba person's own\b|\bwhose it is\b|\bones?(?:'s)? own\b|\bwhose an?\b|\bis let\b|\bare let\b"
    r"|\bsaid\b|\basked\b|\btold\b|\bleft alone\b|\blikewise\b|\banew\b|\ball the same\b"
    r"|\b(?:is|are|left|kept) as (?:it|they) (?:is|are|was|were)\b|\bas it is(?=[.,;:)(]|$)",
    re.IGNORECASE,
)
"""Phrases that readers stumbled over, also as a part of a name.

Say instead: meta copy, decomposed, does not have, by which convention, returns, reported, requested, unchanged, also, …
"""


@cache
def is_british(word: str) -> bool:
    """Whether the word has a British spelling in it."""
    return BRITISH.search(word) is not None


def british(text: str) -> list[str]:
    """The words of a text with a British spelling; underscores separate words."""
    return [word for word in re.findall(r"[A-Za-z]{4,}", text) if is_british(word)]


def dialect(text: str) -> list[str]:
    """The phrases of ``DIALECT`` in a text, each with the text around it; a line break or underscores may be in it."""
    joined = re.sub(r"[ \t]*\n[ \t]*(?:# )?", " ", text).replace("_", " ")
    return [joined[max(0, found.start() - 30) : found.end() + 30] for found in DIALECT.finditer(joined)]


def prose(*folders: str) -> dict[str, str]:
    """The files whose text people read, by their paths in the repository."""
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    for folder in folders:
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".yaml")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


def undocumented(source: str) -> list[str]:
    """The test functions of a file that do not say what they hold."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]


@pytest.mark.slow
def test_every_test_has_a_docstring() -> None:
    """The docstring says what the test checks."""
    silent = {path.name: undocumented(path.read_text(encoding="utf-8")) for path in TESTS.rglob("test_*.py")}
    assert {name: functions for name, functions in silent.items() if functions} == {}


def test_a_silent_test_is_seen() -> None:
    """The check above is able to fail."""
    assert undocumented("def test_x():\n    assert True\n") == ["test_x"]


@pytest.mark.slow
def test_one_spelling() -> None:
    """American, in code, documents, configs, tests and reports."""
    texts = prose("profiler", "docs", "configs", "tests", "benchmarks")
    texts.pop("tests/test_habits.py")
    assert {name: found for name, text in texts.items() if (found := british(text))} == {}


@pytest.mark.slow
def test_plain_english() -> None:
    """Phrases that readers stumbled over do not come back in code, tests and documents."""
    texts = prose("profiler", "docs", "tests")
    texts.pop("tests/test_habits.py")
    assert {name: found for name, text in texts.items() if (found := dialect(text))} == {}


def test_words_are_found() -> None:
    """The two checks above are able to fail, also for a part of a name and for a phrase on two lines."""
    for word in ("neighbours", "colour", "unnormalised", "_quantise(", "initialisation", "modelled", "Behaviour"):
        assert british(word), word
    for word in ("otherwise", "raised", "likewise", "noise", "promise", "advise", "precision", "analysis", "four"):
        assert not british(word), word
    for phrase in ("its twin", "taken\n    apart", "which it has not.", "By whose count", "an object of one's own"):
        assert dialect(phrase), phrase
    for name in ("def test_a_layer_of_ones_own()", "said = 5", "is_taken_apart", "test_a_network_stays_as_it_is(mode)"):
        assert dialect(name), name
    for phrase in ("has not been read", "it is not known", "a part that is taken", "masked", "as it is built"):
        assert not dialect(phrase), phrase
