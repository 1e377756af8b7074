"""The commands, a file each: its docstring is the command's help, and ``command`` is what click calls."""
