"""What the generation of tokens costs: prefill and decode steps with the cache of the class, and exact sums."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler import generating
from profiler.cli import cli
from profiler.config import load_config
from profiler.devices import Device
from profiler.errors import ConfigError, ProfilerError, StoredProfileError, TargetError
from profiler.generating import MOST_TRACED, Key, _joined, _spans, _Step, _Steps
from profiler.generations import FIGURES, Generation, Series, Span, StepOperation, figure
from profiler.models.building import build_model, build_real_model
from profiler.profiles import Profile, load_profile
from profiler.render.report import profile_report
from profiler.tables.generation import WHOLE, how_found, remarks
from tests.small_llama import HEADS, HIDDEN, INNER, LAYERS, LLAMA, SHARED, SIZE, WORDS

PROMPT, NEW, BATCH = 5, 6, 3

OF_A_TOKEN = LAYERS * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * SHARED * SIZE + 3 * HIDDEN * INNER)
"""The products with weights for one token: queries and output, keys and values, feed-forward; not those of the head."""


def attention(queries: int, keys: int) -> int:
    """The products of attention in all layers: each query with each key, and each score with each value."""
    return LAYERS * HEADS * queries * keys * (SIZE + SIZE)


@cache
def network(target: str, **settings: Any) -> nn.Module:
    """A small network of transformers on meta."""
    usual = LLAMA if target.startswith(("Llama", "Mi", "Deepseek")) else {}
    return build_model(f"transformers:{target}", {"config": {**usual, **settings}})


def generation_of(profile: Profile) -> Generation:
    """The record of the generation."""
    found = profile.trace.whole.generation
    assert found is not None
    return found


@cache
def llama() -> Profile:
    """A small Llama with grouped queries writes six tokens after five."""
    return profiler.generation(network("LlamaForCausalLM"), prompt=PROMPT, new_tokens=NEW, batch=BATCH)


def step_by_itself(model: nn.Module, length: int, batch: int) -> Profile:
    """The profile of one decode step, with a cache that a run of the text made and nothing of this module did."""
    from profiler.models.transformers_caches import continued

    token = torch.zeros(batch, 1, dtype=torch.int64, device="meta")
    return profiler.profile(model, continued(model, {"input_ids": token}, length))


def row(profile: Profile, run: str) -> dict[str, Any]:
    """The row of that name."""
    return next(row for row in profile.tabulated("generation").records() if row["run"] == run)


# Formulas


@pytest.mark.parametrize("values", [(7,), (7, 9), (0, 1, 4), (5, 5, 5), (-3, 8, 2, 40)])
def test_a_series_goes_through_its_values(values: tuple[int, ...]) -> None:
    """It has them at 0, 1, 2, …, and sums of its values in closed form equal a loop."""
    series = Series.through(values)
    assert [series.at(n) for n in range(len(values))] == list(values)
    assert series.total(9) == sum(series.at(n) for n in range(9))
    assert Series.through((5, 5, 5)).differences == (5,)


def test_a_series_of_a_polynomial_is_that_polynomial() -> None:
    """Three values are enough for every later one."""
    numbers = random.Random(3)
    for _ in range(20):
        a, b, c = (numbers.randrange(-50, 50) for _ in range(3))
        series = Series.through([a * n * n + b * n + c for n in range(3)])
        assert all(series.at(n) == a * n * n + b * n + c for n in range(30))


@dataclass
class Steps:
    """Steps whose only call costs what ``cost`` says for the length of the cache."""

    cost: Callable[[int], int]
    cache_bytes: Callable[[int], int] = lambda length: 0
    found: dict[int, _Step] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)

    def at(self, length: int) -> _Step:
        if len(self.found) >= MOST_TRACED and length not in self.found:
            raise ProfilerError("too many")
        amounts = (self.cost(length),) * len(FIGURES)
        key: Key = ("aten::mm", "matmul", "float32", "counted", True)
        self.found[length] = _Step((key,), (amounts,), self.cache_bytes(length), llama_trace())
        return self.found[length]


def llama_trace() -> profiler.Trace:
    """An empty trace."""
    return profiler.Trace((), (), ())


def spans_of(steps: Steps, first: int, last: int) -> list[Span]:
    """The spans that are found."""
    return _joined(_spans(cast(_Steps, steps), first, last))


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 2), (4, 300), (37, 40), (30, 38), (100, 400)])
@pytest.mark.parametrize(
    "cost",
    [
        lambda length: 10 + 3 * length,
        lambda length: 3 * min(length, 37),
        lambda length: 3 * min(length, 37) + 5 * max(length - 200, 0),
        lambda length: length // 150,
    ],
)
def test_spans_have_the_cost_of_every_step(cost: Callable[[int], int], first: int, last: int) -> None:
    """A window that fills up, one odd step and steps of a staircase: each length has its cost, in few spans."""
    steps = Steps(cost)
    spans = spans_of(steps, first, last)
    assert [length for span in spans for length in range(span.first, span.last + 1)] == list(range(first, last + 1))
    for span in spans:
        for n in range(span.steps):
            (operation,) = span.operations or (None,)
            assert (operation.figures[0].at(n) if operation else 0) == cost(span.first + n)
    assert len(spans) <= 7


def test_a_cost_without_a_formula_is_refused() -> None:
    """A cost that is no sum of few lines is traced step by step up to the limit, and then refused."""
    assert len(spans_of(Steps(lambda length: length**3), 1, 9)) >= 4
    with pytest.raises(ProfilerError, match="too many"):
        spans_of(Steps(lambda length: length**3), 1, 1000)


def test_a_cache_that_fills_up_begins_a_span() -> None:
    """The size of the cache has a formula in each span too."""
    spans = spans_of(Steps(lambda length: 1, lambda length: 8 * min(length, 20)), 5, 60)
    assert [(span.first, span.last) for span in spans] == [(5, 20), (21, 60)]
    assert [span.cache_bytes.at(0) for span in spans] == [8 * 5, 8 * 20]


# Networks


@pytest.mark.slow  # transformers takes seconds to import
def test_prefill_and_steps_have_the_macs_of_arithmetic() -> None:
    """Only the last position of the prompt is turned into logits; a step attends to the cache and to itself."""
    head = HIDDEN * WORDS
    assert row(llama(), "prefill")["macs"] == BATCH * (PROMPT * OF_A_TOKEN + attention(PROMPT, PROMPT) + head)
    steps = [BATCH * (OF_A_TOKEN + attention(1, PROMPT + n + 1) + head) for n in range(NEW - 1)]
    assert row(llama(), "first decode step")["macs"] == steps[0]
    assert row(llama(), "last decode step")["macs"] == steps[-1]
    assert row(llama(), "all decode steps")["macs"] == sum(steps)
    assert row(llama(), WHOLE)["macs"] == row(llama(), "prefill")["macs"] + sum(steps)


@pytest.mark.slow
def test_the_cache_has_the_keys_and_values_of_every_token() -> None:
    """It has 2·layers·key heads·head size·length·batch elements of 4 bytes, for the tokens that were read."""
    of_a_token = 2 * LAYERS * SHARED * SIZE * BATCH * 4
    rows = llama().tabulated("generation").records()
    assert [found["cache_bytes"] for found in rows] == [
        of_a_token * length for length in (PROMPT, PROMPT + 1, *[PROMPT + NEW - 1] * 3)
    ]
    assert [found["cached"] for found in rows] == [0, PROMPT, PROMPT + NEW - 2, PROMPT, 0]
    assert [found["tokens"] for found in rows] == [BATCH * PROMPT, BATCH, BATCH, BATCH * (NEW - 1), BATCH * NEW]
    assert [found["writes"] for found in rows] == ["token 1", "token 2", "token 6", "tokens 2 to 6", "tokens 1 to 6"]


@pytest.mark.slow
def test_the_whole_equals_tracing_each_step() -> None:
    """Prompt 5 and six new tokens: every figure is the sum over single steps."""
    found = llama()
    steps = [step_by_itself(network("LlamaForCausalLM"), PROMPT + n, BATCH) for n in range(NEW - 1)]
    for name in ("macs", "flops", "bytes_read", "bytes_written", "parameter_bytes"):
        each = [step.figure(name) for step in steps]
        assert [figure(generation_of(found).step(PROMPT + n), name) for n in range(NEW - 1)] == each
        assert row(found, "all decode steps")[name] == sum(each)
        assert row(found, WHOLE)[name] == sum(each) + found.figure(name)


@pytest.mark.slow
def test_a_sliding_window_fills_up() -> None:
    """The cache of a class with a window of 8 keeps 7 tokens, and steps with a full window cost the same."""
    model = network("MistralForCausalLM", sliding_window=8)
    found = profiler.generation(model, prompt=PROMPT, new_tokens=8)
    of_a_token = 2 * LAYERS * SHARED * SIZE * 4
    record = generation_of(found)
    assert [record.cache_before(length) for length in (5, 6, 7, 8, 12)] == [of_a_token * n for n in (5, 6, 7, 7, 7)]
    lengths = range(PROMPT, 12)
    steps = [step_by_itself(model, length, 1) for length in lengths]
    for name in ("macs", "flops", "bytes_read", "bytes_written", "parameter_bytes"):
        assert [figure(record.step(length), name) for length in lengths] == [step.figure(name) for step in steps]
    assert len({step.total.macs for step in steps[3:]}) == 1
    assert 1 < len(record.spans) <= 4


@pytest.mark.slow
def test_steps_with_a_cache_of_an_own_class_are_traced_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is interpolated if the class of the cache is not one of transformers itself; the figures are the same."""
    monkeypatch.setattr(generating, "CACHES", "elsewhere")
    found = profiler.generation(network("LlamaForCausalLM"), prompt=PROMPT, new_tokens=NEW, batch=BATCH)
    assert found.tabulated("generation").records() == llama().tabulated("generation").records()
    assert "Each decode step was traced by itself." in list(how_found(generation_of(found)))
    monkeypatch.setattr(generating, "MOST_STEPS", 4)
    with pytest.raises(ProfilerError, match="expected at most 4 new tokens, or a single step"):
        profiler.generation(network("LlamaForCausalLM"), prompt=PROMPT, new_tokens=NEW)


