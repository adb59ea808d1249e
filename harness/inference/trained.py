"""A trained stage's learner built from what the run folder holds, without the data that it was trained on."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.common.errors import RunsError
from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.methods import BuildContext
from harness.execution.method import MethodAtWork

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import DatasetSpec
    from harness.hardware.hardware import Hardware
    from harness.runs import StageFolder
    from harness.runs.records import StageRecord


def recorded_spec(folder: StageFolder, catalogue: Catalogue, dataset: str) -> DatasetSpec:
    """The dataset with the size, channels and normalisation of images that a stage was trained with.

    Raises:
        RunsError: the stage's ``identity.json`` is missing or damaged.
    """
    spec, _ = catalogue.dataset(dataset)
    path = folder.path / "identity.json"
    try:
        pixels = json.loads(path.read_text(encoding="utf-8"))["pixels"]
        known = {field.name for field in fields(spec)} - {"augmentation"}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in pixels.items() if name in known
        }
        return replace(spec, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunsError(f"{path} cannot be read ({error}): this stage cannot be used again") from None


def build_trained(
    stage: StageRecord, folder: StageFolder, catalogue: Catalogue, spec: DatasetSpec, hardware: Hardware
) -> Any:
    """The learner with its trained weights, in eval mode on the device.

    Raises:
        RunsError: the weights are missing, damaged, or of another network.
    """
    import torch

    trained = folder.trained
    if trained is None:
        raise RunsError(f"{stage.row} seed {stage.seed} is not trained")
    method = MethodAtWork(catalogue.method(stage.method), stage.options)
    backbone = partial(_backbone, catalogue, stage.backbone or "", spec)
    context = BuildContext(spec, trained.n_classes, method.options_for(stage.stage), backbone)
    with seeded(stage.seed, "init"), method.at_work(stage.stage):
        learner = method.stages[stage.stage].build(context)
    folder.load_weights(learner)
    if isinstance(learner, torch.nn.Module):
        learner.to(hardware.device).to(memory_format=torch.channels_last).eval()
    return learner


def _backbone(catalogue: Catalogue, name: str, spec: DatasetSpec) -> Any:
    backbone, argument = catalogue.backbone(name)
    return backbone.build(BackboneRequest(spec.image_size, spec.channels, argument))
