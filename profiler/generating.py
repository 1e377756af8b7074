"""A language model → what it costs to generate tokens: prefill, and decode steps with the cache of its class.

Steps are traced at a few lengths of the cache.  Between them every figure is interpolated exactly; a formula is only
accepted if it equals the figures of steps that it was not made from.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from profiler.calls import tallies
from profiler.errors import ProfilerError
from profiler.generations import Generation, Known, Series, Span, StepOperation
from profiler.models.transformers_caches import check_generative, continued_on_meta, of_last
from profiler.records import OpCall, Trace
from profiler.roofline import dtype_of
from profiler.subjects import Subject, given
from profiler.tracing import Inputs
from profiler.tracing.objects import tensors_in
from profiler.traffic import GATHERING, traffic_of

Traced = Callable[[Subject], Trace]

MOST_TRACED = 96
"""The maximum number of steps that are traced to find formulas."""

MOST_STEPS = 512
"""The maximum number of steps that are traced one by one."""

CACHES = "transformers.cache_utils"
"""The module with the classes of caches that only append and forget tokens.

What a step costs with one of them changes at a few lengths at most, such as that of a window.  A class that a network
brings itself may do something else every few tokens, such as compress them.
"""

LONG = 16
"""The number of steps from which two more of a span are compared with its formulas."""

Key = tuple[str, str, str, Known, bool]
"""What a step's call is, whatever the length of the cache: operator, kind, dtype, status, whether its bytes are known.
"""

Amounts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One traced step: its calls in order, with their figures, and the bytes of the cache that it starts with."""

    keys: tuple[Key, ...]
    amounts: tuple[Amounts, ...]
    cache_bytes: int
    trace: Trace
    is_usual: bool = True


@dataclass
class _Steps:
    """The steps of a network; each is traced when it is needed first."""

    network: nn.Module
    batch: int
    traced: Traced
    found: dict[int, _Step] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)

    def at(self, length: int) -> _Step:
        """The step with ``length`` tokens in its cache."""
        if length not in self.found:
            if len(self.found) >= MOST_TRACED and all(step.is_usual for step in self.found.values()):
                raise ProfilerError(
                    f"generate: the cost of a step has no formula in the length of the cache: {MOST_TRACED} steps were "
                    f"traced and differ; expected fewer new tokens, {OR_ONE}"
                )
            call, size, is_usual = _call(self.network, self.batch, length)
            trace = self.traced(given(self.network, call))
            keys, amounts = _calls(trace.calls)
            self.found[length] = _Step(keys, amounts, size, trace, is_usual)
        return self.found[length]


def generation_of(
    network: nn.Module, prompt: int, new_tokens: int, batch: int, prefill: Trace, traced: Traced
) -> Generation:
    """What the generation costs.

    ``prefill`` is the trace of the run on the prompt, and ``traced`` traces a step.  Raises
    :class:`~profiler.errors.TargetError` if the network is no causal language model with a cache, and
    :class:`ProfilerError` if the cost of a step does not follow a formula.
    """
    check_generative(network)
    steps = _Steps(network, batch, traced)
    last = prompt + new_tokens - 2
    first = steps.at(prompt)
    if not first.is_usual and new_tokens > MOST_STEPS:
        raise ProfilerError(
            f"generate: {type(network).__name__} has a cache of its own class, so that each step is traced; expected "
            f"at most {MOST_STEPS} new tokens, {OR_ONE}"
        )
    find = _spans if first.is_usual else _one_by_one
    spans = tuple(_joined(find(steps, prompt, last)))
    active, reason = active_parameters(first.trace, batch)
    keys, amounts = _calls(prefill.calls)
    return Generation(
        prompt,
        new_tokens,
        batch,
        Span(0, 0, _operations(keys, [amounts]), Series((0,))),
        spans,
        first.cache_bytes if new_tokens == 1 else _call(network, batch, last + 1)[1],
        active,
        sum(record.size for record in prefill.parameters if not record.buffer),
        reason,
        tuple(sorted(steps.found)) if spans else (),
        tuple(sorted(set(steps.found) - steps.used)) if spans else (),
        bool(prefill.unseen) or any(step.trace.unseen for step in steps.found.values()),
        _positions(network),
    )


OR_ONE = "or a single step with cache: {length: …}"
"""What the errors about steps without a formula offer."""


def _call(network: nn.Module, batch: int, length: int) -> tuple[Inputs, int, bool]:
    """The arguments of the step with ``length`` tokens in its cache, its bytes, and if it is a usual one."""
    token = torch.empty(batch, 1, dtype=torch.int64, device="meta")
    call, cache = continued_on_meta(network, {"input_ids": token}, length)
    found = {id(tensor): tensor for tensor in tensors_in(cache)}
    size = sum(tensor.numel() * tensor.element_size() for tensor in found.values() if _is_content(tensor))
    return {**call, **of_last(network)}, size, _is_usual(cache)


def _is_usual(cache: Any) -> bool:
    """Whether the cache and its layers are of classes of transformers itself."""
    parts = [cache, *(getattr(cache, "layers", None) or [None])]
    return all(type(part).__module__ == CACHES for part in parts)


def _is_content(tensor: torch.Tensor) -> bool:
    """Whether it holds keys, values or states, and not the number of tokens."""
    return tensor.dim() > 0 and (tensor.is_floating_point() or tensor.is_complex() or tensor.dim() > 1)


def _positions(network: nn.Module) -> int:
    settings = network.config.get_text_config()  # type: ignore[union-attr, operator]
    found = getattr(settings, "max_position_embeddings", None)
    return found if isinstance(found, int) else 0


