"""``harness methods``, ``datasets``, ``backbones``, ``classifiers``: what is installed, its options, what is broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import DatasetSpec
    from harness.contract.methods import MethodSpec

Name = Annotated[str | None, typer.Argument(help="One of them, in full.")]


def methods(name: Name = None) -> int:
    """Methods: what is installed; with a NAME, its options and presets; and which plugins are broken."""
    catalogue = _catalogue()
    if name is not None:
        _method(catalogue.method(name))
        return 0
    rows = [(m.name, m.title, m.paper or "-", catalogue.owner("method", m.name)) for m in catalogue.methods.values()]
    _columns(("method", "what it is", "paper", "from"), sorted(rows))
    _print_broken(catalogue)
    return 0


def datasets(name: Name = None) -> int:
    """Datasets: what can be benched on; with a NAME, its splits, licence and where people get it."""
    catalogue = _catalogue()
    if name is not None:
        _dataset(catalogue.dataset(name if ":" in name or not _wants_argument(catalogue, name) else f"{name}:PATH")[0])
        return 0
    rows = [(d.name, f"{d.image_size}x{d.image_size}", d.title) for d in catalogue.datasets.values()]
    _columns(("dataset", "pixels", "what it is"), rows)
    _print_broken(catalogue)
    return 0


def backbones() -> int:
    """Backbones: the networks that methods can be trained on."""
    catalogue = _catalogue()
    rows = [(f"{b.name}:NAME" if b.takes_argument else b.name, b.title) for b in catalogue.backbones.values()]
    _columns(("backbone", "what it is"), rows)
    _print_broken(catalogue)
    return 0


def classifiers() -> int:
    """Classifiers: what --classifier accepts."""
    catalogue = _catalogue()
    rows = [(c.name, c.title, "transductive" if c.transductive else "") for c in catalogue.classifiers.values()]
    _columns(("classifier", "what it is", ""), [("native", "each method's own head (the default)", ""), *rows])
    _print_broken(catalogue)
    return 0


def _catalogue() -> Catalogue:
    from harness.catalogue.catalogue import Catalogue

    return Catalogue.discover()


def _wants_argument(catalogue: Catalogue, name: str) -> bool:
    spec = catalogue.datasets.get(name)
    return spec is not None and spec.takes_argument


def _method(method: MethodSpec) -> None:
    typer.echo(f"{method.name}: {method.title}")
    if method.paper:
        typer.echo(f"paper: {method.paper}")
    typer.echo(f"head: {method.head or 'own'}")
    first = next(iter(method.presets.values()), None)
    values = {**first.values} if first else {}
    stages = method.stages(method.options.model_validate(values))
    typer.echo(f"stages: {', '.join(stage.name for stage in stages)}\n")
    rows = [
        (name, _type(field.annotation), _shown(field.default), field.description or "")
        for name, field in method.options.model_fields.items()
    ]
    _columns(("option", "type", "default", "what it is"), rows)
    for name, preset in method.presets.items():
        start = f" from {preset.weights}" if preset.weights else ""
        typer.echo(f"\npreset {name} ({preset.backbone}{start}): {preset.description}")
        for where, changed in [("", preset.values), *preset.per_dataset.items()]:
            if changed:
                text = ", ".join(f"{key}={_shown(value)}" for key, value in changed.items())
                typer.echo(f"  {where + ': ' if where else ''}{text}")


def _dataset(dataset: DatasetSpec) -> None:
    typer.echo(f"{dataset.name}: {dataset.title}")
    typer.echo(f"images: {dataset.image_size}x{dataset.image_size}, {dataset.channels} channels")
    for split, (classes, images) in dataset.counts.items():
        typer.echo(f"{split}: {classes} classes, {images:,} images")
    for label in ("licence", "citation", "obtain"):
        if getattr(dataset, label):
            typer.echo(f"{label}: {getattr(dataset, label)}")


def _type(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation) if isinstance(annotation, type) else annotation).replace(
        "typing.", ""
    )


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from tabulate import tabulate

    typer.echo(tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True))


def _print_broken(catalogue: Catalogue) -> None:
    for broken in catalogue.broken:
        typer.echo(f"broken: {broken.plugin}: {broken.reason}")
