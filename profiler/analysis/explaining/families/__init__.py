"""The named sizes of operations, one file a family.

A file defines ``FAMILIES``: functions from a call to :class:`~profiler.analysis.explaining.words.Words`, each with the
operators that it knows.  Every formula is compared with the term of the rule; where they differ, the term is shown.
"""