@pytest.mark.slow
def test_the_cache_of_latent_attention_has_latent_vectors() -> None:
    """DeepSeek's class keeps one latent vector and one rotated key of a token in each layer, for all heads."""
    latent, rotated = 24, 8
    model = network(
        "DeepseekV3ForCausalLM",
        kv_lora_rank=latent,
        q_lora_rank=32,
        qk_rope_head_dim=rotated,
        qk_nope_head_dim=16,
        v_head_dim=16,
        n_routed_experts=8,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
        num_key_value_heads=HEADS,
    )
    record = generation_of(profiler.generation(model, prompt=PROMPT, new_tokens=2, batch=BATCH))
    assert record.cache_before(PROMPT) == LAYERS * PROMPT * BATCH * (latent + rotated) * 4
    routed = 3 * HIDDEN * 32  # of one expert in the only layer that has experts; two of eight are used
    assert record.active_parameters == record.parameters - (8 - 2) * routed


@pytest.mark.slow
def test_a_token_uses_the_experts_that_are_chosen() -> None:
    """Of eight experts in each layer a token uses two; of a network without experts it uses all parameters."""
    model = network("MixtralForCausalLM", num_local_experts=8, num_experts_per_tok=2)
    found = profiler.generation(model, prompt=PROMPT, new_tokens=3, batch=BATCH)
    record, expert = generation_of(found), 3 * HIDDEN * INNER
    assert record.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert record.active_parameters == record.parameters - LAYERS * (8 - 2) * expert
    assert any(f"One token uses {record.active_parameters:,} of" in line for line in how_found(record))
    assert generation_of(llama()).active_parameters == generation_of(llama()).parameters


