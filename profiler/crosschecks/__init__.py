"""Our records and another counter's figures → where they agree, and the reason for every difference.

A reason is derived from the two records: from the counter's own convention, restated on the shapes that we recorded,
and from what it reports that it saw, did not see, and has no rule for.  What is left over is unexplained.

Each counter is one file in ``counters/``.  ``rows`` and ``tables`` explain a stored record, and never import torch;
``running`` and ``process`` run a counter.
"""
