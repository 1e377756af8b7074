"""Executes docs/tutorial.ipynb and writes its outputs: ``python -m tests.tutorial``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def read() -> Any:
    """The notebook as it is committed."""
    nbformat: Any = import_module("nbformat")
    return nbformat.read(TUTORIAL, as_version=4)


def executed(notebook: Any) -> Any:
    """The notebook with the outputs of its cells, executed in order in a new kernel, without execution metadata."""
    from nbclient import NotebookClient

    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": TUTORIAL.parent}}
    ).execute()
    return without_execution(notebook)


def without_execution(notebook: Any) -> Any:
    """The notebook without what differs from run to run: times, and the versions of the kernel."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def written(notebook: Any) -> str:
    """The notebook as text."""
    nbformat: Any = import_module("nbformat")
    text: str = nbformat.writes(notebook)
    return text if text.endswith("\n") else text + "\n"


if __name__ == "__main__":
    TUTORIAL.write_text(written(executed(read())), encoding="utf-8")
    sys.stdout.write(f"{TUTORIAL.stat().st_size:,} bytes\n")
