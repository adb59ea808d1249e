"""A table of stages that an earlier bench recorded, to be scored again: as they are on disk, not as a plan has them.

What decided their weights is read from their folders. Options that a method was given since, or lost, or another
default, change nothing about a stage that is trained: its learner is built from the options that were recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.bench.entries import choose_head
from harness.bench.jobs import stage_positions
from harness.bench.table import BenchTable, data_source, episode_plan
from harness.common.errors import HarnessError, RunsError
from harness.execution.job import ParentStage, StageJob
from harness.hardware.request import HardwareRequest
from harness.runs import StageFolder, StageIdentity

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset
    from harness.contract.methods import MethodSpec
    from harness.contract.options import MethodOptions
    from harness.contract.plan import BenchPlan
    from harness.episodes.plan import EpisodePlan
    from harness.execution.source import DataSource
    from harness.runs.records import StageRecord, TableRecord

SHOWN = 12  # digits of a fingerprint in a message


def recorded_table(
    plan: BenchPlan, recorded: TableRecord, catalogue: Catalogue, output: Path, root: Path
) -> BenchTable:
    """The stages of an earlier bench on a dataset, under the heads and on the episodes of ``plan``.

    Raises:
        HarnessError: a method is not installed, or refuses the options that were recorded.
        RunsError: the dataset holds other images now, or the record is damaged.
    """
    source = data_source(plan, recorded.dataset, root)
    dataset = source.open(catalogue)
    records = [_scored_anew(plan, record, catalogue) for record in recorded.stages]
    protocol = episode_plan(plan, any(record.transductive for record in records))
    reader = _Reader(plan, catalogue, output, source, dataset, protocol, {record.key: record for record in records})
    jobs = {reader.job(record): record for record in records}
    episodes = protocol.sample(source.scored(dataset))
    return BenchTable(source, dataset, episodes, [], list(jobs), {}, plan.rows, jobs)


def _scored_anew(plan: BenchPlan, record: StageRecord, catalogue: Catalogue) -> StageRecord:
    method = catalogue.method(record.method)
    head = choose_head(plan, method, catalogue)
    transductive = method.transductive or (head is not None and catalogue.classifier(head.classifier).transductive)
    return record.model_copy(update={"head": head, "transductive": transductive})


class _Reader:
    """Jobs of recorded stages."""

    def __init__(
        self,
        plan: BenchPlan,
        catalogue: Catalogue,
        output: Path,
        source: DataSource,
        dataset: Dataset,
        protocol: EpisodePlan,
        records: Mapping[str, StageRecord],
    ) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._output = output
        self._source = source
        self._dataset = dataset
        self._protocol = protocol
        self._records = records  # by key

    def job(self, record: StageRecord) -> StageJob:
        plan, head = self._plan, record.head
        method = self._catalogue.method(record.method)
        folder = recorded_folder(self._output, record)
        identity = StageFolder(folder).identity
        if identity is not None:
            self._check_images(identity, record)
        options = options_of(method, record.label, record.options)
        positions = stage_positions(method.stages(options))
        parents = [self._records[key] for key in record.parents if key in self._records]
        return StageJob(
            label=record.label,
            method=record.method,
            stage=record.stage,
            options=options.model_dump(mode="json"),
            backbone=record.backbone,
            weights=None,  # those of its training take their place
            head=head,
            seed=record.seed,
            position=positions.get(record.stage, (0,)),
            identity=StageIdentity.recorded({**vars(identity or _nothing_but(record)), "parents": record.parents}),
            folder=folder,
            parents=tuple(
                ParentStage(parent.stage, positions.get(parent.stage, (0,)), recorded_folder(self._output, parent))
                for parent in parents
            ),
            source=self._source,
            protocol=self._protocol,
            machine=HardwareRequest(plan.device, plan.precision, plan.threads, plan.devices),
            augment=plan.augment,
            head_versions=tuple(self._catalogue.head(head).versions) if head else (),
            recorded_key=record.key,
            predictions=plan.predictions,
        )

    def _check_images(self, identity: StageIdentity, record: StageRecord) -> None:
        """Raises RunsError where a stage was trained on other images than the dataset has now."""
        train, spec = self._dataset.train, self._dataset.spec
        now: dict[str, Any] = {
            "image_size": spec.image_size,
            "channels": spec.channels,
            "mean": list(spec.mean),
            "std": list(spec.std),
        }
        then = identity.pixels or {}
        changed = [f"{name} {then[name]}, now {value}" for name, value in now.items() if then.get(name, value) != value]
        fingerprint = train.fingerprint if train else ""
        if identity.data and identity.data != fingerprint:
            changed.append(f"fingerprint {identity.data[:SHOWN]}, now {fingerprint[:SHOWN] or 'no base classes'}")
        if changed:
            raise RunsError(
                f"{record.row} seed {record.seed} was trained on other images of {self._source.dataset} than there are "
                f"here ({'; '.join(changed)}): give the data that it was trained on, or train again with harness bench"
            )


def recorded_folder(output: Path, record: StageRecord) -> Path:
    """Where a stage is. Raises RunsError where its record leads out of the run folder."""
    place = PurePosixPath(record.folder.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts:
        raise RunsError(f"{record.row} seed {record.seed}: the record names the folder {record.folder}, outside of it")
    return output / place


def options_of(method: MethodSpec, label: str, recorded: Mapping[str, Any]) -> MethodOptions:
    """Recorded options as the installed method has them: what it no longer has is dropped, what is new its default.

    Raises:
        HarnessError: the method refuses a value that was recorded.
    """
    known = {name: value for name, value in recorded.items() if name in method.options.model_fields}
    try:
        return method.options.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "options"
        raise HarnessError(
            f"{label} was trained with {name} = {first['input']!r}, which {method.name} as it is installed refuses "
            f"({first['msg'].lower()}): install the version that trained it"
        ) from None


def _nothing_but(record: StageRecord) -> StageIdentity:
    """What a bench's record alone says of a stage whose folder is gone."""
    return StageIdentity.recorded({"method": record.method, "stage": record.stage, "seed": record.seed})
