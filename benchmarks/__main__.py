"""Measure rows of the table of targets, and print them.

Without ROW all rows are measured, which takes about an hour.  With --write the results are stored in results.json, in
place of older results of the same rows, and the table in README.md and the picture are made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.measuring import find_rows, measure
from benchmarks.page import lines_of, write_page
from benchmarks.results import RESULTS, as_json, read


def main() -> None:
    """Measure and print; write on request."""
    rows = find_rows()
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure: {', '.join(rows)}")
    parser.add_argument("--subjects", metavar="NAME,…", help="only these subjects of the rows: resnet50,vit_b_16")
    parser.add_argument("--repeats", type=int, metavar="N", help="in place of each row's own number")
    parser.add_argument("--quick", action="store_true", help="few subjects and at most three repeats")
    parser.add_argument("--ultralytics-thop", type=Path, metavar="DIR", help="where ultralytics-thop was installed to")
    parser.add_argument("--write", action="store_true", help="store the results, and make the page and the picture")
    parser.add_argument("--page", action="store_true", help="make the page and the picture from the stored results")
    given = parser.parse_args()
    for name in given.rows:
        if name not in rows:
            parser.error(f"no row {name!r}, expected one of {', '.join(rows)}")
    if given.page:
        write_page(read())
        return
    ultralytics = given.ultralytics_thop and given.ultralytics_thop.resolve()
    machine = describe(ultralytics)
    for name in given.rows or rows:
        row = rows[name]
        subjects = row.quick if given.quick else row.subjects
        if given.subjects:
            subjects = tuple(given.subjects.split(","))
        repeats = given.repeats or (min(3, row.repeats) if given.quick else None)
        print(f"{name}: {row.title}", flush=True)
        for result in measure(name, row, subjects, repeats, ultralytics):
            print("\n".join(lines_of(row, result)), flush=True)
            if given.write:  # each at once, so that an interrupted run keeps what it has measured
                RESULTS.write_text(as_json(read().updated(machine, [result])), encoding="utf-8")
    if given.write:
        write_page(read())


if __name__ == "__main__":
    main()
