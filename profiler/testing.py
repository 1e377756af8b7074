"""Budgets in a test suite: an assertion about what a network costs, with the message of ``profiler check``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiler.budgets.model import CheckResult
    from profiler.profiles import Profile

__all__ = ["assert_budget", "assert_same_cost"]

WIDTH = 100
"""The number of columns of a message."""

_ABSENT: Any = object()


def assert_budget(
    model: Any,
    inputs: Any = _ABSENT,
    *,
    complete: bool | None = None,
    modules: Mapping[str, Mapping[str, object]] | None = None,
    shares: Mapping[str, object] | None = None,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    mode: str = "inference",
    name: str | None = None,
    optimizer: str | None = None,
    method: str = "forward",
    part: str | None = None,
    exclude: Sequence[str] | str = (),
    **limits: object,
) -> Profile:
    """Assert that one call of ``model`` on ``inputs`` costs no more than it may, and return its profile.

    ``limits`` are those of figures, ``macs="<= 4.1G"``, ``parameters="26M"``; ``modules``, ``shares`` and ``complete``
    are as in a file of budgets.  The other arguments are those of :func:`profiler.profile`; ``model`` may also be a
    profile or a config.  Raises AssertionError with the tables of ``profiler check``, and
    :class:`~profiler.errors.ConfigError` for a limit that cannot be read or names nothing.
    """
    from profiler.budgets.checking import check_profile
    from profiler.config.budget import parse_budget
    from profiler.errors import ConfigError

    wanted = {"complete": complete, "modules": modules, "shares": shares}
    budget = parse_budget(
        {**limits, **{key: value for key, value in wanted.items() if value is not None}}, "assert_budget", ": "
    )
    if not (budget.limits or budget.complete):
        raise ConfigError("assert_budget: found no limit, expected at least one, such as macs='4.1G'")
    options = {
        "input_size": input_size,
        "mode": mode,
        "name": name,
        "optimizer": optimizer,
        "method": method,
        "part": part,
        "exclude": exclude,
    }
    profile = _profile(model, inputs, options)
    _assert(check_profile(profile, [budget]))
    return profile


def assert_same_cost(
    model: Any,
    inputs: Any = _ABSENT,
    *,
    baseline: str | PathLike[str],
    tolerance: str = "0",
    update: bool = False,
    accept_partial: bool = False,
    **options: Any,
) -> Profile:
    """Assert that no figure of ``model`` on ``inputs`` is larger than in the saved profile ``baseline``.

    A figure may be larger by ``tolerance``, a percentage such as ``"1%"``.  With ``update`` the baseline is written and
    nothing is compared.  ``accept_partial`` lets lower bounds pass.  ``options`` are those of :func:`profiler.profile`;
    ``model`` may also be a profile or a config.  Returns the profile.  Raises AssertionError with the layers that grew,
    and :class:`~profiler.errors.StoredProfileError` if there is no such baseline.
    """
    from profiler.budgets.baselines import load_baseline
    from profiler.budgets.checking import check_profile
    from profiler.limits import parse_tolerance

    allowed = parse_tolerance(tolerance, "tolerance")
    saved = None if update else load_baseline(Path(baseline), allowed)
    profile = _profile(model, inputs, options)
    if saved is None:
        profile.save(baseline if isinstance(baseline, str) else Path(baseline))
    else:
        _assert(check_profile(profile, baseline=saved, accept_partial=accept_partial))
    return profile


def _profile(model: Any, inputs: Any, options: Mapping[str, Any]) -> Profile:
    from profiler.config import Config
    from profiler.profiles import Profile

    if isinstance(model, Profile | Config):
        given = [key for key, value in options.items() if value not in (None, (), "forward", "inference")]
        if inputs is not _ABSENT or given:
            what = ", ".join([*(["inputs"] if inputs is not _ABSENT else []), *given])
            raise TypeError(f"found {what} beside a {type(model).__name__}, which has its own")
    if isinstance(model, Profile):
        return model
    import profiler

    if isinstance(model, Config):
        return profiler.profile_config(model, crosscheck=False)
    return profiler.profile(model, *(() if inputs is _ABSENT else (inputs,)), **options)


def _assert(result: CheckResult) -> None:
    if not result.passed:
        raise AssertionError(_message(result))


def _message(result: CheckResult) -> str:
    """The tables that ``profiler check`` shows."""
    import io

    from rich.console import Console

    from profiler.render.checking import check_report
    from profiler.render.terminal import render_terminal

    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_jupyter=False)
    return render_terminal(check_report([result]), console).rstrip("\n")
