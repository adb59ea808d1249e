"""Run folders for the tests of reports, written as a bench writes them."""

from __future__ import annotations

import json

import numpy as np
import torch

from harness.bench.table import episodes_record
from harness.catalogue.catalogue import Catalogue
from harness.contract.data import Split
from harness.contract.episodes import EpisodeSpec
from harness.contract.heads import Head
from harness.contract.plan import BenchPlan
from harness.contract.results import Score
from harness.episodes.sampler import sample_episodes
from harness.reports.build import build_report
from harness.reports.formats.markdown import main_rows
from harness.runs import StageFolder, digest, load_benches, save_bench
from harness.runs.identity import dataset_folder
from harness.runs.records import BenchRecord, StageRecord, TableRecord, TrainedRecord
from harness.runs.splits import save_split

CATALOGUE = Catalogue.discover()
SPECS = (EpisodeSpec(5, 1, 5), EpisodeSpec(5, 5, 5))
N_CLOSED = 40
CONDITIONS = {"device": "A CPU", "precision": "32", "torch": "2.15.0"}


def split(n_classes=20, n_images=60):
    images = np.zeros((n_classes * n_images, 1, 1, 3), np.uint8)
    labels = np.repeat(np.arange(n_classes), n_images)
    return Split("test", images, labels, tuple(f"c{i}" for i in range(n_classes)), "the test split")


def trained_record(**values):
    """What a training cost, with these values; all else is nothing."""
    nothing = {"label": "x", "images_seen": 0, "fit_seconds": 0.0, "flops": 0, "peak_memory_bytes": 0, "n_classes": 1}
    return TrainedRecord(**{**nothing, "conditions": {}, **values})


class Bench:
    """A run folder, written as a bench writes it; accuracies are drawn from a seeded generator around a mean."""

    def __init__(
        self, output, dataset="CIFAR-FS", n_classes=20, n_images=60, notes=(), specs=SPECS, predicts=False, **plan
    ):
        self.output = output
        self.predicts = predicts  # whether predictions are kept: any, they do not fit the accuracies
        self.dataset = dataset
        self.notes = notes
        self.plan = BenchPlan(dataset=(dataset,), queries=5, episodes=N_CLOSED, **plan)
        self.split = split(n_classes, n_images)
        sampled = [sample_episodes(self.split, s, N_CLOSED, 0, target) for target in ("closed", "open") for s in specs]
        self.episodes = [some for some in sampled if some.target == "closed" or len(some) > 1]
        self.stages = []

    def add(self, name, mean=0.5, parent=None, failure=None, values=None, history=(), fingerprint=None, **about):
        """A stage over the plan's seeds. ``mean``: of its accuracies, or a mean a seed."""
        label, _, stage = name.partition("/")
        cost = {
            "images_seen": 1000,
            "fit_seconds": 10.0,
            "flops": 5e12,
            "peak_memory_bytes": 2**29,
            **about.pop("cost", {}),
        }
        spread = about.pop("feature_spread", None)
        conditions, scored_under = about.pop("conditions", CONDITIONS), about.pop("scored_under", {})
        for i, seed in enumerate(self.plan.seeds):
            key = digest([name, seed])
            folder = StageFolder(self.output / "stages" / dataset_folder(self.dataset) / f"{label}-{stage}-{seed}")
            folder.path.parent.mkdir(parents=True, exist_ok=True)
            scores = []
            if failure is None:
                own = conditions[i] if isinstance(conditions, list) else conditions
                folder.save_trained(
                    torch.nn.Linear(1, 1), TrainedRecord(**cost, n_classes=64, conditions=own, label=label)
                )
                if history:
                    folder.save_metrics(history)
                for some in self.episodes:
                    rng = np.random.default_rng([len(name), seed, some.spec.k_shot, len(some)])
                    centre = mean[i] if isinstance(mean, (list, tuple)) else mean
                    accuracies = values if values is not None else centre + 0.08 * rng.standard_normal(len(some))
                    score = Score(
                        some.spec,
                        some.target,
                        fingerprint or some.fingerprint,
                        np.asarray(accuracies)[: len(some)],
                        some.classes,
                        self.split.n_classes,
                        spread,
                        predicted=rng.integers(0, some.spec.n_way, some.query_labels.shape, np.uint8)
                        if self.predicts
                        else None,
                    )
                    scores.append(digest([key, some.fingerprint]))
                    folder.save_score(scores[-1], score, 1.0, scored_under)
            fields = {
                "label": label,
                "method": label,
                "stage": stage or label,
                "row": name,
                "preset": "paper",
                "changed": (),
                "floor": False,
                "transductive": False,
                "backbone": "resnet12",
                "head": Head("cosine"),
                "options": {"optimiser": "sgd", "selection": "last"},
                "seed": seed,
                "key": key,
                "parents": (digest([parent, seed]),) if parent else (),
                "folder": str(folder.path.relative_to(self.output)),
                "scores": tuple(scores),
                "failure": failure,
            }
            self.stages.append(StageRecord(**{**fields, **about}))
        return self

    def save(self, bench_id="abc123"):
        if self.predicts:
            save_split(self.output, self.dataset, self.split)
        table = TableRecord(
            dataset=self.dataset,
            test_dataset=None,
            train_on=self.plan.train_on,
            notes=self.notes,
            partial=any(note.startswith("partial data") for note in self.notes),
            data_fingerprint="d" * 64,
            split_fingerprint=self.split.fingerprint if self.predicts else None,
            score_on="test",
            n_test_classes=self.split.n_classes,
            episodes=tuple(map(episodes_record, self.episodes)),
            stages=tuple(self.stages),
        )
        save_bench(self.output, BenchRecord(id=bench_id, created="now", plan=self.plan, tables=(table,)))
        return self

    def report(self, **about):
        self.save()
        return build_report([(self.output, bench) for bench in load_benches(self.output)], **about)

    def text(self, form="markdown", **about):
        return CATALOGUE.reporter(form).render(self.report(**about))

    def cells(self, **about):
        """row → column → text, of the first markdown table."""
        return {line["method"]: line for line in main_rows(self.report(**about).tables[0])}


def closed(bench, name, seed=0, k_shot=1, target="closed"):
    """The accuracies that a stage's folder holds, read without the code under test."""
    for stage in bench.stages:
        if (stage.row, stage.seed) == (name, seed):
            for key in stage.scores:
                with np.load(bench.output / stage.folder / "scores" / f"{key}.npz") as file:
                    about = json.loads(str(file["about"]))
                    if (about["target"], about["episodes"]["k_shot"]) == (target, k_shot):
                        return file["accuracies"]
    raise KeyError(name)
