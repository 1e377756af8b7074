"""Attributes that are replaced while a network is built."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from torch import nn

from profiler.models.fills import initializers_left_out

MODULE = """
from torch.nn import init
from torch.nn.init import constant_

own = {"constant_": init.constant_, "other": len}
"""


def test_modules_that_are_imported_meanwhile_keep_no_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the original in their namespace and in their dictionaries; in all builds within another one too."""
    (tmp_path / "takes_initializers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    original = nn.init.constant_
    with initializers_left_out():
        with initializers_left_out():
            module = importlib.import_module("takes_initializers")
        assert module.constant_ is nn.init.constant_ is not original
    monkeypatch.delitem(sys.modules, "takes_initializers")
    assert module.constant_ is module.own["constant_"] is nn.init.constant_ is original
    assert module.own["other"] is len
