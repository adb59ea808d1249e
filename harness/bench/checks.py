"""What can be known before any training: backbones that can be built, weights that fit them, options the data."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError, PluginError, one_line
from harness.contract.backbones import BackboneRequest
from harness.contract.plan import PRETRAINED

if TYPE_CHECKING:
    from harness.bench.entries import Entry
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset
    from harness.execution.job import StageJob

log = logging.getLogger("harness")


def starting_weights(weights: str | None, backbone: str | None, catalogue: Catalogue) -> Path | None:
    """The file that a backbone starts from, or None where it starts from its own initialisation.

    Raises:
        HarnessError: ``--weights pretrained`` of a backbone without such weights on this machine.
    """
    if weights is None or backbone is None:
        return None
    if weights != PRETRAINED:
        return Path(weights).expanduser()
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
