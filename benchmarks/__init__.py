"""How long a profile takes: ``python -m benchmarks`` measures it beside what it is compared with."""
