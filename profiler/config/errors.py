"""Messages about errors in a config: the key, what was found, what was expected, and the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pydantic import AfterValidator, BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from profiler.errors import did_you_mean, shown


def known(what: str, names: Sequence[str]) -> AfterValidator:
    """Accept one of ``names``; anything else is an error that offers the nearest."""

    def check(name: str) -> str:
        if name not in names:
            hint = did_you_mean(name, names)
            raise expected(f"{what} ({', '.join(names)}){hint}")
        return name

    return AfterValidator(check)


def expected(text: str, **context: str) -> PydanticCustomError:
    """An error that says what was expected; ``found=`` says what was found if it is not the whole value."""
    return PydanticCustomError("expected", "{text}", {"text": text, **context})


EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "greater_than": "a positive integer",
    "less_than_equal": "at most 2^59",
    "invalid_key": "a string as key",
    "recursion_loop": "something that does not contain itself",
}
"""pydantic's error types in the terms of a config file; the others keep pydantic's text."""

TAGS = ("<tensor>", "<list>", "<mapping>", "<value>", "<from>", "<call>")
"""What pydantic puts into the location of an input; not keys of the file."""


def explain(problem: ErrorDetails, known_keys: Callable[[Sequence[int | str], bool], list[str]]) -> str:
    """One validation error as ``key: found …, expected …``.

    ``known_keys(location, from_function)`` lists the keys at a location; the second argument says whether the location
    is in inputs that a function makes.
    """
    kind, found = problem["type"], problem["input"]
    if kind == "budget":
        return problem["msg"]
    location = [part for part in problem["loc"][:-1] if part not in TAGS]
    location += [part for part in problem["loc"][-1:] if part not in TAGS or kind == "extra_forbidden"]
    if location[-1:] == ["[key]"]:
        location.pop()
        kind = "invalid_key" if kind == "string_type" else kind
    key = ".".join(str(part) if str(part).isidentifier() else shown(part).strip("'") for part in location)
    if kind == "extra_forbidden":
        known = known_keys(location, "<from>" in problem["loc"])
        return f"{key}: unknown key{did_you_mean(str(location[-1]), known)} (expected one of {', '.join(known)})"
    if kind == "missing":
        example = {"target": " (such as torchvision:resnet50)", "shape": " (such as [1, 3, 224, 224])"}
        return f"{key}: missing, expected the key {location[-1]}{example.get(str(location[-1]), '')}"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"]
        hint = did_you_mean(found, re.findall(r"'(.*?)'", expected)) if isinstance(found, str) else ""
    else:
        expected = EXPECTED.get(kind, problem["msg"].removeprefix("Input should be "))
        hint = ""
    found = problem.get("ctx", {}).get("found") or shown_value(found)
    return f"{f'{key}: ' if key else ''}found {found}, expected {expected}{hint}"


def shown_value(value: object) -> str:
    """A value as an error message shows it: on one line, and short."""
    return shown(value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value)
