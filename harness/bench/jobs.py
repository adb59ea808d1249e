"""The jobs of a method with a seed: a stage each, after its parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.checks import starting_weights
from harness.bench.entries import Entry
from harness.common.errors import HarnessError, RunsError
from harness.contract.data import Dataset, DatasetSpec
from harness.contract.plan import BenchPlan
from harness.episodes.plan import EpisodePlan
from harness.execution.job import StageJob
from harness.execution.source import DataSource
from harness.hardware.request import HardwareRequest
from harness.runs import StageIdentity

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue


def stage_jobs(
    plan: BenchPlan,
    entry: Entry,
    seed: int,
    source: DataSource,
    dataset: Dataset,
    protocol: EpisodePlan,
    machine: HardwareRequest,
    output: Path,
    catalogue: Catalogue,
) -> Iterator[StageJob]:
    """The jobs of one method with one seed, each after its parent."""
    versions = tuple(catalogue.head(entry.head).versions) if entry.head else ()
    options = entry.options.model_dump(mode="json")
    weights = starting_weights(plan.weights, entry.backbone, catalogue)
    done: dict[str, StageJob] = {}
    for stage in entry.method.stages(entry.options):
        if stage.fit is not None and dataset.train is None:
            raise HarnessError(
                f"{dataset.spec.name} has no base classes to train {entry.label} on: train on another "
                f"dataset, with --test-dataset {source.dataset}"
            )
        parent = done[stage.parent] if stage.parent else None
        selects = options.get("selection") == "best-val" and "selection" in stage.reads
        if selects and dataset.val is None:
            raise HarnessError(
                f"{entry.label}.selection = best-val, but {dataset.spec.name} has no validation classes "
                f"to select on: --set {entry.label}.selection=last"
            )
        identity = StageIdentity(
            method=entry.method.name,
            stage=stage.name,
            version=stage.version,
            options={name: options[name] for name in stage.reads},
            parent=parent.key if parent else None,
            data=dataset.train.fingerprint if dataset.train else "",
            validation=f"{dataset.val.fingerprint} {entry.method.head if selects else ''}" if dataset.val else None,
            pixels=_pixels(dataset.spec),
            backbone=entry.backbone,
            weights=_file_digest(weights) if weights else None,
            seed=seed,
            precision=plan.precision,
        )
        done[stage.name] = StageJob(
            label=entry.label,
            method=entry.method.name,
            stage=stage.name,
            options=options,
            backbone=entry.backbone,
            weights=weights,
            head=entry.head,
            seed=seed,
            depth=parent.depth + 1 if parent else 0,
            identity=identity,
            folder=identity.folder(output, source.dataset),
            parent_folder=parent.folder if parent else None,
            source=source,
            protocol=protocol,
            machine=machine,
            head_versions=versions,
        )
        yield done[stage.name]


def _pixels(spec: DatasetSpec) -> Mapping[str, Any]:
    return {
        "image_size": spec.image_size,
        "channels": spec.channels,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "augmentation": asdict(spec.augmentation),
    }


def _file_digest(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunsError(f"cannot read the weights {path}: {error.strerror}") from None
