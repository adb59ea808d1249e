"""``harness doctor``: versions, devices, data that was found, plugins that are broken."""

from __future__ import annotations

import typer

from harness.cli.arguments import DataRoot, data_root


def doctor(root: DataRoot = None) -> int:
    """Say what this machine has and what is missing or broken. Exit status 1 where something is broken."""
    from harness.catalogue.catalogue import Catalogue
    from harness.common.errors import HarnessError, NotPrepared
    from harness.contract.data import DataRequest
    from harness.hardware.hardware import choose_hardware

    catalogue = Catalogue.discover()
    for name, value in choose_hardware().describe().items():
        typer.echo(f"{name}: {value}")
    folder, damaged = data_root(root), False
    typer.echo(f"data root: {folder}")
    for spec in catalogue.datasets.values():
        if spec.takes_argument:
            continue
        try:
            dataset = spec.open(DataRequest(folder))
        except NotPrepared as error:
            typer.echo(f"  {spec.name}: not here: {error}")
        except HarnessError as error:
            damaged = True
            typer.echo(f"  {spec.name}: not usable: {error}")
        else:
            counts = ", ".join(f"{split.name} {split.n_classes} classes" for split in dataset.splits)
            typer.echo(f"  {spec.name}: {counts}{''.join(f'; {note}' for note in dataset.notes)}")
    for broken in catalogue.broken:
        typer.echo(f"broken: {broken.plugin}: {broken.reason}")
    return 1 if catalogue.broken or damaged else 0
