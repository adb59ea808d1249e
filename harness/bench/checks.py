"""What can be known before any training: backbones that can be built, weights that fit them, options the data."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.pretraining import Beginning, row_weights
from harness.bench.weights import is_there
from harness.common.errors import HarnessError, PluginError, one_line
from harness.contract.backbones import BackboneRequest
from harness.contract.plan import PRETRAINED

if TYPE_CHECKING:
    from harness.bench.entries import Entry
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset, Split
    from harness.contract.plan import BenchPlan
    from harness.execution.job import StageJob
    from harness.runs.records import PretrainingRecord

log = logging.getLogger("harness")


def starting_weights(
    plan: BenchPlan, entry: Entry, seed: int, name: str, train: Split | None, output: Path, catalogue: Catalogue
) -> tuple[Path | None, PretrainingRecord | None]:
    """The file that a backbone starts from, and of a row of an earlier bench, what that was trained on.

    None twice where it starts from its own initialisation.

    Args:
        name: of the dataset.
        train: what is trained on.
    Raises:
        HarnessError: ``--weights pretrained`` of a backbone without such weights on this machine, or RUN:ROW of a row
            that is not there, has no weights, or another backbone.
    """
    weights, backbone = entry.weights, entry.backbone
    if weights is None or backbone is None:
        return None, None
    if weights == PRETRAINED:
        return _pretrained(backbone, catalogue), None
    if is_there(weights):
        return Path(weights).expanduser(), None
    training = Beginning(entry.label, backbone, seed, name, train.fingerprint if train else "")
    return row_weights(weights, training, plan, output)


def _pretrained(backbone: str, catalogue: Catalogue) -> Path:
    spec, argument = catalogue.backbone(backbone)
    if spec.pretrained is None:
        offering = [name for name, candidate in catalogue.backbones.items() if candidate.pretrained]
        raise HarnessError(
            f"--weights pretrained: the backbone {backbone} has none. It is for {', '.join(offering)} "
            "(--backbone timm:resnet18); for others give --weights FILE"
        )
    return spec.pretrained(argument)


def check_backbones(jobs: Iterable[StageJob], dataset: Dataset, catalogue: Catalogue) -> None:
    """Build each backbone that has a name of its own to get wrong, or weights to start from, and say how these fit.

    Raises:
        HarnessError: a backbone cannot be built for these images, or its weights are not there or not its own.
    """
    asked = dict.fromkeys((job.backbone, job.weights, job.identity.weights) for job in jobs)
    for backbone, weights, digest in asked:
        if backbone is not None and (weights is not None or ":" in backbone):
            _check_backbone(catalogue, backbone, dataset.spec.image_size, dataset.spec.channels, weights, digest)


@functools.lru_cache(maxsize=64)  # a search asks the same of every trial
def _check_backbone(
    catalogue: Catalogue, name: str, image_size: int, channels: int, weights: Path | None, digest: str | None
) -> None:
    from harness.common.randomness import seeded

    spec, argument = catalogue.backbone(name)
    with seeded(0, "check"):
        network = spec.build(BackboneRequest(image_size, channels, argument))
    if weights is not None:
        from harness.networks.backbones.weights import load_weights

        log.warning("backbone %s starts from %s", name, load_weights(network, weights))


def check_methods(entries: Sequence[Entry], dataset: Dataset) -> None:
    """Ask each method whether its options go with the data, of which it is shown all but the test split.

    Raises:
        HarnessError: they do not, in the method's own words.
        PluginError: the method's check is broken.
    """
    visible = replace(dataset, test=None)
    for entry in entries:
        if entry.method.check is None:
            continue
        try:
            complaint = entry.method.check(entry.options, visible)
        except Exception as error:
            raise PluginError(f"{entry.method.name}: check() failed: {one_line(error)}") from error
        if complaint:
            raise HarnessError(f"{entry.label} on {dataset.spec.name}: {complaint.replace('LABEL', entry.label)}")
