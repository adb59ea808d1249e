"""A trained stage of a run folder, used on new images: their features, and their classes from a few examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.inference.pixels import Images, labelled, names_of, pixels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import DatasetSpec
    from harness.contract.heads import Head
    from harness.evaluation.heads import LoadedHead
    from harness.hardware.hardware import Hardware
    from harness.runs.records import StageRecord, TableRecord


@dataclass(frozen=True, eq=False)
class TrainedLearner:
    """A trained stage with one seed, ready to be used. Made by ``load_learner``."""

    name: str  # the row of the table: "rfs/simple"
    seed: int
    spec: DatasetSpec  # of the data it was trained on: the size, channels and normalisation of images
    head: Head | None  # that it was scored with; None: it predicts episodes itself
    module: Any  # the learner itself, in eval mode on its device
    hardware: Hardware
    catalogue: Catalogue

    def embed(self, images: Images) -> np.ndarray:
        """Features (N, D) float32 of images in any form that ``harness.classify`` takes.

        Raises:
            HarnessError: an image cannot be read, or this learner has no features.
        """
        return self._embed(self._pixels(images), 1).cpu().numpy()

    def classify(self, support: Any, query: Images, classifier: str | None = None) -> pd.DataFrame:
        """The class of each query image, from a few examples of each class; see ``harness.classify``."""
        import numpy as np
        import pandas as pd
        import torch

        examples = labelled(support)
        of_classes = [self._pixels(images) for images in examples.values()]
        labels = torch.from_numpy(np.repeat(np.arange(len(of_classes)), [len(images) for images in of_classes]))
        queries = self._pixels(query)
        scores = self._scores(np.concatenate(of_classes), labels, queries, tuple(examples), classifier)
        probabilities = scores.double().softmax(dim=1).cpu().numpy()
        best = probabilities.argmax(axis=1)
        columns = {
            "image": names_of(query, len(queries)),
            "class": np.array(list(examples))[best],
            "probability": probabilities.max(axis=1),
        }
        return pd.DataFrame(columns | dict(zip(_columns(examples), probabilities.T, strict=True)))

    def _scores(
        self,
        support: np.ndarray,
        labels: torch.Tensor,
        query: np.ndarray,
        class_names: tuple[str, ...],
        classifier: str | None,
    ) -> torch.Tensor:
        """(Q, n_way), higher for likelier."""
        from harness.contract.heads import BaseStatistics
        from harness.contract.learners import Embedder

        labels = labels.to(self.hardware.device)[None]
        head = self._head(classifier)
        if head is None or not isinstance(self.module, Embedder):
            return self._predicted(support, labels, query, class_names)
        needed = {*head.raw_statistics, *head.classifier.base_statistics}
        if needed:
            raise HarnessError(
                f"the head {head.head} needs the base classes' features ({', '.join(sorted(needed))}), which a trained "
                "stage does not hold: name another classifier, such as logistic or nearest-centroid"
            )
        of_support, of_query = (
            head.transformed(self._embed(images, views), BaseStatistics())[None]
            for images, views in ((support, head.views), (query, 1))
        )
        labels = labels.repeat_interleave(head.views, dim=1)
        return head.classify(BaseStatistics())(of_support, labels, of_query, len(class_names))[0]

    def _predicted(
        self, support: np.ndarray, labels: torch.Tensor, query: np.ndarray, class_names: tuple[str, ...]
    ) -> torch.Tensor:
        import torch

        from harness.contract.learners import EpisodeBatch

        counts = labels[0].bincount()
        if len(counts.unique()) > 1:
            raise HarnessError(
                f"{self.name} predicts episodes itself and takes as many examples of each class; here are "
                f"{int(counts.min())} to {int(counts.max())}"
            )
        device = labels.device
        batch = EpisodeBatch(
            torch.from_numpy(support).to(device)[None],
            labels,
            torch.from_numpy(query).to(device)[None],
            len(class_names),
            [torch.Generator(device).manual_seed(0)],
            [class_names],
        )
        with self.hardware.autocast():
            return self.module.predict(batch)[0].detach().float()

    def _head(self, classifier: str | None) -> LoadedHead | None:
        """The head that it was scored with, or another classifier on its transform and views."""
        from harness.contract.heads import Head
        from harness.contract.learners import Embedder

        if classifier is None:
            return self.catalogue.head(self.head) if self.head else None
        if not isinstance(self.module, Embedder):
            raise HarnessError(f"{self.name} predicts episodes itself: it takes no classifier")
        return self.catalogue.head(replace(self.head or Head(), classifier=classifier))

    def _pixels(self, images: Images) -> np.ndarray:
        return pixels(images, self.spec.image_size, self.spec.channels)

    def _embed(self, images: np.ndarray, views: int) -> torch.Tensor:
        """(N · views, D) on the device, the views of an image one after the other, the image itself first."""
        import numpy as np

        from harness.contract.data import Split
        from harness.contract.learners import Embedder
        from harness.evaluation.embed import ViewSource, embed
        from harness.evaluation.logits import LogitsOf

        learner = self.module
        if not isinstance(learner, Embedder):
            raise HarnessError(f"{self.name} predicts episodes itself: it has no features")
        if self.head is not None and self.head.embed == "logits":
            learner = LogitsOf(learner)
        split = Split("test", images, np.zeros(len(images), np.int64), ("new",), "new images")
        source = ViewSource(split, self.spec.augmentation, device=self.hardware.device, views=views)
        pairs = np.argwhere(np.ones((len(images), views), bool))
        return embed(learner, source, pairs, self.hardware.autocast)


def _columns(examples: Any) -> list[str]:
    """The column of each class's probability; a class called like another column keeps its name with a sign."""
    return [f"P({name})" for name in examples]


