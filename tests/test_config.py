"""Config files: what they may contain, and the one line for each mistake."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from profiler import catalog
from profiler.config import (
    DEFAULT_COUNTERS,
    DTYPES,
    INTEGER_DTYPES,
    Config,
    InputSpec,
    load_config,
    quick_config,
)
from profiler.errors import ConfigError, did_you_mean

ROOT = Path(__file__).parents[1]
GOOD = "model: {target: torchvision:resnet50}\ninputs: [{shape: [1, 3, 224, 224]}]\n"


def write(folder: Path, text: str | bytes) -> Path:
    """Write a config file ``net.yaml`` with ``text``."""
    path = folder / "net.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message_of(folder: Path, text: str | bytes) -> str:
    """The message about a config file with ``text``, without its path."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_short_file_gets_defaults(tmp_path: Path) -> None:
    """The name is the file's stem; mode, dtype and report have defaults, and no other counter runs."""
    config = load_config(write(tmp_path, GOOD))
    assert config.name == "net"
    assert config.model.target == "torchvision:resnet50"
    assert config.model.kwargs == {}
    assert config.inputs == (InputSpec(shape=(1, 3, 224, 224)),)
    assert (config.mode, config.dtype, config.crosscheck) == ("inference", "float32", ())
    assert (config.report.formats, config.report.tables) == (None, catalog.tables())


def test_inputs_may_be_left_to_the_target(tmp_path: Path) -> None:
    """Without the key or its value, the target gives the inputs; an empty list means that there are none."""
    assert load_config(write(tmp_path, "model: {target: 'a:b'}")).inputs is None
    assert load_config(write(tmp_path, "model: {target: 'a:b'}\ninputs:")).inputs is None
    assert load_config(write(tmp_path, "model: {target: 'a:b'}\ninputs: []")).inputs == ()
    assert quick_config("torchvision:vgg16", []).inputs is None


def test_every_key_is_read(tmp_path: Path) -> None:
    """A file with all keys gives a config with their values."""
    text = """
        name: mine
        model: {target: "nets/net.py:Net", kwargs: {width: 2, sizes: [1, 2]}}
        inputs:
          tokens: {shape: [2, 7], dtype: int64, low: 3, high: 9}
          extra: [1, 2.5, yes, null, text, {mask: {shape: [2]}}]
        mode: training
        dtype: bfloat16
        crosscheck: false
        report: {formats: [json], tables: [shares, layers, shares]}
    """
    config = load_config(write(tmp_path, text))
    assert config.name == "mine"
    assert config.model.kwargs == {"width": 2, "sizes": [1, 2]}
    assert config.inputs == {
        "tokens": InputSpec(shape=(2, 7), dtype="int64", low=3, high=9),
        "extra": (1, 2.5, True, None, "text", {"mask": InputSpec(shape=(2,))}),
    }
    assert (config.mode, config.dtype, config.crosscheck) == ("training", "bfloat16", ())
    assert (config.report.formats, config.report.tables) == (("json",), ("shares", "layers"))


@pytest.mark.parametrize(
    ("value", "counters"),
    [("true", DEFAULT_COUNTERS), ("false", ()), ("[fvcore]", ("fvcore",)), ("[torch, thop]", ("torch", "thop"))],
)
def test_crosscheck_is_a_boolean_or_a_list(tmp_path: Path, value: str, counters: tuple[str, ...]) -> None:
    """True means fvcore, false none, and a list the counters in it."""
    assert load_config(write(tmp_path, f"{GOOD}crosscheck: {value}")).crosscheck == counters


