"""A profile → the derivation of each module's cost: its calls with shapes and terms, and its parameters.

Equal calls of several modules are written once.
"""

from __future__ import annotations

from typing import Any

from profiler.opcount import SCALAR_OPERATIONS, Term
from profiler.printable import visible
from profiler.profiles import Profile
from profiler.records import ROOT, OpCall, ParameterRecord, show_shape, show_shapes
from profiler.render.page.cells import exact

COUNTED = (*SCALAR_OPERATIONS, "macs")
"""The counts of a term on a page, in this order."""

CALLS_SHOWN = 50
"""The maximum number of different calls that are shown of a module."""

PARAMETERS_SHOWN = 50
"""The maximum number of parameters that are shown of a module."""


def module_details(profile: Profile) -> dict[str, Any]:
    """What each module did and holds, by its name in a table.

    Of a module there are its ``type``, the number of its ``calls``, its ``runs`` (the number of one of the different
    ``calls``, how often, the phase), its ``parameters``, and how many further runs and parameters are not shown.  A
    call is the number of its subject (operation, kind, status, reason), its shapes, and its terms.
    """
    calls: dict[tuple[object, ...], int] = {}
    shown: list[list[Any]] = []
    subjects: dict[tuple[str, ...], int] = {}
    modules: dict[str, dict[str, Any]] = {}
    for record in profile.trace.modules:
        modules[visible(record.name or ROOT)] = {"type": visible(record.type), "calls": record.calls}
    for tally in profile.work.tallies:
        call = tally.call
        module = modules.setdefault(visible(call.module or ROOT), {})
        runs = module.setdefault("runs", [])
        if len(runs) == CALLS_SHOWN:
            module["moreRuns"] = module.get("moreRuns", 0) + 1
            continue
        key = (call.signature, call.answer, call.kind)
        if key not in calls:
            calls[key] = len(shown)
            subject = (call.op, call.kind, call.status, call.reason)
            shown.append([subjects.setdefault(subject, len(subjects)), *_shapes(call), *map(_term, call.terms)])
        runs.append([calls[key], tally.times, call.phase])
    for parameter in profile.trace.parameters:
        module = modules.setdefault(visible(parameter.module or ROOT), {})
        held = module.setdefault("parameters", [])
        if len(held) == PARAMETERS_SHOWN:
            module["moreParameters"] = module.get("moreParameters", 0) + 1
        else:
            held.append(_parameter(parameter))
    named = [dict(zip(("op", "kind", "status", "reason"), map(visible, subject), strict=True)) for subject in subjects]
    return {"counted": list(COUNTED), "subjects": named, "calls": shown, "modules": modules}


def _shapes(call: OpCall) -> tuple[str, str]:
    """The shapes of the tensors that go in and come out."""
    inputs, outputs = (tuple(spec.shape for spec in specs) for specs in (call.inputs, call.outputs))
    return show_shapes(inputs), show_shapes(outputs)


def _term(term: Term) -> list[Any]:
    """What the term is about, its formula, and its cost: the numbers of ``COUNTED``, without zeros at the end."""
    cost = [exact(getattr(term.count, kind)) for kind in COUNTED]
    while cost and not cost[-1]:
        cost.pop()
    return [visible(term.what), term.formula, cost]


def _parameter(record: ParameterRecord) -> list[Any]:
    """Its name, shape and number of elements, and what else is to be known of it."""
    marks = ["buffer"] if record.buffer else [] if record.trainable else ["frozen"]
    marks += [f"also {name}" for name in record.names[1:]]
    within = f"{record.module}." if record.module else ""
    return [
        visible(record.names[0].removeprefix(within)),
        show_shape(record.shape),
        exact(record.size),
        visible(", ".join(marks)),
    ]