@pytest.mark.slow
def test_times_are_those_of_the_rooflines_of_single_steps() -> None:
    """The time of all steps is the sum of their least times, and tokens per second follow from it."""
    device = Device("slow", {"float32": 3e6}, {"float32": 1e5}, 1e5, 1e6, 1.0)
    found = llama().with_device(device)
    prefill = llama().with_device(device).tabulated("roofline").records()[-1]["time_at_least"]
    steps = [
        step_by_itself(network("LlamaForCausalLM"), PROMPT + n, BATCH).with_device(device).time_at_least
        for n in range(NEW - 1)
    ]
    assert row(found, "prefill")["time_at_least"] == prefill
    assert row(found, "last decode step")["time_at_least"] == pytest.approx(steps[-1] * 1e12)
    assert row(found, "all decode steps")["time_at_least"] == pytest.approx(sum(steps) * 1e12)
    whole = row(found, WHOLE)
    assert whole["tokens_per_second"] == pytest.approx(BATCH * NEW / (sum(steps) + prefill / 1e12))
    assert (whole["bound_by"], whole["timed"], whole["reason"]) == ("memory", "complete", "")
    assert not any("does not fit" in line for line in remarks(found.work))
    small = replace(device, memory=1e5)
    assert any("It does not fit: parameters of 339.2 KiB" in line for line in remarks(found.with_device(small).work))


