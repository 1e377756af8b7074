"""Saved profiles are untrusted input: any error in one is a message of one line, and everything is validated."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import profiler.stored.fields
from profiler.cli import cli
from profiler.errors import StoredProfileError
from profiler.opcount import OpCount, Term, contraction, each
from profiler.profiles import Profile, load_profile
from profiler.records import Answer, CounterFigure, CounterRecord, Event, ModuleRecord, OpCall, ParameterRecord, Unseen
from profiler.signatures import DetailedSpec, Numbers, Opaque, Packed, Signature, TensorSpec
from tests import sample_profiles
from tests.changed_calls import changed
from tests.mutations import as_json, broken_files


def rich_calls() -> list[OpCall]:
    """Calls with arguments of every type, and tensors with every detail."""
    known = DetailedSpec(
        (3, 4),
        "float32",
        True,
        2,
        "sparse_coo",
        zeros=((1, 1), (0, 2)),
        samples=(5,),
        nested=True,
        parts=((1, 2), (1, 1)),
        numbers=Numbers("d", (2,), struct.pack("2d", 0.5, math.inf)),
        places=Numbers("q", (2, 1), struct.pack("2q", 1, 2)),
    )
    packed = Packed("LinearPackedParamsBase", TensorSpec((4, 3), "qint8", True), TensorSpec((4,)))
    plain = (None, True, 1, 1.0, -0.5, math.inf, complex(1, -math.inf), "same", (2, (3, known)), Opaque("function"))
    arguments = (("input", known), *((f"of {type(value).__name__} {value!s:.9}", value) for value in plain))
    terms = (contraction((3, 7), (4,)), each((3,), "more", adds=1))
    signature = Signature("mylib::rich", (*arguments, ("weights", packed)), (known, None), 3, samples=(5,))
    counted = Answer("conv", "counted", terms)
    counted = replace(counted, figures=(("macs_on_padding", 12), ("hidden_macs", 7)))
    unknown = Answer("uncounted", "uncounted", reason="its values are not known", data_dependent=True)
    one = Event(0, "", 1, "forward", "attention", parameters=("conv.weight",), reads=(0, 1), makes=(2,))
    two = Event(0, "", 1, "backward", blanks=(3,), writes=(1,), reads=(1, 3))
    return [
        OpCall(one, signature, counted, "attention"),
        OpCall(two, replace(signature, op="x::y"), unknown, "uncounted"),
    ]


def sample() -> Profile:
    """A profile with an example of everything that a file can hold."""
    profile = sample_profiles.partial()
    figures = (CounterFigure("conv", "conv", 4 * 36 * 27),)
    counted = CounterRecord(
        "fvcore", "1.0", "ok", "", figures, (CounterFigure("odd", "mylib::odd", 1),), ("aux",), figures
    )
    failed = CounterRecord("thop", "1.0", "failed", "took too long")
    calls = list(profile.trace.calls)
    calls[2] = changed(calls[2], overload="padding")
    trace = replace(profile.trace, calls=(*calls, *rich_calls()), signatures=(), answers=()).numbered
    last = len(trace.calls) - 1
    event = replace(trace.calls[last].event, source=last - 1, part_of=1)
    trace = replace(trace, calls=(*trace.calls[:last], replace(trace.calls[last], event=event)))
    trace = replace(trace, real_run="it looks at data", data_dependent=("x::y",))
    trace = replace(trace, unseen=(Unseen("", "another process worked on what it is given"),))
    profile = replace(profile, trace=trace, counters=(counted, failed), views=("depthwise_apart",), convention="fvcore")
    return (
        replace(profile, method="encode", part="body.0", part_calls=2, cache=16)
        .excluding("aux")
        .with_device("h100")
        .with_energy("horowitz_45nm")
    )


def _keys(schema: Any) -> list[str]:
    """The keys that a mapping of that schema may have."""
    return list(schema["fields"])


def test_the_sample_has_every_field() -> None:
    """The writer and the reader know every field of a record and of the profile."""
    stored = {
        "_OP_COUNT": OpCount, "_EVENT": Event, "_MODULE": ModuleRecord, "_PARAMETER": ParameterRecord,
        "_COUNTER_FIGURE": CounterFigure, "_COUNTER": CounterRecord,
    }  # fmt: skip
    more = {"_EVENT": {"kind"}}
    for name, record in stored.items():
        held = set(_keys(getattr(profiler.stored.fields, name))) - more.get(name, set())
        assert held == {field.name for field in fields(record)}, name
    assert set(profiler.stored.fields._TERM_KEYS) == {field.name for field in fields(Term)}
    held = set(_keys(profiler.stored.fields._SIGNATURE)) - {"answer"}
    assert held == {field.name for field in fields(Signature)}
    held = set(_keys(profiler.stored.fields._ANSWER))
    assert held == {field.name for field in fields(Answer) if field.init}
    known = {field.name for field in fields(Profile)} - {"trace", "memory_run"}
    lists = {
        "generation",
        "memory",
        "schema",
        "version",
        "real_run",
        "exclude",
        "unseen",
        "modules",
        "parameters",
        "signatures",
        "calls",
    }
    assert set(profiler.stored.fields._OF_THIS_VERSION) == known | lists
    details = {field.name for field in fields(DetailedSpec)} - {field.name for field in fields(TensorSpec)}
    assert all(f'"{name}":' in TEXT for name in details - {"nested"})
    assert '"overload": "padding"' in TEXT


TEXT = sample().to_json()
DATA: dict[str, Any] = json.loads(TEXT)


def message_of(folder: Path, text: str | bytes) -> str:
    """The message about a file with ``text``, without its path."""
    path = folder / "profile.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StoredProfileError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable(), "one line without control characters"
    assert len(message) < len(str(path)) + 600
    return message.removeprefix(f"{path}: ")


def edited(place: str, value: Any) -> str:
    """The sample with ``value`` at ``place``, a path with dots."""
    data = copy.deepcopy(DATA)
    *steps, last = place.split(".")
    here: Any = data
    for step in steps:
        here = here[int(step)] if isinstance(here, list) else here[step]
    here[int(last) if isinstance(here, list) else last] = value
    return json.dumps(data)


def test_a_saved_profile_is_loaded(tmp_path: Path) -> None:
    """The sample itself is valid, so the errors below come from the edits."""
    (tmp_path / "p.json").write_text(TEXT, encoding="utf-8")
    assert load_profile(tmp_path / "p.json") == sample()
    assert load_profile(tmp_path / "p.json").to_json() == TEXT


def test_a_profile_of_version_1_is_loaded(tmp_path: Path) -> None:
    """It has counts, kinds and shapes; the other arguments of its operations are missing, not invented."""
    profile = load_profile(Path(__file__).parent / "golden" / "stored" / "version_1.json")
    assert profile.total.macs == (conv := 2 * 4 * 36 * 2 * 9) * 2 + (linear := 2 * 3 * 4 * 36) * 3
    assert conv + linear == sum(call.count.macs for call in profile.trace.calls if call.phase == "forward")
    assert profile.training["weight_gradient_macs"].tolist()[-1] == conv + linear
    kinds = dict(zip(profile.parameters["parameter"], profile.parameters["kind"], strict=True))
    assert kinds == {"conv.weight": "conv", "norm.weight": "norm", "norm.bias": "norm"} | dict.fromkeys(
        ("head.weight", "head.bias"), "linear"
    )
    assert not any(signature.whole for signature in profile.trace.signatures)
    assert profile.macs_on_padding == 2 * 2 * 4 * ((6 * 3) ** 2 - (6 * 3 - 2) ** 2)
    again = json.loads(profile.to_json())
    assert again["version"] == 3
    assert {item["whole"] for item in again["signatures"]} == {False}
    (tmp_path / "p.json").write_text(profile.to_json(), encoding="utf-8")
    assert load_profile(tmp_path / "p.json").macs_on_padding == profile.macs_on_padding


NAME = "expected a name for a folder"
NOT_STRINGS: tuple[Any, ...] = (None, 5, ["a"], {}, True)
COUNT = "expected an integer of at least 0"
RICH = f"signatures.{len(DATA['signatures']) - 2}"


SPEC = f"{RICH}.arguments.weights.weight"


def bare(key: str) -> dict[str, Any]:
    """The signature of the first call, without its arguments or its result."""
    empty: dict[str, Any] = {"arguments": {}, "positional": 0} if key == "arguments" else {"result": []}
    return {**DATA["signatures"][0], **empty}


def strided(stride: Any) -> dict[str, Any]:
    """The signature of the first call, a convolution, with arguments by name and this stride."""
    image, weight = list(DATA["signatures"][0]["arguments"].values())[:2]
    arguments = {"input": image, "weight": weight, "stride": stride}
    (result,) = DATA["signatures"][0]["result"]
    return {**DATA["signatures"][0], "arguments": arguments, "positional": 2, "result": result, "whole": True}


def test_a_stride_that_fits_is_loaded(tmp_path: Path) -> None:
    """So the errors about other strides below come from the edits."""
    (tmp_path / "p.json").write_text(edited("signatures.0", strided([1, 1])), encoding="utf-8")
    load_profile(tmp_path / "p.json")


EDITS: list[tuple[str, Any, str]] = [
    *(("name", name, NAME) for name in ("../../evil", "/tmp/evil", "", ".", "..", "a\x00", "a\\b", "C:x", "\x1b[2J")),
    ("name", "x" * 256, NAME),
    *(("name", value, "expected a string") for value in NOT_STRINGS),
    ("target", 5, "expected a string"),
    ("signatures.0.op", "", "signatures.0.op: found '', expected a name"),
    ("signatures.0.op", " ", "signatures.0.op: found ' ', expected a name"),
    ("modules.0.type", "", "modules.0.type: found '', expected a name"),
    ("parameters.0.dtype", "", "parameters.0.dtype: found '', expected a name"),
    ("parameters.0.itemsize", 0, "parameters.0.itemsize: found 0, expected at least 1 byte an element"),
    ("mode", "eval", "expected 'inference' or 'training'"),
    ("mode", ["inference"], "expected 'inference' or 'training'"),
    ("environment", [], "expected a mapping"),
    ("environment", {"torch": 2}, "environment.torch: found 2, expected a string"),
    ("real_run", None, "expected a string"),
    ("convention", "flops", "expected a convention (exact, "),
    ("convention", [], "expected a string"),
    ("views", ["sideways"], "views.0: found 'sideways', expected a view"),
    ("views", ["depthwise_apart", "depthwise_apart"], "expected each of them once"),
    ("views", "depthwise_apart", "expected a list"),
    ("modules", [], "modules: found [], expected at least one of them"),
    ("modules", {}, "expected a list"),
    ("modules.0", 7, "expected a"),
    ("modules.0.name", "net", "modules.0.name: found 'net', expected '', the network itself"),
    ("modules.1.name", "fc", "again, expected each module once"),
    ("modules.1.calls", -1, COUNT),
    ("modules.1.calls", True, "found true, expected an integer"),
    ("modules.1.first_name", "nowhere", "expected one of the modules"),
    ("modules.1.input_shapes", [[[1, -3]]], f"modules.1.input_shapes.0.0.1: found -3, {COUNT}"),
    ("modules.1.input_shapes", [[1]], "expected a list"),
    ("modules.1.extra", 1, "modules.1.extra: unknown key"),
    ("parameters.0.names", [], "expected at least one of them"),
    ("parameters.0.names", "weight", "expected a list"),
    ("parameters.0.module", "nowhere", "expected one of the modules"),
    ("parameters.0.shape", [2.5], "found 2.5, expected an integer"),
    ("parameters.0.shape", [2**63], "expected an integer of at most 9223372036854775807"),
    ("parameters.0.shape", [2**62] * 5, "expected sizes whose product is at most 2^128"),
    ("parameters.0.itemsize", -4, COUNT),
    ("parameters.0.trainable", 1, "found 1, expected true or false"),
    ("parameters.0.use", "fun", "expected a kind (conv, "),
    ("signatures.0.op", None, "expected a string"),
    ("signatures.0.positional", 9, "found 9, expected no more than its arguments"),
    ("signatures.0.arguments", [], "expected a mapping"),
    ("signatures.0.samples", [-1], COUNT),
    ("signatures.0.whole", 1, "expected true or false"),
    ("signatures.0.answer.kind", "convv", "did you mean 'conv'?"),
    ("signatures.0.answer.kind", "uncounted", "expected uncounted in both or neither"),
    ("signatures.0.answer.status", "done", "expected 'counted', 'free' or 'uncounted'"),
    ("signatures.0.answer.status", "free", "found 2 terms of an operation that is free, expected none"),
    ("signatures.0.answer.terms", [], "found 0 terms of an operation that is counted, expected at least one"),
    ("signatures.0.answer.reason", 5, "expected a string"),
    *((f"{RICH}.arguments.input.{key}", value, message) for key, value, message in (
        ("tensor", 5, "expected a string"), ("more", 1, "expected no keys but tensor, zeros"),
        ("zeros", [[1, 1]], "expected two numbers of zeros for each dimension"),
        ("zeros", [[1, 3], [0, 0]], "expected no more zeros than the size of the tensor"),
        ("zeros", [[1, -1], [0, 0]], "expected a list of integers of at least 0"), ("samples", 3, "expected a list"),
        ("samples", [2**62] * 3, "expected sizes whose product"), ("parts", [[-1]], "expected a list of integers"),
        ("numbers", {"format": "x"}, "expected a mapping with the keys format"),
        ("numbers", {"format": "q", "shape": [1], "data": "@"}, "expected data in base64"),
        ("numbers", {"format": "q", "shape": [1], "data": ""}, "expected as many numbers as the shape has elements"),
        ("places", {"format": "q", "shape": [2**62, 2**62, 2**62], "data": ""}, "expected sizes whose product"),
    )),
    *((f"{RICH}.result", value, message) for value, message in (
        ({}, "expected a tensor, a number"), ({"text": 5}, "nothing but the key text and a text"),
        ({"float": "much"}, "expected a number as text"), ({"complex": ["1"]}, "two numbers as text"),
        ({"packed": 1}, "expected a mapping with the keys packed, weight and bias"), (2**129, "expected an integer of"),
        ([[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]], "expected lists nested at most 16 deep"),
    )),
    ("calls.0", None, "calls.0: found nothing, expected"),
    ("calls.0.signature", 99, "calls.0.signature: found 99, expected the number of a signature, at most"),
    ("calls.0.signature", True, "expected an integer"),
    ("calls.0.kind", "convv", "did you mean 'conv'?"),
    ("calls.0.kind", "uncounted", "expected uncounted in both or neither"),
    ("calls.0.within", "fun", "expected a kind"),
    ("calls.0.source", 99, "calls.0.source: found 99, expected the number of a call"),
    ("calls.0.part_of", 99, "calls.0.part_of: found 99, expected the number of a signature"),
    ("calls.0.parameters", ["nothing"], "found 'nothing', expected the first name of a parameter"),
    ("calls.0.reads", [-1], COUNT),
    ("calls.0.module", "nowhere", "calls.0.module: found 'nowhere', expected one of the modules"),
    ("calls.0.module_call", 0, "expected an integer of at least 1"),
    ("calls.0.module_call", 1.0, "found 1.0, expected an integer"),
    ("calls.0.phase", "sideways", "expected 'forward', 'recompute', 'backward' or 'optimizer'"),
    *(
        (SPEC, spec, f"{RICH}.arguments.weights: found ")
        for spec in ("", "1x3", "1x-3 float32", "x float32", "1x3 float 32", "1.5 float32", "١ float32", 5, [1])
    ),
    (SPEC, "9223372036854775808 float32", "expected sizes of at most"),
    (SPEC, f"{'9' * 5000} float32", "expected a shape and a dtype"),
    (SPEC, "x".join(["4000000000"] * 20) + " float32", "expected sizes whose product is at most"),
    ("signatures.0.answer.terms.0", 3, "expected"),
    ("signatures.0.answer.terms.0.what", 3, "expected a string"),
    ("signatures.0.answer.terms.0.how_many", [5.5], "found 5.5, expected an integer"),
    ("signatures.0.answer.terms.0.how_many", [-1], COUNT),
    ("signatures.0.answer.terms.0.how_many", 3, "expected a list"),
    ("signatures.0.answer.terms.0.one.multiplies", "3", "found '3', expected an integer"),
    ("signatures.0.answer.terms.0.one.macs", -27, COUNT),
    ("signatures.0.answer.terms.0.one.macs", 28, "expected no more than its multiplies (27)"),
    ("signatures.0.answer.terms.0.one.macs", 20, "expected a multiple of the contracted size (27)"),
    ("signatures.0.answer.terms.0.one.adds", -(10**6), "adds in all, expected no fewer than 0"),
    ("signatures.0.answer.terms.0.one.adds", 2**128 + 1, "expected an integer of at most"),
    ("signatures.0.answer.terms.0.one.adds", 2**127, "found more than 2^128 operations"),
    ("signatures.0.answer.terms.0.one.flops", 3, "unknown key"),
    ("signatures.0.answer.terms.0.on_padding", 3, "unknown key"),
    ("signatures.0.answer.figures", {"macs_on_padding": 4 * 36 * 27 + 1}, "expected no more than its macs (3888)"),
    ("signatures.0", strided([0, 1]), "signatures.0.arguments: found some that 'aten::conv2d' does not take"),
    ("signatures.0", strided([1, 1, 1]), "signatures.0.arguments: found some that 'aten::conv2d' does not take"),
    ("signatures.0", bare("arguments"), "calls.0.inputs: found [] for 'aten::conv2d', expected the tensors that it"),
    ("signatures.0", bare("result"), "expected the tensors that it takes"),
    ("counters.0.counter", "mine", "expected a counter (fvcore, "),
    ("counters.1.counter", "fvcore", "found 'fvcore' again, expected each counter once"),
    ("counters.0.status", "fine", "expected 'ok', 'skipped' or 'failed'"),
    ("counters.0.figures", [{"module": "", "op": ""}], "counters.0.figures.0.figure: missing, expected the key figure"),
    ("counters.0.figures.0.figure", 1.5, "expected an integer"),
    ("counters.0.factor", 0, "expected an integer of at least 1"),
    ("counters.0.uncalled", "aux", "expected a list"),
    ("counters", None, "expected a list"),
    ("extra", 1, "extra: unknown key"),
    ("schema", "other", "expected a saved profile with schema"),
    ("version", True, "version: found true, expected 1 or 2"),
    ("version", 1.0, "version: found 1.0, expected 1 or 2"),
    ("version", 4, "version: found 4, expected 1 or 2 or 3"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "message"), EDITS)
def test_an_invalid_edit_is_an_error(tmp_path: Path, place: str, value: Any, message: str) -> None:
    """The message has the key, what was found there and what was expected."""
    found = message_of(tmp_path, edited(place, value))
    assert message in found
    assert found.startswith((place.split(".")[0], "calls")) or place == "schema"


OPTIONAL = ("cache", "device", "energy_model", "exclude", "method", "part", "part_calls", "unseen")


@pytest.mark.parametrize("key", [key for key in DATA if key not in OPTIONAL])
def test_each_key_is_needed(tmp_path: Path, key: str) -> None:
    """The error names the missing key."""
    found = message_of(tmp_path, json.dumps({name: value for name, value in DATA.items() if name != key}))
    assert key in found


WHOLE = [
    (b"", "expected a saved profile (JSON)"),
    (b"null", "expected a saved profile with schema"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b"\xff\xfe{}", "not UTF-8 text (byte 0)"),
    (b"\x00", "expected a saved profile (JSON)"),
    (TEXT.encode("utf-16"), "not UTF-8 text"),
    (TEXT[:-10].encode(), "expected a saved profile (JSON)"),
    (TEXT.replace('"name"', '"version": 1, "name"', 1).encode(), "the key 'version' is given twice"),
    (TEXT.replace('"adds": 26', '"adds": 26, "adds": 1', 1).encode(), "the key 'adds' is given twice"),
    (TEXT.replace('"adds": 26', '"adds": NaN', 1).encode(), "NaN is not a number in JSON"),
    (TEXT.replace('"adds": 26', '"adds": -Infinity', 1).encode(), "-Infinity is not a number in JSON"),
    (TEXT.replace('"adds": 26', '"adds": 1e999', 1).encode(), "found inf, expected an integer"),
    (TEXT.replace('"adds": 26', '"adds": ' + "9" * 30000, 1).encode(), "expected a saved profile (JSON)"),
    (
        TEXT.replace('"adds": 26', '"adds": ' + "9" * 4000, 1).encode(),
        "found an integer of about 4001 digits, expected",
    ),
    (TEXT.replace("mylib::odd", "\\ud800", 1).encode(), "expected text without unpaired surrogates"),
    (TEXT.replace('"torch"', '"\\udfff"', 1).encode(), "expected text without unpaired surrogates"),
]


@pytest.mark.parametrize(("text", "message"), WHOLE, ids=range(len(WHOLE)))
def test_a_file_that_is_no_profile_is_an_error(tmp_path: Path, text: bytes, message: str) -> None:
    """It is no JSON, or has a key twice."""
    assert message in message_of(tmp_path, text)


def test_pairs_of_surrogates_are_text(tmp_path: Path) -> None:
    """JSON may write a character as a pair of escapes."""
    path = tmp_path / "p.json"
    path.write_text(TEXT.replace("mylib::odd", "\\ud83d\\ude00"), encoding="utf-8")
    assert load_profile(path).uncounted["op"].tolist() == ["x::y", "\U0001f600"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_other_things_than_files_are_refused(tmp_path: Path) -> None:
    """They are a folder, a pipe without a writer, an endless file, and an impossible name."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for path in (tmp_path, tmp_path / "pipe.json", tmp_path / "loop.json", tmp_path / "none.json", "a\x00.json"):
        with pytest.raises(StoredProfileError, match="saved profile"):
            load_profile(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is in the message."""
    monkeypatch.setattr("profiler.stored.reading.BYTES_LIMIT", 1000)
    assert "larger than 1,000 bytes" in message_of(tmp_path, TEXT)


@pytest.mark.slow
def test_a_million_mistakes_take_no_longer_than_one(tmp_path: Path) -> None:
    """Only the first mistake of a list is reported."""
    text = edited("signatures.0.answer.terms.0.how_many", [-1] * 10**6)
    start = time.process_time()
    assert "signatures.0.answer.terms.0.how_many.0: found -1" in message_of(tmp_path, text)
    assert time.process_time() - start < 5


@pytest.mark.slow
def test_a_large_profile_loads_quickly(tmp_path: Path) -> None:
    """20,000 calls load in seconds of processor time, most of it for making the records."""
    data = copy.deepcopy(DATA)
    data["calls"] = (data["calls"] * 20_000)[:20_000]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(data))
    start = time.process_time()
    assert len(load_profile(path).trace.calls) == 20_000
    assert time.process_time() - start < 10


# The commands on a hostile file


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """Make a folder in ``folder`` the current one; afterwards nothing beside ``out`` is new."""
    here = Path.cwd()
    place = Path(tempfile.mkdtemp(dir=folder)) / "a" / "b"
    place.mkdir(parents=True)
    os.chdir(place)
    try:
        yield place
    finally:
        os.chdir(here)
        root = place.parents[1]
        new = {path.relative_to(root).as_posix() for path in root.rglob("*")}
        outside = {name for name in new if not name.startswith("a/b/out")} - {"a", "a/b", "a/b/profile.json"}
        assert outside == set()


COMMANDS = (
    ("profile", "profile.json", "--output", "out/deep", "--quiet"),
    ("profile", "profile.json", "--depth", "2"),
    ("report", "profile.json", "--output", "out", "--quiet"),
    ("compare", "profile.json", "--output", "out"),
    ("crosscheck", "profile.json", "--output", "out"),
)


def use(folder: Path, text: bytes, command: tuple[str, ...]) -> int:
    """Run a command on a saved profile with ``text``; it ends with its own exit code, never a traceback."""
    with inside(folder) as place:
        (place / "profile.json").write_bytes(text)
        result = CliRunner().invoke(cli, list(command))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code == 2:
            assert not (place / "out").exists()
            assert result.stderr.count("\n") == 1, result.stderr
        return result.exit_code


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_good_profile_is_shown_and_written(tmp_path: Path, command: tuple[str, ...]) -> None:
    """So the fuzzing below reaches the code after the reader."""
    assert use(tmp_path, TEXT.encode(), command) in ((0, 1) if command[0] == "crosscheck" else (0,))


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil/profile", "..", "a/../../../evil", "C:\\evil"])
@pytest.mark.parametrize("command", [command for command in COMMANDS if "--output" in command], ids=lambda c: c[0])
def test_nothing_is_written_if_the_name_is_a_path(tmp_path: Path, command: tuple[str, ...], name: str) -> None:
    """The help needs them, and it has to be instant."""
    assert use(tmp_path, edited("name", name).encode(), command) == 2


MUTATED = broken_files(TEXT.encode(), json.loads, as_json)


def fuzz(folder: Path, text: bytes, command: tuple[str, ...]) -> None:
    """Check that the exit code is 0, 2, or 1 if a cross-check has differences."""
    assert use(folder, text, command) in ((0, 1, 2) if command[0] == "crosscheck" else (0, 2))


QUICK = settings(max_examples=20, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=10_000, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@QUICK
@given(text=MUTATED, command=st.sampled_from(COMMANDS))
def test_no_mutation_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, command: tuple[str, ...]
) -> None:
    """Each gives a result or one line, and writes nothing outside of the output folder."""
    fuzz(tmp_path_factory.getbasetemp(), text, command)


@pytest.mark.exhaustive
@LONG
@given(text=MUTATED, command=st.sampled_from(COMMANDS))
def test_no_mutation_of_ten_thousand_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, command: tuple[str, ...]
) -> None:
    """Each gives a result or one line, and writes nothing outside of the output folder."""
    fuzz(tmp_path_factory.getbasetemp(), text, command)
