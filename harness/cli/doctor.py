"""``harness doctor``: versions, devices, room, extras, data that was found, plugins that work and that are broken."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.arguments import DataRoot, data_root
from harness.cli.settings import settings_file
from harness.cli.terminal import print_wrapped

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue


def doctor(root: DataRoot = None) -> int:
    """Say what this machine has and what is missing or broken. Exit status 1 where something is broken."""
    from harness.catalogue.catalogue import Catalogue
    from harness.hardware.hardware import choose_hardware

    catalogue = Catalogue.discover()
    for name, value in choose_hardware().describe().items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"memory: {_memory()}")
    folder = data_root(root)
    for name, place in (("run folder", Path("runs").absolute()), ("data root", folder)):
        typer.echo(f"{name}: {place} ({_free(place)}{'' if place.is_dir() else ', not there yet'})")
    damaged = not _print_datasets(catalogue, folder)
    typer.echo(f"settings: {settings_file() or 'none (harness.toml)'}")
    for name, lacking in _extras().items():
        missing = f"needs {', '.join(lacking)}: pip install 'fsl-harness[{name}]'"
        typer.echo(f"extra {name}: {missing if lacking else 'installed'}")
    owners: dict[str, list[str]] = {}
    for method in catalogue.methods:
        owners.setdefault(catalogue.owner("method", method), []).append(method)
    for owner, names in sorted(owners.items()):
        print_wrapped(f"plugin {owner}: {', '.join(names)}")
    if catalogue.trackers:
        print_wrapped(f"trackers, for --track: {', '.join(sorted(catalogue.trackers))}")
    for broken in catalogue.broken:
        print_wrapped(f"broken: {broken.plugin}: {broken.reason}")
    return 1 if catalogue.broken or damaged else 0


def _print_datasets(catalogue: Catalogue, folder: Path) -> bool:
    """Whether none is damaged."""
    from harness.common.errors import HarnessError, NotPrepared
    from harness.contract.data import DataRequest

    whole, missing = True, []
    for spec in catalogue.datasets.values():
        if spec.takes_argument:
            continue
        try:
            dataset = spec.open(DataRequest(folder))
        except NotPrepared:
            missing.append(spec.name)
        except HarnessError as error:
            whole = False
            print_wrapped(f"{spec.name}: not usable: {error}", indent=2)
        else:
            counts = ", ".join(f"{split.name} {split.n_classes} classes" for split in dataset.splits)
            print_wrapped(f"{spec.name}: {counts}{''.join(f'; {note}' for note in dataset.notes)}", indent=2)
    if missing:
        print_wrapped(f"not here: {', '.join(missing)} (harness datasets NAME says where people get it)", indent=2)
    return whole


def _extras() -> dict[str, list[str]]:
    """Each optional part of the harness → the packages of it that are not installed."""
    from packaging.requirements import Requirement

    from harness.catalogue.catalogue import DISTRIBUTION

    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return {}
    extras: dict[str, list[str]] = {name: [] for name in distribution.metadata.get_all("Provides-Extra") or ()}
    for requirement in map(Requirement, distribution.requires or ()):
        for name in extras:
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                continue
            if marker.evaluate({"extra": name}) and not _is_installed(requirement.name):
                extras[name].append(requirement.name)
    return extras


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:,.0f} GiB"
    except (AttributeError, OSError, ValueError):  # Windows does not say so
        return "unknown"


def _free(place: Path) -> str:
    there = next((parent for parent in (place, *place.parents) if parent.exists()), Path("/"))
    return f"{shutil.disk_usage(there).free / 2**30:,.0f} GiB free"
