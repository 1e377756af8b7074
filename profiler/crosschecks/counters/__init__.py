"""One file a counter: its ``COUNTER`` says how it is run and how it counts (see ``crosschecks/counter.py``)."""
