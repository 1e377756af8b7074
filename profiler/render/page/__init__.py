"""A report → one HTML page that needs no other file and no network.

``cells`` and ``content`` turn a report into plain values, ``details`` and ``tree`` add what scripts need of a profile,
and ``document`` puts them into the templates, styles and scripts of the folder ``assets``.
"""
