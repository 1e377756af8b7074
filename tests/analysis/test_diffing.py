"""Two profiles line by line: the rows are lined up, and add up to both totals."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from profiler.analysis.diffing import Diff, DiffRow, diff
from profiler.profiles import Profile
from tests import sample_profiles
from tests.analysis.networks import profiles, retyped
from tests.sample_profiles import Network


def pairs(found: Diff) -> list[tuple[str | None, ...]]:
    """The names of the modules of each row."""
    return [tuple(None if side is None else side.name for side in (row.before, row.after)) for row in found.rows]


def rows_by_status(found: Diff) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for row in found.rows:
        rows.setdefault(row.status, []).append(row.name)
    return rows


@given(profiles(), profiles())
def test_rows_add_up_to_both_totals(one: Profile, other: Profile) -> None:
    """Every figure of every module is in exactly one row, also unused parameters and work outside of modules."""
    found = diff(one, other)
    for measure in found.measures:
        sums = [sum(values) for values in zip(*(row.figure(measure.name) for row in found.rows), strict=True)]
        assert sums == [one.figure(measure.name), other.figure(measure.name)] == list(found.total(measure.name))
    for side, profile in ((0, one), (1, other)):
        names = [name for pair in pairs(found) if (name := pair[side]) is not None]
        assert sorted(names) == sorted({record.name for record in profile.trace.modules} | {""})


@given(profiles())
def test_a_profile_does_not_differ_from_itself(profile: Profile) -> None:
    """Every row is the same, under the same name."""
    found = diff(profile, replace(profile, name="renamed"))
    assert found.same
    assert {row.status for row in found.rows} == {"same"}
    assert not any(row.renamed for row in found.rows)


@given(profiles(), profiles())
def test_the_order_of_the_profiles_only_turns_rows_round(one: Profile, other: Profile) -> None:
    """The same modules are lined up; what was added is removed."""
    there, back = diff(one, other), diff(other, one)
    assert sorted(map(repr, pairs(there))) == sorted(repr(pair[::-1]) for pair in pairs(back))
    opposite = {"added": "removed", "removed": "added"}
    mirrored = {(pair[::-1], opposite.get(row.status, row.status), row.changes) for pair, row in matched(back)}
    assert {(pair, row.status, row.changes) for pair, row in matched(there)} == mirrored


def matched(found: Diff) -> list[tuple[tuple[str | None, ...], DiffRow]]:
    """The names of each row, and the row."""
    return list(zip(pairs(found), found.rows, strict=True))


def test_of_several_sequences_the_same_is_chosen_in_both_directions() -> None:
    """Four layers of four types in the opposite order, with other names: not all of them can line up."""
    one = Network("net", (1, 4)).linear("a", 4).relu("b").dropout("c").uncounted("d", "my::odd").profile()
    other = Network("net", (1, 4)).uncounted("e", "my::odd").dropout("f").relu("g").linear("h", 3).profile()
    there = set(pairs(diff(one, other)))
    assert there == {pair[::-1] for pair in pairs(diff(other, one))}
    assert len(there) > 1 + 4


def cnn(name: str = "cnn", prefix: str = "", channels: int = 8) -> Network:
    """Two convolutions with activations, and a classifier."""
    net = Network(name, (1, 3, 8, 8))
    net.conv(f"{prefix}conv1", 4, 3, (6, 6)).relu(f"{prefix}relu1")
    net.conv(f"{prefix}conv2", channels, 3, (4, 4)).relu(f"{prefix}relu2")
    return net.linear(f"{prefix}fc", 10)


def test_what_changed_in_a_module() -> None:
    """Twice the channels change the second convolution, the activation and the classifier, each in its own way."""
    found = diff(cnn().profile(), cnn(channels=16).profile())
    assert {row.name: row.changes for row in found.rows if row.changes} == {
        "conv2": ("shapes", "parameters", "cost"),
        "relu2": ("shapes", "cost"),
        "fc": ("shapes", "parameters", "cost"),
    }
    rows = {row.name: row for row in found.rows}
    assert rows["conv2"].difference("macs") == 8 * 4 * 4 * (4 * 3 * 3)
    assert rows["fc"].difference("parameters") == 8 * 4 * 4 * 10
    assert rows["conv1"].status == rows["(root)"].status == "same"


def test_a_renamed_layer_lines_up() -> None:
    """It has the type of what was there before; it is the same module under another name."""
    one = Network("net", (1, 4)).linear("first", 4).relu("act").linear("second", 4).profile()
    other = Network("net", (1, 4)).linear("first", 4).relu("act").linear("head", 4).profile()
    found = diff(one, other)
    assert pairs(found) == [("", ""), ("first", "first"), ("act", "act"), ("second", "head")]
    assert found.same
    assert [row.name for row in found.rows if row.renamed] == ["head"]


def test_a_wrapped_network_lines_up() -> None:
    """All modules of a network are found again below the module that contains it now."""
    one, other = cnn().profile(), cnn(prefix="model.backbone.").profile()
    found = diff(one, other)
    lined_up = {(f"model.backbone.{name}", name) for name in ("conv1", "relu1", "conv2", "relu2", "fc")}
    assert lined_up <= {pair[::-1] for pair in pairs(found)}
    assert rows_by_status(found)["added"] == ["model", "model.backbone"]
    assert "removed" not in rows_by_status(found)


def test_a_network_inside_of_another_lines_up_with_it() -> None:
    """If the other network contains a module of the network's own type, that is what it is compared with."""
    wrapped = retyped(cnn(prefix="model.").profile(), root="Wrapper", model="Net")
    found = diff(cnn().profile(), wrapped)
    assert ("", "model") in pairs(found)
    assert rows_by_status(found)["added"] == ["(root)"]
    assert ("model", "") in pairs(diff(wrapped, cnn().profile()))


