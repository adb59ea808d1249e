"""Features of a trained stage, for other programs: each image's, with what says which image it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.recorded import recorded_table
from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.common.files import atomic_write
from harness.contract.learners import Embedder
from harness.datasets.prepared.fingerprints import image_digests
from harness.execution.work import Work

if TYPE_CHECKING:
    import numpy as np

    from harness.bench.table import BenchTable
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Split
    from harness.execution.job import StageJob
    from harness.runs.records import BenchRecord, TableRecord

SUFFIXES = (".npz", ".safetensors", ".parquet")
BLOCK = 4096  # images that are hashed at once

TableOf = Callable[["TableRecord"], "BenchTable"]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of a split's images, in its order."""

    embeddings: np.ndarray  # (N, D) float32
    hashes: np.ndarray  # (N, 32) uint8, the sha256 of each image's pixels
    rows: np.ndarray  # (N,) int64, its place in the split
    labels: np.ndarray  # (N,) str, the name of its class
    split: str


def trained_stage(record: BenchRecord, row: str, seed: int, dataset: str | None, table_of: TableOf) -> StageJob:
    """The job of a row with a seed.

    Args:
        dataset: None: the bench's first.
        table_of: what the bench recorded of a dataset → its table.
    Raises:
        UnknownName: the bench has no such dataset, row or seed.
        RunsError: the stage is not trained.
    """
    from harness.runs import StageFolder

    names = record.plan.dataset
    if dataset is not None and dataset not in names:
        raise UnknownName("dataset of this bench", dataset, names, "Datasets")
    table = table_of(record.tables[names.index(dataset) if dataset else 0])
    rows = {table.row(job) for job in table.jobs}
    if row not in rows:
        raise UnknownName("row", row, rows, "Rows")
    jobs = {str(job.seed): job for job in table.jobs if table.row(job) == row}
    if str(seed) not in jobs:
        raise UnknownName(f"seed of {row}", str(seed), jobs, "Seeds")
    job = jobs[str(seed)]
    if StageFolder(job.folder).trained is None:
        raise RunsError(f"{row} seed {seed} is not trained in this run folder. Train it: harness bench")
    return job


def feature_table(
    record: BenchRecord,
    catalogue: Catalogue,
    output: Path,
    root: Path,
    row: str,
    seed: int,
    split: str = "test",
    dataset: str | None = None,
) -> FeatureTable:
    """The features that a trained stage gives each image of a split.

    Raises:
        HarnessError: there is no such row, seed or split, or its learner has no features.
    """
    job = trained_stage(
        record, row, seed, dataset, lambda table: recorded_table(record.plan, table, catalogue, output, root)
    )
    work = Work(job, catalogue, lambda event: None)
    images = {part.name: part for part in work.dataset.splits}
    if split not in images:
        raise UnknownName(f"split of {work.dataset.spec.name}", split, images, "Splits")
    learner = work.trained_learner()
    if not isinstance(learner, Embedder):
        raise HarnessError(f"{row} predicts episodes itself: it has no features to export")
    if catalogue.method(job.method).stored:
        learner.match(images[split])  # type: ignore[attr-defined]
    return _embedded(learner, images[split], work)


def _embedded(learner: Embedder, split: Split, work: Work) -> FeatureTable:
    import numpy as np

    from harness.evaluation.embed import ViewSource, embed

    n = len(split)
    pairs = np.stack([np.arange(n), np.zeros(n, np.int64)], axis=1)  # each image itself, no view
    source = ViewSource(split, device=work.hardware.device)
    features = embed(learner, source, pairs, work.hardware.autocast)
    digests = [image_digests(split.images[start : start + BLOCK]) for start in range(0, n, BLOCK)]
    names = np.array(split.class_names)[split.labels]
    return FeatureTable(features.cpu().numpy(), np.concatenate(digests), np.arange(n), names, split.name)


def refuse_suffix(path: Path) -> None:
    """Raises HarnessError where a file has no ending that features can be written under."""
    if path.suffix not in SUFFIXES:
        raise HarnessError(f"{path}: features are written to files that end in {', '.join(SUFFIXES)}")


def write_features(path: Path, table: FeatureTable) -> None:
    """Write ``table`` in the form that the file's ending says: .npz, .safetensors or .parquet.

    Raises:
        HarnessError: another ending, or a .parquet without pyarrow.
    """
    refuse_suffix(path)
    content = {".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet}[path.suffix](table)
    atomic_write(path, lambda file: file.write(content), len(content))


def _npz(table: FeatureTable) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **vars(table))
    return buffer.getvalue()


def _safetensors(table: FeatureTable) -> bytes:
    """Words have no tensors: they lie in the metadata, as JSON."""
    import json

    from safetensors.numpy import save

    arrays = {name: getattr(table, name) for name in ("embeddings", "hashes", "rows")}
    return save(arrays, {"labels": json.dumps(table.labels.tolist()), "split": json.dumps(table.split)})


def _parquet(table: FeatureTable) -> bytes:
    import pandas as pd

    columns = {
        "embeddings": list(table.embeddings),
        "hashes": [digest.tobytes().hex() for digest in table.hashes],
        "rows": table.rows,
        "labels": table.labels,
        "split": table.split,
    }
    try:
        return pd.DataFrame(columns).to_parquet(index=False)
    except ImportError:
        raise HarnessError(".parquet needs pyarrow: pip install pyarrow, or write an .npz") from None