@pytest.mark.slow
def test_it_equals_what_generate_runs() -> None:
    """The MACs of ``generate`` of transformers on real tensors are those of the whole generation."""
    real = build_real_model("transformers:LlamaForCausalLM", {"config": {**LLAMA, "eos_token_id": None}})
    real.generation_config.max_new_tokens = NEW  # type: ignore[union-attr]
    ran = profiler.profile(real, torch.ones(BATCH, PROMPT, dtype=torch.int64), method="generate", name="generate")
    assert ran.total.macs == row(llama(), WHOLE)["macs"]


@pytest.mark.slow
def test_one_new_token_needs_the_prefill_only() -> None:
    """There are no decode steps, and the whole is the prefill."""
    found = profiler.generation(network("LlamaForCausalLM"), prompt=PROMPT, new_tokens=1)
    first, whole = found.tabulated("generation").records()
    assert (first["run"], whole["run"]) == ("prefill", WHOLE)
    assert first["flops"] == whole["flops"] == found.total.flops
    assert whole["cache_bytes"] == 2 * LAYERS * SHARED * SIZE * PROMPT * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("BertModel", {"num_hidden_layers": 1, "hidden_size": 48}),
        ("LlamaModel", {}),
        ("T5ForConditionalGeneration", {"d_model": 64, "num_layers": 1}),
    ],
)
def test_only_causal_language_models_generate(target: str, settings: dict[str, Any]) -> None:
    """An encoder, a network without a head and an encoder–decoder are refused in one line."""
    model = network(target, **settings)
    with pytest.raises(TargetError, match=f"generate: {target} is no causal language model") as caught:
        profiler.generation(model, prompt=4, new_tokens=2)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_saved_profile_keeps_its_generation(tmp_path: Path) -> None:
    """The record is read back as it was, and every row is the same."""
    path = tmp_path / "llama.json"
    llama().save(path)
    again = load_profile(path)
    assert generation_of(again) == generation_of(llama())
    assert again.tabulated("generation").records() == llama().tabulated("generation").records()
    assert generation_of(again.priced_again()) == generation_of(llama())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": 0}, "generation.prompt: found 0"),
        ({"spans": []}, "generation.spans"),
        ({"active_parameters": 10**9}, "generation.active_parameters: found 1000000000, expected at most"),
        ({"reason": "none"}, "generation.active_parameters: expected their number, or the reason"),
        ({"more": 1}, "generation.more: unknown key"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """The message names the key."""
    data = json.loads(llama().to_json())
    data["generation"] |= change
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(data))
    with pytest.raises(StoredProfileError) as caught:
        load_profile(path)
    assert message in str(caught.value)


