"""The storages of a run ↔ their form in a file: one list for each storage, without repeated names.

``places`` has the module, the operation and the phase of storages; a storage refers to one of them by its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import core_schema

from profiler.errors import shown
from profiler.memory import STATES, MemoryRecord, Role, Saved, Storage
from profiler.stored.schemas import INTEGER, TEXT, list_of, mapping, optional

ROLES: tuple[Role, ...] = ("input", "result", "seed", "gradient", "optimizer")
"""In a file a role is its number."""

PHASES = frozenset({"forward", "recompute", "backward", "optimizer"})

LARGEST = 2**62
"""No tensor has more bytes, and no run has more operations."""

NEVER = -1
"""In place of the operation before which a storage was freed, for one that was alive at the end."""

_PHASE = core_schema.list_schema(core_schema.union_schema([TEXT, INTEGER]), min_length=2, max_length=2)
_PLACE = core_schema.list_schema(TEXT, min_length=3, max_length=3)
_STORAGE = core_schema.list_schema(INTEGER, min_length=5, max_length=5)
_SAVED = mapping({"module": TEXT, "storages": list_of(INTEGER), "parameter_bytes": optional(INTEGER)})

MEMORY = mapping(
    {
        "operations": INTEGER,
        "phases": list_of(_PHASE),
        "places": list_of(_PLACE),
        "storages": list_of(_STORAGE),
        "saved": optional(list_of(_SAVED)),
        "optimizer": optional(TEXT),
    }
)
"""The storages of a run, in a file."""


def write_memory(record: MemoryRecord) -> dict[str, Any]:
    """The storages as they are in a file: each has its bytes, its first and last operation, its place and its role."""
    places: dict[tuple[str, str, str], int] = {}
    storages = [
        [
            storage.bytes,
            storage.born,
            NEVER if storage.died is None else storage.died,
            places.setdefault((storage.module, storage.op, storage.phase), len(places)),
            ROLES.index(storage.role),
        ]
        for storage in record.storages
    ]
    item: dict[str, Any] = {
        "operations": record.operations,
        "phases": [list(phase) for phase in record.phases],
        "places": [list(place) for place in places],
        "storages": storages,
    }
    if record.saved is not None:
        item["saved"] = [
            {"module": saved.module, "storages": list(saved.storages), "parameter_bytes": saved.parameter_bytes}
            for saved in record.saved
        ]
    if record.optimizer is not None:
        item["optimizer"] = record.optimizer
    return item


def problems_of(item: Mapping[str, Any], modules: frozenset[str]) -> Iterator[str]:
    """The first impossible value among the storages in a file, as ``key: found …, expected …``."""
    operations, places, count = item["operations"], item["places"], len(item["storages"])
    if not 0 <= operations <= LARGEST:
        yield f"memory.operations: found {operations}, expected a number of operations"
        return
    for number, (phase, first) in enumerate(item["phases"]):
        if phase not in PHASES or type(first) is not int or not 0 <= first < max(operations, 1):
            yield f"memory.phases.{number}: found {shown([phase, first])}, expected a phase and its first operation"
            return
    for number, (module, _, phase) in enumerate(places):
        if module not in modules or phase not in PHASES:
            yield f"memory.places.{number}: found {shown([module, phase])}, expected a module and a phase"
            return
    for number, (size, born, died, place, role) in enumerate(item["storages"]):
        lives = 0 <= born <= operations and (died == NEVER or born <= died <= operations)
        if not (lives and 0 <= size <= LARGEST and 0 <= place < len(places) and 0 <= role < len(ROLES)):
            found = shown([size, born, died, place, role])
            yield f"memory.storages.{number}: found {found}, expected bytes, two operations, a place and a role"
            return
    for number, saved in enumerate(item.get("saved", ())):
        right = all(0 <= storage < count for storage in saved["storages"])
        if saved["module"] not in modules or not right or not 0 <= saved.get("parameter_bytes", 0) <= LARGEST:
            yield f"memory.saved.{number}: found {shown(saved['module'])}, expected a module and numbers of storages"
            return
    if item.get("optimizer") not in (None, *STATES):
        yield f"memory.optimizer: found {shown(item['optimizer'])}, expected one of {', '.join(STATES)}"


def read_memory(item: Mapping[str, Any]) -> MemoryRecord:
    """The storages in a file without problems."""
    places = [(module, op, phase) for module, op, phase in item["places"]]
    storages = tuple(
        Storage(size, born, None if died == NEVER else died, *places[place], role=ROLES[role])  # type: ignore[misc]
        for size, born, died, place, role in item["storages"]
    )
    saved = item.get("saved")
    return MemoryRecord(
        item["operations"],
        tuple((phase, first) for phase, first in item["phases"]),
        storages,
        None
        if saved is None
        else tuple(Saved(each["module"], tuple(each["storages"]), each.get("parameter_bytes", 0)) for each in saved),
        item.get("optimizer"),
    )
