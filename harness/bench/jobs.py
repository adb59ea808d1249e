"""The jobs of a method with a seed: a stage each, after its parents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.checks import starting_weights
from harness.common.errors import HarnessError, RunsError
from harness.execution.job import ParentStage, StageJob
from harness.hardware.request import HardwareRequest
from harness.runs import StageIdentity

if TYPE_CHECKING:
    from harness.bench.entries import Entry
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset, DatasetSpec, Strength
    from harness.contract.methods import Stage
    from harness.contract.plan import BenchPlan
    from harness.episodes.plan import EpisodePlan
    from harness.execution.source import DataSource


def stage_jobs(
    plan: BenchPlan,
    entry: Entry,
    seed: int,
    source: DataSource,
    dataset: Dataset,
    protocol: EpisodePlan,
    output: Path,
    catalogue: Catalogue,
) -> Iterator[StageJob]:
    """The jobs of one method with one seed, each after its parents."""
    machine = HardwareRequest(plan.device, plan.precision, plan.threads, plan.devices)
    versions = tuple(catalogue.head(entry.head).versions) if entry.head else ()
    options = entry.options.model_dump(mode="json")
    weights, pretraining = starting_weights(plan, entry, seed, source.dataset, dataset.train, output, catalogue)
    done: dict[str, StageJob] = {}
    stages = entry.method.stages(entry.options)
    positions = stage_positions(stages)
    for stage in stages:
        if stage.fit is not None and dataset.train is None:
            raise HarnessError(
                f"{dataset.spec.name} has no base classes to train {entry.label} on: train on another "
                f"dataset, with --test-dataset {source.dataset}"
            )
        parents = [done[name] for name in stage.parents]
        reads = options if stage.reads is None else stage.reads
        if str(options.get("selection")).startswith("best-val") and "selection" in reads and dataset.val is None:
            raise HarnessError(
                f"{entry.label}.selection = {options['selection']}, but {dataset.spec.name} has no validation classes "
                f"to select on: --set {entry.label}.selection=last"
            )
        identity = StageIdentity(
            method=entry.method.name,
            stage=stage.name,
            version=stage.version,
            options={name: options[name] for name in reads},
            parents=tuple(parent.key for parent in parents),
            data=dataset.train.fingerprint if dataset.train else "",
            validation=f"{dataset.val.fingerprint} {entry.method.head}" if dataset.val else None,
            pixels=_pixels(dataset.spec, plan.augment),
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
            position=positions[stage.name],
            identity=identity,
            folder=identity.folder(output, source.dataset),
            parents=tuple(ParentStage(parent.stage, parent.position, parent.folder) for parent in parents),
            source=source,
            protocol=protocol,
            machine=machine,
            augment=plan.augment,
            head_versions=versions,
            predictions=plan.predictions,
            pretraining=pretraining,
        )
        yield done[stage.name]


def stage_positions(stages: Iterable[Stage]) -> dict[str, tuple[int, ...]]:
    """Stage → (depth,), or (depth, n) where n earlier stages are as deep: members of an ensemble differ."""
    positions: dict[str, tuple[int, ...]] = {}
    for stage in stages:
        depth = 1 + max((positions[parent][0] for parent in stage.parents), default=-1)
        n_beside = sum(position[0] == depth for position in positions.values())
        positions[stage.name] = (depth, n_beside) if n_beside else (depth,)
    return positions


def _pixels(spec: DatasetSpec, augment: Strength) -> Mapping[str, Any]:
    return {
        "image_size": spec.image_size,
        "channels": spec.channels,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "augmentation": asdict(spec.augmentation.at(augment)),
    }


def _file_digest(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunsError(f"cannot read the weights {path}: {error.strerror}") from None
