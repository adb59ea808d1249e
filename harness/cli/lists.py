"""``harness methods``, ``datasets``, ``backbones``, ``classifiers``: what is installed, its options, what is broken.

As a table that fits the terminal, or with ``--json`` as a list of objects for programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from harness.cli.arguments import DataRoot, data_root
from harness.cli.terminal import print_columns, print_wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import DatasetSpec
    from harness.contract.methods import MethodSpec

Name = Annotated[str | None, typer.Argument(help="One of them, in full.")]
AsJson = Annotated[bool, typer.Option("--json", help="A list of objects in place of a table.")]


def methods(name: Name = None, as_json: AsJson = False) -> int:
    """Methods: what is installed; with a NAME, its options and presets; and which plugins are broken."""
    catalogue = _catalogue()
    if name is not None:
        method = catalogue.method(name)
        _print_json(_described(method)) if as_json else _print_method(method)
        return 0
    rows = [(m.name, m.title, m.paper or "-", catalogue.owner("method", m.name)) for m in catalogue.methods.values()]
    return _print_list(catalogue, ("method", "what it is", "paper", "from"), sorted(rows), as_json)


def datasets(name: Name = None, as_json: AsJson = False, root: DataRoot = None) -> int:
    """Datasets: what can be benched on; with a NAME, its splits, licence and where people get it."""
    catalogue = _catalogue()
    if name is not None:
        _print_dataset(
            catalogue.dataset(name if ":" in name or not _wants_argument(catalogue, name) else f"{name}:PATH")[0]
        )
        return 0
    rows = [
        (d.name, f"{d.image_size}x{d.image_size}", _state(d, data_root(root)), d.title)
        for d in catalogue.datasets.values()
    ]
    return _print_list(catalogue, ("dataset", "pixels", "here", "what it is"), rows, as_json)


def backbones(as_json: AsJson = False) -> int:
    """Backbones: the networks that methods can be trained on."""
    catalogue = _catalogue()
    rows = [(f"{b.name}:NAME" if b.takes_argument else b.name, b.title) for b in catalogue.backbones.values()]
    return _print_list(catalogue, ("backbone", "what it is"), rows, as_json)


def classifiers(as_json: AsJson = False) -> int:
    """Classifiers: what --classifier accepts."""
    catalogue = _catalogue()
    rows = [(c.name, "all queries" if c.transductive else "one query", c.title) for c in catalogue.classifiers.values()]
    native = ("native", "-", "each method's own head (the default)")
    return _print_list(catalogue, ("classifier", "looks at", "what it is"), [native, *rows], as_json)


def _catalogue() -> Catalogue:
    from harness.catalogue.catalogue import Catalogue

    return Catalogue.discover()


def _wants_argument(catalogue: Catalogue, name: str) -> bool:
    spec = catalogue.datasets.get(name)
    return spec is not None and spec.takes_argument


def _state(dataset: DatasetSpec, folder: Path) -> str:
    """Whether a dataset can be benched on right away."""
    from harness.common.errors import HarnessError, NotPrepared
    from harness.contract.data import DataRequest

    if dataset.takes_argument or dataset.prepare is None:
        return "yes"
    try:
        dataset.open(DataRequest(folder))
    except NotPrepared:
        return "no"
    except HarnessError:
        return "damaged"
    return "yes"


def _described(method: MethodSpec) -> dict[str, Any]:
    """A method as plain values, for programs."""
    return {
        "method": method.name,
        "what it is": method.title,
        "paper": method.paper,
        "head": str(method.head) if method.head else None,
        "stages": _stages(method),
        "options": method.options.model_json_schema()["properties"],
        "presets": {
            name: {
                "what it is": preset.description,
                "backbone": preset.backbone,
                "values": {**preset.values},
                "per dataset": {dataset: {**values} for dataset, values in preset.per_dataset.items()},
            }
            for name, preset in method.presets.items()
        },
    }


def _stages(method: MethodSpec) -> list[str]:
    first = next(iter(method.presets.values()), None)
    return [stage.name for stage in method.stages(method.options.model_validate({**first.values} if first else {}))]


def _print_method(method: MethodSpec) -> None:
    typer.echo(f"{method.name}: {method.title}")
    if method.paper:
        typer.echo(f"paper: {method.paper}")
    typer.echo(f"head: {method.head or 'own'}")
    typer.echo(f"stages: {', '.join(_stages(method))}\n")
    rows = [
        (name, _shown(field.default), f"{field.description or ''} ({_type(field.annotation)})".strip())
        for name, field in method.options.model_fields.items()
    ]
    print_columns(("option", "default", "what it is (what it takes)"), rows)
    for name, preset in method.presets.items():
        start = f" from {preset.weights}" if preset.weights else ""
        print_wrapped(f"preset {name} ({preset.backbone}{start}): {preset.description}", before="\n")
        for where, changed in [("", preset.values), *preset.per_dataset.items()]:
            if changed:
                text = ", ".join(f"{key}={_shown(value)}" for key, value in changed.items())
                print_wrapped(f"{where + ': ' if where else ''}{text}", indent=2)


def _print_dataset(dataset: DatasetSpec) -> None:
    typer.echo(f"{dataset.name}: {dataset.title}")
    typer.echo(f"images: {dataset.image_size}x{dataset.image_size}, {dataset.channels} channels")
    for split, (classes, images) in dataset.counts.items():
        typer.echo(f"{split}: {classes} classes, {images:,} images")
    from harness.contract.citations import citation_text

    for label, text in (("licence", dataset.licence), ("citation", citation_text(dataset)), ("obtain", dataset.obtain)):
        if text:
            typer.echo(f"{label}: {text}")


def _type(annotation: Any) -> str:
    """What an option takes, in words: ``sgd | adam``, ``int | null``, ``several int``."""
    if annotation is type(None):
        return "null"
    parts = [part for part in get_args(annotation) if part is not Ellipsis]
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, parts))
    if get_origin(annotation) is tuple:
        return f"several {' | '.join(dict.fromkeys(map(_type, parts)))}"
    if parts and not isinstance(annotation, type):
        return " | ".join(map(_type, parts))
    return str(getattr(annotation, "__name__", annotation))


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _print_list(catalogue: Catalogue, header: Sequence[str], rows: Iterable[Sequence[str]], as_json: bool) -> int:
    if as_json:
        _print_json([dict(zip(header, row, strict=True)) for row in rows])
        return 0
    print_columns(header, rows)
    for broken in catalogue.broken:
        print_wrapped(f"broken: {broken.plugin}: {broken.reason}")
    return 0


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