def test_a_renamed_block_of_another_type_lines_up_inside() -> None:
    """Layers keep their rows if the block that holds them has another type now: by their names, then by types."""
    one = Network("net", (1, 4)).linear("old.a", 3).relu("old.b").linear("old.c", 2).profile()
    other = Network("net", (1, 4)).linear("new.x.a", 3).relu("new.x.b").linear("new.c", 2).profile()
    found = diff(one, retyped(other, **{"new": "Stage", "new.x": "Stage"}))
    assert [pair for pair in pairs(found) if all(pair)] == [
        ("old.a", "new.x.a"),
        ("old.b", "new.x.b"),
        ("old.c", "new.c"),
    ]


def test_an_inserted_layer_is_the_only_one_added() -> None:
    """The layers behind it have other numbers, and line up too."""
    one = Network("net", (1, 4))
    other = Network("net", (1, 4))
    for number, kind in enumerate(("linear", "relu", "linear", "relu", "linear")):
        one.linear(f"{number}", 4) if kind == "linear" else one.relu(f"{number}")
    for number, kind in enumerate(("linear", "relu", "dropout", "linear", "relu", "linear")):
        other.linear(f"{number}", 4) if kind == "linear" else getattr(other, kind)(f"{number}")
    assert rows_by_status(diff(one.profile(), other.profile())) == {
        "same": ["(root)", "0", "1", "3", "4", "5"],
        "added": ["2"],
    }


def test_removed_modules_stay_where_they_were() -> None:
    """They are behind what was before them, in front of what replaces them."""
    one = Network("net", (1, 4)).linear("a", 4).relu("b").dropout("c").linear("d", 4).profile()
    other = (
        Network("net", (1, 4))
        .linear("a", 4)
        .layer("x", "Identity", "aten::alias", "movement", (1, 4), status="free")
        .linear("d", 4)
        .profile()
    )
    assert [(row.status, row.name) for row in diff(one, other).rows] == [
        ("same", "(root)"),
        ("same", "a"),
        ("removed", "b"),
        ("removed", "c"),
        ("added", "x"),
        ("same", "d"),
    ]


def test_what_a_parameter_is_changes_too() -> None:
    """A frozen parameter has the same size and cost; a parameter with a second name is shared now."""
    one = sample_profiles.small()
    for change in ({"trainable": False}, {"dtype": "float16", "itemsize": 2}, {"names": ("fc.weight", "tied.weight")}):
        held = tuple(replace(p, **change) if p.names[0] == "fc.weight" else p for p in one.trace.parameters)
        found = diff(one, replace(one, trace=replace(one.trace, parameters=held)))
        assert {row.name: row.changes for row in found.rows if row.changes} == {"fc": ("parameters",)}


def test_work_that_becomes_known_is_a_change() -> None:
    """An operation without a rule has no known cost, which differs from a cost of 0."""
    one = Network("net", (1, 4)).uncounted("odd", "mylib::odd").profile()
    other = Network("net", (1, 4)).layer("odd", "Odd", "mylib::odd", "movement", (1, 4), status="free").profile()
    (row,) = [row for row in diff(one, other).rows if row.changes]
    assert (row.name, row.changes, row.before and row.before.unknown) == ("odd", ("cost",), True)


def test_excluded_modules_have_a_row_apart() -> None:
    """They are in no total of either profile, so no row has their figures."""
    one = sample_profiles.alexnet()
    found = diff(one, one.excluding("classifier*"))
    assert found.total("parameters") == (61_100_840, 61_100_840 - 58_631_144)
    assert found.excluded is not None
    assert found.excluded.figure("parameters") == (0, 58_631_144)
    assert "classifier.fc1" in rows_by_status(found)["removed"]
    assert not found.same
    again = diff(one.excluding("classifier*"), one.excluding("classifier*"))
    assert again.same
    assert again.excluded is not None


def test_figures_of_another_convention_are_compared() -> None:
    """Both are shown by the convention of the profile after."""
    one = sample_profiles.small()
    found = diff(one, sample_profiles.alexnet().with_convention("fvcore"))
    assert [measure.name for measure in found.measures][-1] == "by_fvcore"
    assert found.total("by_fvcore")[0] == one.with_convention("fvcore").headline
