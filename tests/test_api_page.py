"""docs/api.md has every public name with its current signature, and no other name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import profiler
from profiler import OpCall, ProfilerError, Trace, errors, records

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^### `(\w+)(\(.*\))?`$", PAGE, re.MULTILINE)
SUBPACKAGES = ("rewrites",)


def signature(name: str) -> str:
    """The parameters of a public name with their defaults, without types."""
    found = inspect.signature(getattr(profiler, name))
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    text = str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<object object at \w+>", "…", text)  # the default of an optional parameter


def section(name: str) -> str:
    """The text of the page below a name."""
    start = re.search(rf"^### `{name}\b.*$", PAGE, re.MULTILINE)
    assert start is not None
    return re.split(r"^##", PAGE[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_public_name_is_on_the_page_and_no_other() -> None:
    """Each name is on it once."""
    assert sorted(name for name, _ in HEADINGS) == sorted(profiler.__all__)


@pytest.mark.parametrize(("name", "written"), [heading for heading in HEADINGS if heading[1]])
def test_signatures_equal_those_of_the_code(name: str, written: str) -> None:
    """They have all parameters, in their order, with their defaults."""
    assert written == signature(name)


def test_every_function_has_its_signature() -> None:
    """Classes that users do not construct may have none."""
    without = [name for name, written in HEADINGS if not written]
    assert [name for name in without if not isinstance(getattr(profiler, name), type)] == []


def test_every_attribute_of_a_profile_is_on_the_page() -> None:
    """The attributes are fields, tables and methods."""
    public = {name for name in dir(profiler.Profile) if not name.startswith("_")}
    public |= set(profiler.Profile.__dataclass_fields__)
    assert public - set(re.findall(r"`(\w+)", section("Profile"))) == set()


def test_errors_and_records_are_public() -> None:
    """All errors are public, and the records that a trace or a profile leads to."""
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ProfilerError)}
    assert raised <= set(profiler.__all__)
    fields = repr([kind.__annotations__ for kind in (Trace, OpCall, profiler.CounterRecord)])
    ours = [
        kind for kind in vars(records).values() if isinstance(kind, type) and kind.__module__.startswith("profiler")
    ]
    leads_to = {kind.__name__ for kind in ours if re.search(rf"\b{kind.__name__}\b", fields)}
    assert {"OpCall", "Event", "ModuleRecord", "ParameterRecord"} <= leads_to <= set(profiler.__all__)


def test_the_package_has_no_other_names() -> None:
    """``__init__`` lists the public names; besides them the package has only subpackages."""
    assert set(profiler._HOMES) == set(profiler.__all__)
    assert all(inspect.ismodule(getattr(profiler, name)) for name in SUBPACKAGES)
