"""The run record: every file that a bench, a stage or a search leaves behind, as a typed value with a format number.

    OUTPUT/benches/ID.json                           BenchRecord
    OUTPUT/begun/ID.json                             BegunRecord
    OUTPUT/stages/DATASET/NAME/trained.json          TrainedRecord
    OUTPUT/stages/DATASET/NAME/scores/KEY.npz        ScoreRecord, beside the arrays
    OUTPUT/stages/DATASET/NAME/predictions/KEY.npz   PredictionsRecord, beside the array
    OUTPUT/splits/NAME.npz                           SplitRecord, beside the labels
    OUTPUT/tuning/NAME/search.json                   SearchRecord
    OUTPUT/reproduction.json                         ReproductionRecord
    OUTPUT/shown/ID-TABLE.npz                        ShownRecord, beside the arrays
    harness-runs.json in an archive of runs          ArchiveRecord
    a file of harness runs export --row              RowRecord

The JSON schema of these files is docs/record.schema.json. Files of harness 0.1 have no format number; they are read as
format 1 and completed. A file of a newer format, or one that is damaged, is refused in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic.json_schema import models_json_schema

from harness.common.errors import RunsError
from harness.common.files import read_json
from harness.contract.episodes import EpisodeSpec
from harness.contract.heads import Head
from harness.contract.plan import BenchPlan
from harness.runs.handed_on import ArchiveRecord, RowRecord, ShownRecord
from harness.runs.record_base import FORMAT, EpisodesRecord, FileRecord, Frozen

Record = TypeVar("Record", bound="FileRecord")


class PretrainingRecord(Frozen):
    """The row of an earlier bench whose weights a backbone starts from."""

    bench: str = Field(description="its ID")
    row: str = Field(description="its name there")
    seed: int
    key: str = Field(description="sha256 over all that decided its weights")
    weights_sha256: str = Field(description="of the file of its weights")
    dataset: str = Field(description="that it was trained on")
    train_on: Literal["train", "trainval"]
    n_classes: int = Field(description="that it was trained on")
    same_data: bool = Field(description="whether it was trained on the images that this stage is trained on")
    may_know_novel: bool = Field(description="whether the classes that are scored may be among them")
    before: str = Field("", description="what the row itself started from; empty: its own initialisation")


class StageRecord(Frozen):
    """One stage of one method with one seed, as a bench asked for it."""

    label: str = Field(description="of the method in this bench")
    method: str
    stage: str
    row: str = Field(description="name of its row: LABEL/STAGE, or LABEL where the method has one stage")
    shown: bool = Field(True, description="whether it has a row; else another stage is trained from it")
    preset: str | None = Field(description="of the method; null where it offers none")
    changed: tuple[str, ...] = Field(description="options that decide it and differ from the preset's")
    note: str = Field("", description="what the preset has a reader of this dataset's table know")
    floor: bool = Field(description="a baseline without training")
    transductive: bool = Field(description="a query's scores depend on the other queries")
    backbone: str | None
    weights: str | None = Field(None, description="file that the backbone starts from, RUN:ROW, or 'pretrained'")
    pretraining: PretrainingRecord | None = Field(None, description="what that row was trained on, of a RUN:ROW")
    head: Head | None = Field(description="classifier, transform and views; null where the learner classifies itself")
    options: Mapping[str, Any] = Field(description="all options of the method")
    seed: int
    key: str = Field(description="sha256 over all that decides the weights")
    parents: tuple[str, ...] = Field((), description="keys of the stages that it was trained from")
    folder: str = Field(description="relative to the run folder")
    scores: tuple[str, ...] = Field(description="names of its files in scores/, one a kind of episodes")
    failure: str | None = Field(description="why there is no result, in one line")
    marks: tuple[str, ...] = Field((), description="why its numbers are no sign of learning")

    @model_validator(mode="before")
    @classmethod
    def _one_parent(cls, value: Any) -> Any:
        """Records of harness 0.1 have one ``parent`` or none."""
        if not isinstance(value, dict) or "parent" not in value:
            return value
        rest = {name: part for name, part in value.items() if name != "parent"}
        return {**rest, "parents": (value["parent"],) if value["parent"] is not None else ()}


class TableRecord(Frozen):
    """One dataset of a bench."""

    dataset: str
    test_dataset: str | None = Field(description="whose novel classes were tested on; null: the dataset's own")
    train_on: Literal["train", "trainval"]
    notes: tuple[str, ...] = Field(description="what every table must say of the data")
    partial: bool = Field(description="classes or images of the published dataset are missing")
    data_fingerprint: str
    score_on: Literal["test", "val"]
    n_test_classes: int
    split_fingerprint: str | None = Field(
        None, description="of the split that was scored, in splits/; null: not kept, a record of before"
    )
    episodes: tuple[EpisodesRecord, ...]
    stages: tuple[StageRecord, ...]


class BenchRecord(FileRecord):
    """What a bench asked for, and which stages answer it."""

    id: str = Field(description="a digest of what was asked: the same bench twice is one file")
    created: str = Field(description="when it ended, UTC")
    plan: BenchPlan
    tables: tuple[TableRecord, ...] = Field(description="one a dataset")


class BegunRecord(FileRecord):
    """A bench that has not ended: under way, or killed, so that the same command goes on with it."""

    id: str = Field(description="that of its record, once it has ended")
    begun: str = Field(description="when it was started last, UTC")
    plan: BenchPlan
    stages: tuple[str, ...] = Field(description="their folders, relative to the run folder")


class TrainedRecord(FileRecord):
    """What the training of a stage cost, and where it ran."""

    label: str = Field(description="of the method in the bench that trained it")
    images_seen: int | None = Field(description="images the network was trained on, copies counted, parents not")
    fit_seconds: float
    flops: int | None = Field(description="of forward and backward passes, the teacher's included")
    peak_memory_bytes: int | None = Field(description="the most that the stage held; null: unknown, as above")
    n_classes: int = Field(description="base classes")
    conditions: Mapping[str, str] = Field(description="device, precision, threads, versions")
    weights_sha256: str = Field("", description="of weights.safetensors")


class ScoreRecord(FileRecord):
    """What the accuracies of one file in scores/ are about."""

    episodes: EpisodeSpec
    target: Literal["closed", "open"]
    episodes_fingerprint: str
    embed_seconds: float
    n_classes: int = Field(description="of the split that was scored")
    feature_spread: float | None = Field(None, description="how unlike the features are: see Score.feature_spread")
    conditions: Mapping[str, str] = Field({}, description="device, precision, threads, versions")


class PredictionsRecord(FileRecord):
    """What the predictions of one file in predictions/ are about: the scoring of the same name."""

    episodes_fingerprint: str
    accuracies_sha256: str = Field(description="of the accuracies, as little-endian float64, that came with them")


class SplitRecord(FileRecord):
    """The classes that a bench was scored on, without their images: enough to draw its episodes again."""

    dataset: str
    name: Literal["train", "val", "test"]
    fingerprint: str
    class_names: tuple[str, ...]


class ReproductionRecord(FileRecord):
    """That a run folder holds rows of another one's bench, trained again: harness runs reproduce."""

    bench: str = Field(description="ID of the bench whose rows are trained again here")