def _calls(calls: Sequence[OpCall]) -> tuple[tuple[Key, ...], tuple[Amounts, ...]]:
    """What each call is, and its figures."""
    keys, amounts = [], []
    for call in calls:
        count, traffic = call.count, traffic_of(call)
        contracted = sum(term.count.flops for term in call.answer.terms if term.contracted)
        moved = (0, 0, 0) if traffic is None else (traffic.read, traffic.written, traffic.parameters)
        keys.append((call.op, call.kind, dtype_of(call.signature), call.status, traffic is not None))
        amounts.append((count.macs, count.flops, contracted, *moved))
    return tuple(keys), tuple(amounts)


def _operations(keys: Sequence[Key], samples: Sequence[Sequence[Amounts]]) -> tuple[StepOperation, ...]:
    """Equal calls together; ``samples`` are the figures of all calls at consecutive lengths."""
    found: Counter[tuple[Key, tuple[Amounts, ...]]] = Counter()
    for key, *amounts in zip(keys, *samples, strict=True):
        if key[3] == "uncounted" or not key[4] or any(map(any, amounts)):
            found[key, tuple(amounts)] += 1
    return tuple(
        StepOperation(
            op,
            kind,
            dtype,
            status,
            times,
            tuple(Series.through(values) for values in zip(*amounts, strict=True)),
            moves,
        )
        for ((op, kind, dtype, status, moves), amounts), times in found.items()
    )


def _one_by_one(steps: _Steps, first: int, last: int) -> Iterator[Span]:
    """A span for each step."""
    for length in range(first, last + 1):
        step = steps.at(length)
        yield Span(length, length, _operations(step.keys, [step.amounts]), Series((step.cache_bytes,)))
        steps.used.add(length)


def _spans(steps: _Steps, first: int, last: int) -> Iterator[Span]:
    """The steps in as few spans as halving finds: a window that is full, or other operators, begin a new one."""
    if first > last:
        return
    found = _fitted(steps, first, last)
    if found is not None:
        yield found
        return
    middle = (first + last) // 2
    yield from _spans(steps, first, middle)
    yield from _spans(steps, middle + 1, last)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same steps, where one span has what the formulas of the span before give."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].steps > 1 and found[-1].continued_by(span):
            found[-1] = replace(found[-1], last=span.last)
        else:
            found.append(span)
    return found


def _fitted(steps: _Steps, first: int, last: int) -> Span | None:
    """The span of these steps if their figures are linear in the length of the cache.

    The formulas are made from the first two steps.  They have to equal the last one, the middle one, the third, two at
    random in a long span, and all others that have been traced.
    """
    made = [steps.at(length) for length in dict.fromkeys((first, min(first + 1, last)))]
    if any(step.keys != made[0].keys for step in made):
        return None
    cells = [[Series.through(values) for values in zip(*of_call, strict=True)] for of_call in _by_call(made)]
    cache = Series.through([step.cache_bytes for step in made])
    known = [length for length in steps.found if first <= length <= last]
    scattered = random.Random(first).sample(range(first, last + 1), 2) if last - first >= LONG else ()
    for length in dict.fromkeys((*known, last, (first + last) // 2, min(first + 2, last), *scattered)):
        step, n = steps.at(length), length - first
        if step.keys != made[0].keys or step.cache_bytes != cache.at(n):
            return None
        for series, amounts in zip(cells, step.amounts, strict=True):
            if any(line.at(n) != amount for line, amount in zip(series, amounts, strict=True)):
                return None
    steps.used.update((first, min(first + 1, last)))
    return Span(first, last, _operations(made[0].keys, [step.amounts for step in made]), cache)


def _by_call(steps: Sequence[_Step]) -> Iterator[tuple[Amounts, ...]]:
    """For each call its figures in all these steps."""
    return zip(*(step.amounts for step in steps), strict=True)


def active_parameters(step: Trace, tokens: int) -> tuple[int | None, str]:
    """The number of parameters that one token uses, from the trace of a step on ``tokens`` tokens.

    A parameter counts as a whole if each token is multiplied with all of it, or if it is used in another way: a bias,
    the weight of a norm, a table of embeddings.  If a token is multiplied with a part of it, as with the weights of
    experts, or a part is looked up, that part counts: its MACs or elements, divided by the number of tokens.  What no
    token uses does not count.  If the number is not known, it is None, with the reason.
    """
    if step.unseen:
        return None, "some work is not recorded"
    sizes = {record.names[0]: record.size for record in step.parameters if not record.buffer}
    matrices = {record.names[0] for record in step.parameters if len(record.shape) > 1}
    parts: Counter[str] = Counter()
    whole, unclear = set[str](), set[str]()
    for tally in tallies(step.calls):
        names = [name for name in tally.parameters if name in sizes]
        if not names:
            continue
        if tally.status == "uncounted":
            return None, f"{tally.op} has no rule"
        macs, factors = tally.answer.count.macs, [name for name in names if name in matrices]
        if macs and factors:
            parts.update(dict.fromkeys(factors, macs * tally.times))
            unclear.update(factors if len(factors) > 1 else ())
            whole.update(name for name in names if name not in matrices)
        elif tally.status == "counted" or tally.op == TABLE:
            whole.update(names)
        elif tally.op in GATHERING and len(names) == 1:
            parts[names[0]] += tally.signature.outputs[0].size * tally.times
    total = Fraction(0)
    for name, size in sizes.items():
        if name in whole or parts[name] >= size * tokens:
            total += size
        elif name in unclear:
            return None, f"the part of {name} that a token uses is not known"
        else:
            total += Fraction(parts[name], tokens)
    return (int(total), "") if total.denominator == 1 else (None, "tokens use different numbers of parameters")


TABLE = "aten::embedding"
"""The operator that looks up tokens in a table, all of which counts as active: that is the convention in papers."""