def test_a_config_remembers_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``path`` is as given, ``base`` the absolute folder that relative targets start from."""
    write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    config = load_config("net.yaml")
    assert config.path == Path("net.yaml")
    assert config.base == tmp_path


def test_a_config_is_frozen(tmp_path: Path) -> None:
    """No attribute can be set."""
    config = load_config(write(tmp_path, GOOD))
    with pytest.raises(ValidationError, match="frozen"):
        config.name = "other"


def test_utf8_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """UTF-8 without the mark is read, too."""
    assert load_config(write(tmp_path, b"\xef\xbb\xbf" + f"{GOOD}name: Größe".encode())).name == "Größe"


def test_merge_keys_may_override(tmp_path: Path) -> None:
    """A key that ``<<`` merges in and that is also given is no duplicate."""
    kwargs = "{small: &small {depth: 1, width: 2}, large: {<<: *small, depth: 3}}"
    text = f"inputs: []\nmodel: {{target: 'a:b', kwargs: {kwargs}}}"
    assert load_config(write(tmp_path, text)).model.kwargs["large"] == {"depth": 3, "width": 2}


BAD_YAML = [
    ("a: [1", "line 1, column 6: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
    (
        "a: 1\n\tb: 2",
        r"line 2, column 1: while scanning for the next token, found character '\t' that cannot start any token",
    ),
    (GOOD + "model: {target: a:b}", "line 3, column 1: the key 'model' is given twice"),
    ("model:\n  target: a:b\n  target: c:d", "line 3, column 3: the key 'target' is given twice"),
    (GOOD + "name: *x", "line 3, column 7: found undefined alias 'x'"),
    (GOOD + "name: !!python/name:os.system", "line 3, column 7: found a value of the type !!python/name:os.system"),
    (
        GOOD + "name: !!python/object/apply:os.system [id]",
        "line 3, column 7: found a value of the type !!python/object",
    ),
    (GOOD + "name: !mine x", "line 3, column 7: could not determine a constructor for the tag"),
    (GOOD + "name: !!binary aGk=", "line 3, column 7: found a value of the type !!binary, expected a plain value"),
    (GOOD + "views: !!set {depthwise_apart}", "line 3, column 8: found a value of the type !!set, expected a plain"),
    (GOOD + "name: =", "line 3, column 7: found a value of the type !!value, expected a plain value"),
    (GOOD + "name: !!int x", "line 3, column 7: found 'x', expected a value of the type !!int"),
    (GOOD + "name: !!int ''", "line 3, column 7: found '', expected a value of the type !!int"),
    (GOOD + "name: !!bool x", "line 3, column 7: found 'x', expected a value of the type !!bool"),
    (GOOD + "name: !!timestamp x", "line 3, column 7: found the date 'x', expected quotes around it"),
    (GOOD + 'name: "\\uD800"', "line 3, column 7: found '\\ud800', expected text without unpaired surrogates"),
    (GOOD + 'name: "\\UFFFFFFFF"', "found something that cannot be read ("),
    (
        GOOD + "name: 010",
        "line 3, column 7: found '010', which YAML reads as octal; expected a decimal number, or quotes",
    ),
    (GOOD + "name: 1:30", "line 3, column 7: found '1:30', which YAML reads as a number of base 60"),
    (GOOD + "name: 1:30.5", "line 3, column 7: found '1:30.5', which YAML reads as a number of base 60"),
    (GOOD + "name: " + "9" * 5000, "line 3, column 7: found a number of 5000 digits, expected at most 4000"),
    (GOOD + "name: 0x" + "f" * 5000, "line 3, column 7: found a number of 5002 digits, expected at most 4000"),
    (GOOD + "name: &a [*a]", "line 3, column 7: found a list or mapping that contains itself"),
    (GOOD + "name: &a {<<: *a}", "line 3, column 7: found a list or mapping that contains itself"),
    (GOOD + "name: {<<: {a: 1}, <<: {b: 1}}", "line 3, column 20: the key << is given twice"),
    (GOOD + "name: {<<: 3}", "line 3, column 12: while constructing a mapping, expected a mapping or list of mappings"),
    (GOOD + "name: {1: a, 1.0: b}", "line 3, column 14: the key 1.0 is given twice"),
    (
        GOOD + "name: " + "[" * 101 + "]" * 101,
        "line 3, column 107: found more than 100 nested lists and mappings",
    ),
    (GOOD + "name:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 150)), "line 103, column 101: found more than 100"),
    (GOOD + "---\na: 1", "line 3, column 1: expected a single document in the stream, but found another document"),
    ("ab: \x00", "line 1, column 5: special characters are not allowed"),
    ("a: 1\nday: 2001-99-99", "line 2, column 6: found the date '2001-99-99', expected quotes around it"),
    ("? [a]\n: 1", "line 1, column 3: while constructing a mapping, found unhashable key"),
    ("[" * 3000, "line 1, column 102: found more than 100 nested lists and mappings"),
    ("- " * 3000, "nested too deeply"),
    (b"\xff\xfea", "not UTF-8 text"),
]


@pytest.mark.parametrize(("text", "message"), BAD_YAML)
def test_the_error_of_broken_yaml_has_line_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    """They point at the place in the file."""
    assert message_of(tmp_path, text).startswith(message)


def one_input(spec: str) -> str:
    """A config with ``spec`` as its only input."""
    return f"model: {{target: 'a:b'}}\ninputs: [{{{spec}}}]\n"


BAD_CONTENT = [
    ("", "empty, expected a mapping with the keys model and inputs"),
    ("# nothing\n", "empty, expected a mapping"),
    ("- 1", "found [1], expected a mapping"),
    ("inputs: []", "model: missing, expected the key model"),
    ("model: {}\ninputs: []", "model.target: missing, expected the key target (such as torchvision:resnet50)"),
    (GOOD + "modes: training", "modes: unknown key, did you mean 'mode'"),
    (
        GOOD + "qqq: 1",
        "qqq: unknown key (expected one of " + ", ".join(Config.model_fields) + ")",
    ),
    (GOOD + "1: 2", "1: found 1, expected a string as key"),
    ("model: {targt: 'a:b'}\ninputs: []", "model.targt: unknown key, did you mean 'target'? (expected one of target"),
    (GOOD + "report: {format: [csv]}", "report.format: unknown key, did you mean 'formats'?"),
    ("model: 3\ninputs: []", "model: found 3, expected a mapping"),
    ("model: {target: resnet50}\ninputs: []", "model.target: found 'resnet50', expected source:name"),
    ("model: {target: ':x'}\ninputs: []", "model.target: found ':x', expected source:name"),
    ("model: {target: 5}\ninputs: []", "model.target: found 5, expected a string"),
    ("model: {target: 'a:b', kwargs: [1]}\ninputs: []", "model.kwargs: found [1], expected a mapping"),
    ("model: {target: 'a:b', kwargs: {1: 2}}\ninputs: []", "model.kwargs.1: found 1, expected a string as key"),
    (GOOD + "name:", "name: found nothing, expected a string"),
    (GOOD + "name: 3", "name: found 3, expected a string"),
    (GOOD + "name: a/b", "name: found 'a/b', expected a name for a folder"),
    (GOOD + "name: '..'", "name: found '..', expected a name for a folder"),
    (GOOD + "name: ' '", "name: found ' ', expected a name for a folder"),
    (GOOD + "mode: trainig", "mode: found 'trainig', expected 'inference' or 'training', did you mean 'training'?"),
    (GOOD + "mode: no", "mode: found false, expected 'inference' or 'training'"),
    (GOOD + "dtype: flot16", "dtype: found 'flot16', expected a floating dtype (float16, bfloat16, "),
    (GOOD + "dtype: int64", "dtype: found 'int64', expected a floating dtype"),
    (
        GOOD + "crosscheck: 1",
        "crosscheck: found 1, expected true, false or a list of counters (fvcore, torch, torch-cpu, ",
    ),
    (GOOD + "crosscheck: [fvcor]", "crosscheck.0: found 'fvcor', expected a counter (fvcore, torch, torch-cpu, "),
    (GOOD + "report: {formats: csv}", "report.formats: found 'csv', expected a list"),
    (
        GOOD + "report: {formats: [csv, xls]}",
        "report.formats.1: found 'xls', expected a format (csv, markdown, json, summary, latex, html, xlsx, parquet)",
    ),
    (GOOD + "report: {tables: [layer]}", "report.tables.0: found 'layer', expected a table (shares, layers, "),
    ("model: {target: 'a:b'}\ninputs: 1x3", "inputs: found '1x3', expected a list (positional arguments), a mapping"),
    (
        "model: {target: 'a:b'}\ninputs: {shape: [1]}",
        "inputs: found {'shape': [1]}, expected a list of inputs ('- shape",
    ),
    ("model: {target: 'a:b'}\ninputs: {1: 2}", "inputs.1: found 1, expected a string as key"),
    ("model: {target: 'a:b'}\ninputs: &a [*a]", "line 2, column 9: found a list or mapping that contains itself"),
    (
        "model: {target: 'a:b'}\ninputs: [2001-01-01]",
        "line 2, column 10: found the date '2001-01-01', expected quotes around it",
    ),
    (
        "model: {target: 'a:b'}\ninputs: {x: [1, {y: {shape: [0]}}]}",
        "inputs.x.1.y.shape.0: found 0, expected a positive",
    ),
    (one_input("shape: [1, 0]"), "inputs.0.shape.1: found 0, expected a positive integer"),
    (one_input("shape: [-1]"), "inputs.0.shape.0: found -1, expected a positive integer"),
    (one_input("shape: [2.0]"), "inputs.0.shape.0: found 2.0, expected an integer"),
    (one_input("shape: [true]"), "inputs.0.shape.0: found true, expected an integer"),
    (one_input("shape: ['3']"), "inputs.0.shape.0: found '3', expected an integer"),
    (one_input("shape: 3"), "inputs.0.shape: found 3, expected a list"),
    (one_input("shape:"), "inputs.0.shape: found nothing, expected a list"),
    (one_input("shape: [3], size: 3"), "inputs.0.size: unknown key (expected one of shape, dtype, low, high, values)"),
    (one_input("shape: [3], dtpe: int64"), "inputs.0.dtpe: unknown key, did you mean 'dtype'?"),
    (one_input("shape: [3], dtype: 8"), "inputs.0.dtype: found 8, expected a string"),
    (one_input("shape: [3], dtype: int65"), "inputs.0.dtype: found 'int65', expected a dtype (float16, "),
    (
        one_input("shape: [3], low: 1"),
        "inputs.0: found low or high for dtype (none given), expected them with an integer",
    ),
    (one_input("shape: [3], dtype: bool, high: 1"), "inputs.0: found low or high for dtype bool, expected them with"),
    (one_input("shape: [3], dtype: int8, low: 3, high: 3"), "inputs.0: found low 3 and high 3, expected low < high"),
    (one_input("shape: [3], dtype: int8, high: -1"), "inputs.0: found low 0 and high -1, expected low < high"),
    (
        one_input("shape: [3], dtype: uint8, high: 257"),
        "inputs.0: found low 0 and high 257, expected 0 <= low and high",
    ),
    (one_input("shape: [3], dtype: int8, low: 1.5"), "inputs.0.low: found 1.5, expected an integer"),
    (one_input("shape: [3], values: [1, 2]"), "inputs.0: found 2 values, expected 3 of them for shape [3]"),
    (one_input("shape: [2], values: [1, a]"), "inputs.0.values: found [1, 'a'], expected numbers, or lists of them"),
    (
        one_input("shape: [1], dtype: int8, values: [1.5]"),
        "inputs.0: found values for dtype int8 that are not integers",
    ),
    (one_input("values: [1, a]"), "inputs.0.values: found [1, 'a'], expected numbers, or lists of them"),
    (
        one_input("values: [[1, 2], [3]]"),
        "inputs.0: found values that hold lists of 1 and of 2 side by side, expected lists of equal length, or a",
    ),
    (one_input("values: [[1], 3]"), "inputs.0: found values that hold lists and numbers side by side, expected"),
    (
        one_input("values: " + "[" * 65 + "1" + "]" * 65),
        "inputs.0: found values that are deeper, expected lists at most 64",
    ),
    (one_input("values: [1, 2], dtyp: int8"), "inputs.0.dtyp: unknown key, did you mean 'dtype'?"),
    (one_input(f"shape: [{10**30}]"), "inputs.0.shape.0: found 1000000000000000000000000000000, expected at most 2^59"),
    (
        one_input("shape: [4294967296, 4294967296]"),
        "inputs.0.shape: found [4294967296, 4294967296], expected a shape of",
    ),
    (one_input(f"shape: {[2] * 60}"), "inputs.0.shape: found [2, 2, 2, 2, "),
    (one_input(f"shape: {[1] * 65}"), "inputs.0.shape: found 65 sizes, expected at most 64 sizes"),
    (one_input("shape: [1, 010, 3]"), "line 2, column 22: found '010', which YAML reads as octal"),
    (one_input("shape: [1, 1:30]"), "line 2, column 22: found '1:30', which YAML reads as a number of base 60"),
    (one_input("shape: [08]"), "inputs.0.shape.0: found '08', expected an integer"),
    (one_input("shape: [0o17]"), "inputs.0.shape.0: found '0o17', expected an integer"),
    (one_input("shape: [1.e+3]"), "inputs.0.shape.0: found 1000.0, expected an integer"),
    (one_input("shape: [.inf]"), "inputs.0.shape.0: found inf, expected an integer"),
    (one_input("dtype: int8, values: [1000]"), "inputs.0: found the value 1000, expected -128 to 127 for int8"),
    (one_input("dtype: uint8, values: [-1]"), "inputs.0: found the value -1, expected 0 to 255 for uint8"),
    (one_input(f"dtype: int64, values: [{2**63}]"), "inputs.0: found the value 9223372036854775808, expected -92"),
    (one_input("dtype: bool, values: [2]"), "inputs.0: found the value 2, expected 0 to 1 for bool"),
    (
        one_input(f"values: [{10**23}]"),
        "inputs.0.values: found [100000000000000000000000], expected numbers of at most 64",
    ),
    (GOOD + "optimizer: adam", "found optimizer adam, expected mode: training where an optimizer is given"),
    (GOOD + "equivalence: {tolerance: .inf}", "equivalence.tolerance: found inf, expected a positive, finite number"),
    (GOOD + "equivalence: {tolerance: .nan}", "equivalence.tolerance: found nan, expected a positive, finite number"),
    (GOOD + "equivalence: {tolerance: -1}", "equivalence.tolerance: found -1, expected a positive, finite number"),
    (GOOD + "equivalence: {tolerance: 0}", "equivalence.tolerance: found 0, expected a positive, finite number"),
    (
        GOOD + f"equivalence: {{tolerance: {10**400}}}",
        "equivalence.tolerance: found an integer of about 401 digits, exp",
    ),
    (GOOD + "equivalence: {tolerance: true}", "equivalence.tolerance: found true, expected a number"),
    (
        GOOD + "equivalence: {tolerance: 1e-5}",
        "equivalence.tolerance: found '1e-5', expected a number; YAML takes 1e-5",
    ),
    (GOOD + "report: {formats: []}", "report.formats: found [], expected at least one of them"),
    (GOOD + "report: {tables: []}", "report.tables: found [], expected at least one of them"),
    (GOOD + "<tensor>: 1", "<tensor>: unknown key"),
    (GOOD + '"a\\e[2J": 1', "a\\x1b[2J: unknown key"),
    (GOOD + f"{'x' * 100}: 1", f"{'x' * 100}: unknown key"),
    (GOOD + "name: ../../evil", "name: found '../../evil', expected a name for a folder"),
    (GOOD + 'name: "a\\0b"', "name: found 'a\\x00b', expected a name for a folder"),
    (one_input("shape: [1], dtype: int8, low: 1, values: [1]"), "inputs.0: found values with low or high, expected"),
]


@pytest.mark.parametrize(("text", "message"), BAD_CONTENT)
def test_the_error_of_a_mistake_has_key_found_and_expected(tmp_path: Path, text: str, message: str) -> None:
    """One line has the dotted key, what was found, and what was expected."""
    assert message_of(tmp_path, text).startswith(message)


def test_a_misspelled_key_is_reported_first(tmp_path: Path) -> None:
    """The missing key comes after the unknown one, and the number of other mistakes last."""
    message = message_of(tmp_path, "modle: {target: 'a:b'}\ninputs: []\nname: 3")
    assert message.startswith("modle: unknown key, did you mean 'mode' or 'model'?")
    assert message.endswith("(and 2 more)")


def test_an_unknown_dtype_gets_the_nearest_proposal(tmp_path: Path) -> None:
    """The error names the dtype with the most similar name."""
    assert message_of(tmp_path, GOOD + "dtype: bflot16").endswith("did you mean 'bfloat16' or 'float16' or 'float64'?")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    """The error has the reason."""
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file, expected a config file in YAML$"):
        load_config(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=r"found a folder, expected a config file in YAML$"):
        load_config(tmp_path)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the reason of the system."""

    def refuse(_: Path, limit: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("profiler.yaml_files.read_bytes", refuse)
    with pytest.raises(ConfigError, match=r"net\.yaml: cannot be read \(Permission denied\), expected a config file"):
        load_config(tmp_path / "net.yaml")


shapes = st.lists(st.integers(1, 900), min_size=1, max_size=6)


@pytest.mark.slow
@given(shapes)
def test_a_typed_shape_is_read_as_written(sizes: list[int]) -> None:
    """``1x3x224x224`` gives these sizes."""
    config = quick_config("torchvision:resnet50", ["x".join(map(str, sizes))])
    assert config.inputs == (InputSpec(shape=tuple(sizes)),)


@pytest.mark.slow
@given(st.text(alphabet="0123456789x.- :,int64", max_size=12))
def test_a_typed_shape_is_read_or_refused(text: str) -> None:
    """Any text gives positive sizes or a ConfigError of one line."""
    try:
        config = quick_config("torchvision:resnet50", [text])
    except ConfigError as error:
        assert str(error).startswith(f"--input {text}: ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(config.inputs, tuple)
        (spec,) = config.inputs
        assert isinstance(spec, InputSpec)
        assert text.partition(":")[0] == text.partition(":")[0].strip()
        assert all(size > 0 for size in spec.shape)


def test_typed_inputs_have_dtypes_and_a_name() -> None:
    """There are several inputs, one with a dtype; the name is the target's; the base is the current folder."""
    config = quick_config("nets/net.py:Net", ["1x3", "2x7:int64"])
    assert config.name == "Net"
    assert config.inputs == (InputSpec(shape=(1, 3)), InputSpec(shape=(2, 7), dtype="int64"))
    assert config.path is None
    assert config.base == Path.cwd()


def test_mistakes_in_typed_inputs_are_named() -> None:
    """The dtype or the target is wrong."""
    with pytest.raises(ConfigError, match=r"^--input 1x3:int63: .*did you mean 'int64'"):
        quick_config("torchvision:vgg16", ["1x3:int63"])
    with pytest.raises(ConfigError, match=r"^vgg16: model\.target: found 'vgg16', expected source:name"):
        quick_config("vgg16", ["1x3"])


@given(
    st.sampled_from(sorted(INTEGER_DTYPES)),
    st.integers(-300, 300),
    st.integers(-300, 300),
)
def test_a_range_has_to_fit_the_dtype(dtype: str, low: int, high: int) -> None:
    """``low`` < ``high`` within the dtype's bounds is accepted; everything else is refused."""
    least, most = INTEGER_DTYPES[dtype]
    try:
        spec = InputSpec(shape=(1,), dtype=dtype, low=low, high=high)
    except ValidationError:
        assert low >= high or low < least or high > most
    else:
        assert least <= low < high <= most
        assert spec.integer_range == (low, high)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.sampled_from(["a", "b c", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2),
    max_leaves=8,
)


def as_frozen(value: Any) -> Any:
    """``value`` with tuples for lists."""
    if isinstance(value, list):
        return tuple(map(as_frozen, value))
    return {key: as_frozen(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.slow
@given(st.lists(plain, max_size=3))
def test_plain_inputs_are_read_unchanged(tmp_path_factory: pytest.TempPathFactory, inputs: list[Any]) -> None:
    """Nested lists, mappings and scalars have the values and types of the file."""
    text = yaml.safe_dump({"model": {"target": "a:b"}, "inputs": inputs}, sort_keys=False)
    config = load_config(write(tmp_path_factory.mktemp("config"), text))
    assert repr(config.inputs) == repr(as_frozen(inputs))  # repr, since 1 == 1.0 == True


def test_only_similar_names_are_proposed() -> None:
    """The nearest is first, whatever its case; there is none if no name is similar."""
    assert did_you_mean("alexnet", ["AlexNet", "VGG"]) == ", did you mean 'AlexNet'?"
    assert did_you_mean("zzz", ["AlexNet", "VGG"]) == ""


def test_the_dtypes_are_those_of_torch() -> None:
    """Every dtype of configs exists in torch, with the bounds in our table."""
    import torch

    for name in DTYPES:
        assert isinstance(getattr(torch, name), torch.dtype)
    for name, (least, most) in INTEGER_DTYPES.items():
        info = torch.iinfo(getattr(torch, name))
        assert least == info.min
        assert most in (info.max + 1, 2**63 - 1)


@pytest.mark.slow
def test_configs_are_read_without_torch() -> None:
    """Importing the module and reading a file do not import torch."""
    code = """if True:
        import sys
        from profiler.config import load_config
        load_config("configs/alexnet.yaml")
        sys.exit("torch" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_here_is_valid_and_named_like_its_file(path: Path) -> None:
    """The files in configs/ load, each with its own name."""
    assert load_config(path).name == path.stem
