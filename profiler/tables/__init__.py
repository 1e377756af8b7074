"""The tables of a profile, one file each: what is tabulated → a table.

A new one is a new file here that defines ``table``, a function of a profile's :class:`~profiler.tabulate.Work`.
"""