@pytest.mark.slow
def test_reports_have_the_table_and_say_how_it_was_made() -> None:
    """The note names the traced and the held-out lengths; a profile without a generation has no such table."""
    table = next(table for table in profile_report(llama()).tables if table.name == "generation")
    assert table.shown is not None
    assert any("Steps were traced at 5, 6, 7, 9 tokens; those at 7, 9 were held out" in note for note in table.notes)
    long = profiler.generation(network("LlamaForCausalLM"), prompt=3000, new_tokens=1000)
    lines = " ".join(how_found(generation_of(long)))
    assert "linear in the length of the cache" in lines
    assert "were held out and agree exactly" in lines
    assert "2,048 positions" in lines
    step = replace(llama(), trace=replace(llama().trace, generation=None))
    assert "generation" not in [table.name for table in profile_report(step).tables]
    assert len(step.generation) == 0


@pytest.mark.slow
def test_a_config_generates(tmp_path: Path) -> None:
    """The profile is that of prefill; the command writes the table, and --generate is the same without a config."""
    path = tmp_path / "small.yaml"
    model = {"target": "transformers:LlamaForCausalLM", "kwargs": {"config": LLAMA}}
    path.write_text(json.dumps({"model": model, "generate": {"prompt": PROMPT, "new_tokens": NEW, "batch": BATCH}}))
    result = CliRunner().invoke(
        cli, ["profile", str(path), "--output", str(tmp_path / "out"), "--format", "csv,markdown"]
    )
    assert result.exit_code == 0, result.output
    written = (tmp_path / "out" / "small" / "generation.csv").read_text().splitlines()
    assert written[-1].startswith(f"{WHOLE},tokens 1 to 6,0,{BATCH * NEW},{row(llama(), WHOLE)['macs']},")
    assert "all decode steps" in result.output
    path.write_text(json.dumps({"model": model, "cache": {"length": 3}}))
    given = ["--generate", f"{PROMPT},{NEW},{BATCH}"]
    again = CliRunner().invoke(cli, ["profile", str(path), *given, "--format", "json"])
    assert json.loads(again.stdout)["generation"] == json.loads(llama().to_json())["generation"]


@pytest.mark.slow
def test_generations_are_compared() -> None:
    """Columns on request; those on a device are missing without one."""
    names = ("active_parameters", "generation_flops", "cache_bytes", "generation_time", "tokens_per_second", "mfu")
    found = profiler.compare([llama(), llama().with_device("h100")], columns=names)
    whole = row(llama(), WHOLE)
    assert list(found["generation_flops"]) == [whole["flops"]] * 2
    assert list(found["cache_bytes"]) == [whole["cache_bytes"]] * 2
    assert list(found["active_parameters"]) == [whole["active_parameters"]] * 2
    first, second = found["tokens_per_second"]
    assert first is None or first != first
    assert second == row(llama().with_device("h100"), WHOLE)["tokens_per_second"]
    assert not any(value == value and value is not None for value in found["mfu"])


# Errors


