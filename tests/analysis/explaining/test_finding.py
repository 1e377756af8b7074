"""Names as people write them: layers, ends of names, patterns, operators, kinds of work."""

from __future__ import annotations

import re

import pytest

from profiler.analysis.explaining import explain
from profiler.analysis.explaining.finding import Found, find
from profiler.errors import ProfilerError
from profiler.profiles import Profile
from tests import sample_profiles

HOSTILE = "evil.<script>|`$x_1$`*[a]\n\x1b[31m\u202e{%&#~^\\"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("features.conv1", Found("module", ("features.conv1",))),
        ("conv1", Found("module", ("features.conv1",))),
        ("fc2", Found("module", ("classifier.fc2",))),
        ("features", Found("module", ("features",))),
        ("(root)", Found("module", ("",))),
        ("conv2d", Found("operator", ("aten::conv2d",))),
        ("aten::linear", Found("operator", ("aten::linear",))),
        ("pool", Found("kind", ("pool",))),
        ("classifier.fc*", Found("modules", ("classifier.fc1", "classifier.fc2", "classifier.fc3"))),
        ("features.conv[12]", Found("modules", ("features.conv1", "features.conv2"))),
    ],
)
def test_a_name_is_found(typed: str, found: Found) -> None:
    """A layer comes before an operator, an operator before a kind of work, and patterns come last."""
    assert find(sample_profiles.alexnet(), typed) == found


@pytest.mark.parametrize(
    ("typed", "near"), [("features.conv9", "features.conv"), ("conv3d", "conv2d"), ("poool", "pool")]
)
def test_a_wrong_name_is_one_line_with_near_matches(typed: str, near: str) -> None:
    """The message names what is meant."""
    with pytest.raises(ProfilerError, match="did you mean") as error:
        find(sample_profiles.alexnet(), typed)
    assert near in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_without_near_matches_lists_the_kinds() -> None:
    """What else could be explained."""
    with pytest.raises(ProfilerError, match=r"kinds of work here: conv, linear, activation, pool, movement$"):
        find(sample_profiles.alexnet(), "zzzzzzzz\n\x1b")


def test_the_end_of_several_names_needs_more() -> None:
    """The message offers the pattern for all of them."""
    with pytest.raises(ProfilerError, match=r"the names of 3 modules end in 'fc'.*'\*\.fc' for all of them"):
        find(sample_profiles.many(3), "fc")
    assert find(sample_profiles.many(3), "*.fc").names == ("blocks.0.fc", "blocks.1.fc", "blocks.2.fc")


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    """As any other unknown name."""
    with pytest.raises(ProfilerError, match="is no module"):
        find(sample_profiles.alexnet(), "nothing.*")


def hostile() -> Profile:
    """A network with a name that has an effect in every format."""
    net = (
        sample_profiles.Network("net", (1, 3, 8, 8)).conv(HOSTILE, 4, 3, (6, 6)).uncounted(f"{HOSTILE}2", "my::<b>|op")
    )
    return net.linear("fc", 10).profile()


def test_a_hostile_name_is_found_and_shown() -> None:
    """A name with any characters is found exactly; what is shown of it is safe."""
    for name in (HOSTILE, f"{HOSTILE}2", None, "conv2d"):
        explanation = explain(hostile(), name)
        for text in (explanation.text, explanation.markdown, explanation.latex, repr(explanation)):
            assert "\x1b" not in text
            assert "\u202e" not in text
    assert re.search(r"(?<!`)``evil\.<script>.*``:", explain(hostile(), HOSTILE).markdown)  # two, for a name with one
    assert r"\textbackslash{}" in explain(hostile(), HOSTILE).latex