def load_learner(
    folder: str | Path,
    row: str | None = None,
    seed: int | None = None,
    *,
    bench: str = "last",
    dataset: str | None = None,
    device: str = "auto",
) -> TrainedLearner:
    """A trained stage of a run folder, for new images. The dataset need not be on this machine.

    Args:
        folder: as made by ``harness bench --output``.
        row: of the table, as "rfs/simple". None: the only one that was trained.
        seed: None: the first.
        bench: its ID, or "last".
        dataset: None: the bench's first.
    Raises:
        UnknownName: there is no such bench, dataset, row or seed.
        RunsError: it is not trained, or its files are damaged.
    """
    from harness.catalogue.catalogue import Catalogue
    from harness.hardware.hardware import choose_hardware
    from harness.hardware.process import prepare_process
    from harness.inference.trained import build_trained, recorded_spec
    from harness.runs import StageFolder, find_bench

    folder = Path(folder)
    record = find_bench(folder, bench)
    stage = _stage(_table(record.tables, dataset), row, seed)
    stage_folder = StageFolder(folder / stage.folder)
    if stage.failure or stage_folder.trained is None:
        raise RunsError(f"{stage.row} seed {stage.seed} is not trained in {folder}. Train it: harness bench")
    catalogue = Catalogue.discover()
    if catalogue.method(stage.method).stored:
        raise HarnessError(f"{stage.row} looks features up in a file: it knows no new image")
    hardware = choose_hardware(device, record.plan.precision)
    spec = recorded_spec(stage_folder, catalogue, _table(record.tables, dataset).dataset)
    prepare_process(hardware, spec.image_size)
    module = build_trained(stage, stage_folder, catalogue, spec, hardware)
    return TrainedLearner(stage.row, stage.seed, spec, stage.head, module, hardware, catalogue)


def _table(tables: tuple[TableRecord, ...], dataset: str | None) -> TableRecord:
    by_name = {table.dataset: table for table in reversed(tables)}
    if dataset is not None and dataset not in by_name:
        raise UnknownName("dataset of this bench", dataset, by_name, "Datasets")
    return by_name[dataset] if dataset else tables[0]


def _stage(table: TableRecord, row: str | None, seed: int | None) -> StageRecord:
    rows = [stage.row for stage in table.stages if not stage.floor]
    if row is None and len(set(rows)) != 1:
        raise HarnessError(f"which row? This bench has {', '.join(dict.fromkeys(rows))}: name one")
    row = row or rows[0]
    of_row = {str(stage.seed): stage for stage in table.stages if stage.row == row}
    if not of_row:
        raise UnknownName("row", row, dict.fromkeys(stage.row for stage in table.stages), "Rows")
    if seed is not None and str(seed) not in of_row:
        raise UnknownName(f"seed of {row}", str(seed), of_row, "Seeds")
    return of_row[str(seed)] if seed is not None else next(iter(of_row.values()))


def classify(
    folder: str | Path,
    support: Any,
    query: Images,
    row: str | None = None,
    seed: int | None = None,
    *,
    classifier: str | None = None,
    **where: Any,
) -> pd.DataFrame:
    """Name new images from a few examples of each class, by a trained stage of a run folder.

    Args:
        support: a folder with a folder of images for each class, or a mapping from class names to images.
        query: a folder, files, Pillow images, a numpy array (N, H, W, C) or a torch tensor (N, C, H, W); uint8, or
            floats from 0 to 1. Images of another size than the learner's are resized.
        row, seed: see ``load_learner``.
        classifier: in place of the row's own head, on its transform of features.
        where: further arguments of ``load_learner``.
    Returns:
        A line an image: ``image`` (its file's name or number), ``class`` and ``probability``, and ``P(name)`` of each
        class. Probabilities are the softmax of the head's scores: what logistic regression and prototypical networks
        mean by them; of other classifiers they say only which class is likelier.
    """
    return load_learner(folder, row, seed, **where).classify(support, query, classifier)
