"""How long a run of training takes: its speed, and the days and device-hours for a budget of tokens."""

from __future__ import annotations

from profiler.columns import FIRST, HEADLINE, Column
from profiler.schema import Table
from profiler.tables.utilization import tokens_of
from profiler.tabulate import Work
from profiler.throughput import DAY

COLUMNS = (
    Column("device", "name", FIRST),
    Column("devices", "count", 5),
    Column("tokens_per_second", "rate", HEADLINE, "tokens/s", meaning="of all devices together"),
    Column("tokens_per_second_per_device", "rate", 6, "tokens/s per device"),
    Column("seconds_per_step", "rate", 7, meaning="of a step of tokens_per_step tokens"),
    Column("tokens_per_step", "count", 8),
    Column("token_budget", "count", 4, meaning="tokens of the whole run"),
    Column("days", "rate", 2, meaning="for the budget, without interruptions"),
    Column("device_hours", "rate", 3, meaning="for the budget, of all devices together"),
)

SUBJECT = "Run of training"


def table(work: Work) -> Table:
    """One row; none without a device, a throughput and a training step.  Without a budget its columns are missing."""
    device, throughput = work.device, work.throughput
    tokens = tokens_of(work.trace.whole)
    if device is None or throughput is None or not tokens:
        return Table.of("training_run", SUBJECT, COLUMNS, ())
    rate, seconds = throughput.rate(tokens), throughput.seconds(tokens)
    of_step = throughput.tokens_per_step or tokens
    row = (
        device.name,
        throughput.devices,
        float(rate),
        float(rate / throughput.devices),
        float(of_step / rate),
        of_step,
        throughput.token_budget,
        None if seconds is None else float(seconds / DAY),
        None if seconds is None else float(seconds * throughput.devices / 3600),
    )
    return Table.of("training_run", SUBJECT, COLUMNS, [row])