class SettingRecord(Frozen):
    """Accuracy of a trial in one setting. Fractions."""

    mean: float
    half_width: float = Field(description="of the closed 95 % interval")


class TrialRecord(Frozen):
    """One choice of values and what it reached on validation episodes."""

    number: int
    values: Mapping[str, Any] = Field(description="label.option → value")
    accuracy: float | None = Field(description="mean over settings and seeds, a fraction; null: it failed")
    settings: Mapping[str, SettingRecord] = Field(description='by setting, as "5-way 1-shot"')
    failure: str | None = None


class SearchRecord(FileRecord):
    """What is searched, and every trial. The fields above ``trials`` decide which search it is."""

    plan: BenchPlan
    space: Mapping[str, Mapping[str, Any]] = Field(description="label.option → kind and limits of its values")
    stage: str | None = Field(description="whose accuracy counts; null: the last")
    seed: int = Field(description="of the search, not of the trainings")
    data_fingerprint: str
    validation_classes: int
    versions: Mapping[str, int] = Field(description="of the method's stages")
    trials: tuple[TrialRecord, ...] = ()


FILES: tuple[type[FileRecord], ...] = (
    BenchRecord,
    BegunRecord,
    TrainedRecord,
    ScoreRecord,
    PredictionsRecord,
    SplitRecord,
    SearchRecord,
    ReproductionRecord,
    ArchiveRecord,
    ShownRecord,
    RowRecord,
)


def parse(kind: type[Record], value: Any, place: Path) -> Record:
    """``value``, as read from JSON, as a record of this kind; one of an older format is completed.

    Raises:
        RunsError: it is of a newer format, or damaged. ``place`` is named.
    """
    if isinstance(value, dict) and isinstance(value.get("format", 1), int) and value.get("format", 1) > FORMAT:
        raise RunsError(
            f"{place} has format {value['format']}, this harness reads up to {FORMAT}: pip install -U fsl-harness"
        )
    try:
        return validated_record(kind, value)
    except ValueError as error:
        raise RunsError(f"{place} is damaged ({error}). Delete it and run the same command again") from None


def validated_record(kind: type[Record], value: Any) -> Record:
    """``value`` as a record of this kind. Raises ValueError, in one line, where it is none."""
    try:
        return kind.model_validate(_completed(kind, value))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "its content"
        raise ValueError(f"{name}: {first['msg'].lower()}") from None


def read(kind: type[Record], path: Path) -> Record:
    """The record in a JSON file. Raises RunsError where it cannot be read, is damaged or of a newer format."""
    return parse(kind, read_json(path), path)


def _completed(kind: type[FileRecord], value: Any) -> Any:
    """A record of format 1 with what format 2 added."""
    if not isinstance(value, dict) or "format" in value:
        return value
    value = {**value, "format": FORMAT}
    if kind is BenchRecord and isinstance(value.get("tables"), list):
        value["tables"] = [_completed_table(table) for table in value["tables"]]
    return value


def _completed_table(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    notes = [note for note in table.get("notes", ()) if isinstance(note, str)]
    return {"score_on": "test", "partial": any(note.startswith("partial data") for note in notes), **table}


def json_schema() -> dict[str, Any]:
    """The JSON schema of all files, a definition each, as docs/record.schema.json holds it."""
    _, schema = models_json_schema([(kind, "serialization") for kind in FILES], title="The run record of fsl-harness")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
