"""List the devices and the models of energy; with NAME, print its file, to copy it, or check your own (mine.yaml).

The file of a device has its peak FLOP/s by dtype, its memory and its link, with the source of each figure.  A copy is
a device of your own: --device mine.yaml.
"""

from __future__ import annotations

from pathlib import Path

import click

from profiler import catalog
from profiler.cli.delivery import print_document
from profiler.cli.ending import Command


@click.command(cls=Command, help=__doc__)
@click.argument("name", required=False)
def command(name: str | None) -> None:
    from profiler import devices, energy

    if name is not None:
        of_energy = name in catalog.energy_models()
        if not of_energy:
            devices.find_device(name)
        folder = energy.FOLDER if of_energy else devices.FOLDER
        path = folder / f"{name}.yaml" if of_energy or name in catalog.devices() else Path(name)
        print_document(path.read_text(encoding="utf-8"))
        return
    known = {known: devices.find_device(known).name for known in catalog.devices()}
    known |= {model: f"energy: {energy.find_energy_model(model).name}" for model in catalog.energy_models()}
    width = max(map(len, known))
    print_document("".join(f"{key:<{width}}  {text}\n" for key, text in known.items()))
