"""``harness cite``: the BibTeX entries of what stands in a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.catalogue.catalogue import Catalogue
    from harness.runs.records import BenchRecord


def cite(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders, as made by harness bench.")] = None,
    to: Annotated[Path | None, typer.Option("-o", help="File to write: paper.bib. Default: standard output.")] = None,
    bench: Annotated[list[str] | None, typer.Option(help="ID of a bench, 'last' or 'all'. Repeatable.")] = None,
) -> int:
    """Print the BibTeX of what stands in a table: methods, datasets, backbones, classifiers, and the harness."""
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.report import DEFAULT_RUNS, chosen_benches
    from harness.common.files import write_text
    from harness.contract.citations import Citation, citation_text, citations

    catalogue = Catalogue.discover()
    parts: dict[str, Any] = {"the harness": _harness()}
    for _, record in chosen_benches(runs or DEFAULT_RUNS, bench):
        parts.update(_parts(record, catalogue))
    entries: dict[Citation, list[str]] = {}
    without = []
    for name, part in parts.items():
        of_part = (part,) if isinstance(part, Citation) else citations(part)
        for citation in of_part:
            entries.setdefault(citation, []).append(name)
        if not of_part:
            without.append(f"{name} ({citation_text(part)})" if part and citation_text(part) else name)
    keys: set[str] = set()
    text = ""
    for citation, names in entries.items():
        key = citation.key
        while key in keys:  # two publications under one key
            key += "-b"
        keys.add(key)
        text += f"% {', '.join(names)}\n{citation.bibtex(key)}\n"
    if to is None or to == Path("-"):
        typer.echo(text, nl=False)
    else:
        try:
            write_text(to, text)
        except OSError as error:
            raise HarnessError(f"cannot write {to}: {error.strerror}") from None
    if without:
        sys.stderr.write(f"no entry is known of: {', '.join(without)}\n")
    return 0


def _parts(record: BenchRecord, catalogue: Catalogue) -> Iterator[tuple[str, Any]]:
    """What a bench's tables hold, by name: the spec, or None of what is not installed here."""
    for table in record.tables:
        for name in filter(None, (table.dataset, table.test_dataset)):
            yield f"dataset {name}", _installed(catalogue.dataset, name)
        for stage in table.stages:
            if stage.shown and not stage.floor:
                yield f"method {stage.method}", catalogue.methods.get(stage.method)
                if stage.backbone:
                    yield f"backbone {stage.backbone}", _installed(catalogue.backbone, stage.backbone)
                if stage.head and (spec := catalogue.classifiers.get(stage.head.classifier)) and spec.citation:
                    yield f"classifier {spec.name}", spec


def _installed(find: Any, name: str) -> Any:
    try:
        return find(name)[0]
    except UnknownName:
        return None


def _harness() -> Any:
    from harness.common.version import __version__
    from harness.contract.citations import Citation

    return Citation(
        "fsl-harness",
        "{the harness authors}",
        "harness: fair comparison of few-shot-learning methods",
        2026,
        f"version {__version__}",
        "misc",
    )
