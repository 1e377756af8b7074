"""The figures of tables that are ratios of others, one file each.

A new ratio is a new file here that defines ``RATIO``, a :class:`~profiler.measures.Ratio`; no other file names it.
"""
