"""Whatever the tests of rules count is counted once more with sizes that note what is asked of them.

The ledger, ``symbolic_sizes.txt``, has a line for each rule: the worst that it does in any test.  A test in which a
rule does worse than its line fails, and so does one in which a rule without a line compares sizes.  Run all tests in
``tests/rules`` in one process with ``--accept-golden`` to write the ledger anew.
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
    """Replay every call of a rule in a test with recording sizes, and hold it to the ledger."""
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
    """Write the ledger where it is accepted."""
    if session.config.getoption("--accept-golden") and not hasattr(session.config, "workerinput"):
        ledger.write(FOUND)
