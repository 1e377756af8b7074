"""Each rule that a test calls is called a second time with sizes that record how they are used.

The ledger, ``symbolic_sizes.txt``, has a line for each rule: the worst verdict of any test. A test fails if a rule
gets a worse verdict than its line, or if a rule without a line compares sizes. To write the ledger again, run all
tests in ``tests/rules`` in one process with ``--accept-golden``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from profiler.opcount import Term
from profiler.rules.registry import Entry
from tests.rules import ledger
from tests.rules.recording_sizes import VERDICTS, verdict

KNOWN = ledger.read()
FOUND: dict[str, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Replay every call of a rule in a test with recording sizes, and compare the verdict with the ledger."""
    counted, worse = Entry.apply, list[str]()

    def counted_twice(entry: Entry, *args: Any, out: Any, **kwargs: Any) -> tuple[str, tuple[Term, ...]]:
        kind, terms = counted(entry, *args, out=out, **kwargs)
        if rule := ledger.rule_of(entry):
            seen = verdict(entry, terms, args, out, kwargs)
            FOUND[rule] = max(seen, FOUND.get(rule, seen), key=VERDICTS.index)
            expected = KNOWN.get(rule, VERDICTS[1])
            if VERDICTS.index(seen) > VERDICTS.index(expected):
                worse.append(f"{rule} with sizes that are no numbers: {seen}, the ledger says: {expected}")
        return kind, terms

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Entry, "apply", counted_twice)
        result = yield
    if worse and not item.config.getoption("--accept-golden"):
        pytest.fail("; ".join(dict.fromkeys(worse)), pytrace=False)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the ledger if ``--accept-golden`` is given."""
    if session.config.getoption("--accept-golden") and not hasattr(session.config, "workerinput"):
        ledger.write(FOUND)
