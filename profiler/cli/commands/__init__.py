"""The commands, one file each: its docstring is the help, and ``command`` is what click calls."""
