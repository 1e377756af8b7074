"""The check of golden files can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_files import assert_golden


def test_a_changed_text_fails(tmp_path: Path) -> None:
    """One more character is a failure, and so is another line ending."""
    path = tmp_path / "a.txt"
    assert_golden(path, "one\ntwo\n", accept=True)
    assert_golden(path, "one\ntwo\n")
    for wrong in ("one\ntwo \n", "one\r\ntwo\r\n", ""):
        with pytest.raises(AssertionError, match=r"a\.txt"):
            assert_golden(path, wrong)


def test_a_missing_file_fails(tmp_path: Path) -> None:
    """A text without a golden file is not accepted."""
    with pytest.raises(AssertionError, match="--accept-golden"):
        assert_golden(tmp_path / "none.txt", "text")