def config_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(f"model: {{target: 'transformers:LlamaForCausalLM'}}\n{text}")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("generate: {prompt: 0, new_tokens: 4}", "generate.prompt: found 0, expected a positive integer"),
        ("generate: {prompt: 8, new_tokens: -4}", "generate.new_tokens: found -4, expected a positive integer"),
        ("generate: {prompt: 8, new_tokens: 4, batch: 1.5}", "generate.batch: found 1.5, expected an integer"),
        ("generate: {prompt: 8}", "generate.new_tokens"),
        ("generate: {prompts: 8, new_tokens: 4}", "prompts"),
        ("generate: 8", "generate: found 8, expected a mapping"),
        ("generate: {prompt: 8, new_tokens: 4}\ninputs: [{shape: [1, 2]}]", "expected no inputs"),
        ("generate: {prompt: 8, new_tokens: 4}\ncache: {length: 4}", "expected no cache"),
        ("generate: {prompt: 8, new_tokens: 4}\nmode: training", "expected mode: inference where generate is given"),
        ("generate: {prompt: 8, new_tokens: 4}\npart: model", "expected no part where generate is given"),
        ("generate: {prompt: 8, new_tokens: 4}\nmethod: encode", "expected method forward"),
    ],
)
def test_a_bad_config_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The message names the key, what was found and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load_config(config_with(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["2048", "0,4", "16,-2", "1,2,3,4", "16,x", "", "16,²"])
def test_a_bad_option_ends_with_2(given: str) -> None:
    """The message says what the option takes."""
    result = CliRunner().invoke(cli, ["profile", "transformers:LlamaForCausalLM", "--generate", given])
    assert result.exit_code == 2
    assert "is not PROMPT,NEW[,BATCH], expected positive integers" in result.output
    more = CliRunner().invoke(cli, ["profile", "torchvision:alexnet", "--generate", "4,2", "--cache", "3"])
    assert (more.exit_code, "--generate makes its own inputs and cache" in more.output) == (2, True)


@pytest.mark.parametrize(("name", "number"), [("prompt", 0), ("new_tokens", -3), ("batch", 1.5), ("prompt", True)])
def test_a_bad_number_in_python(name: str, number: Any) -> None:
    """The message names the argument."""
    numbers: dict[str, Any] = {"prompt": 4, "new_tokens": 2, "batch": 1, name: number}
    with pytest.raises(ProfilerError, match=f"{name}: found .* expected a positive integer"):
        profiler.generation(nn.Linear(2, 2), **numbers)
    with pytest.raises(TargetError, match="Linear is no causal language model"):
        profiler.generation(nn.Linear(2, 2), prompt=4, new_tokens=2)
    with pytest.raises(ProfilerError, match=r"needs a torch\.nn\.Module, not int"):
        profiler.generation(cast(Any, 3), prompt=4, new_tokens=2)


def test_an_operation_without_a_rule_makes_rows_partial() -> None:
    """Its row says so, and bytes that are not known are missing."""
    lines = tuple(Series((3,)) for _ in FIGURES)
    odd = StepOperation("mylib::odd", "uncounted", "float32", "uncounted", 2, lines, moves=False)
    usual = StepOperation("aten::mm", "matmul", "float32", "counted", 4, lines)
    prefill = Span(0, 0, (usual,), Series((0,)))
    record = Generation(5, 3, 1, prefill, (Span(5, 6, (odd, usual), Series((8, 1))),), 10, None, 7, "no rule", (5, 6))
    trace = replace(llama_trace(), modules=(profiler.ModuleRecord("", "Net", 1),), generation=record)
    found = Profile("net", "net", "inference", trace, {})
    rows = found.tabulated("generation").records()
    assert [row["status"] for row in rows] == ["complete", *["partial"] * 4]
    assert [row["bytes_read"] for row in rows] == [4 * 3, None, None, None, None]
    assert rows[-1]["flops"] == 4 * 3 + 2 * (2 + 4) * 3
    halves = replace(record, new_tokens=9, spans=(Span(5, 8, (), Series((0,))), Span(9, 12, (), Series((0,)))))
    assert "formulas that are linear in 2 spans of lengths, each in the length" in " ".join(how_found(halves))
    assert "Without a rule: mylib::odd; the figures are lower bounds." in how_found(record)
    assert "How many of the 7 parameters one token uses is not known: no rule." in how_found(record)
