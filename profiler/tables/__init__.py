"""The tables of a profile, one file each.

A new table is a new file here that defines ``table``, a function of a profile's :class:`~profiler.tabulate.Work`.
"""
