"""--embed logits: heads that classify what a learner says of the base classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from harness.common.errors import HarnessError
from harness.contract.heads import Head
from tests.helpers.scoring import SPLIT, Pixels, evaluate, sample

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


class Classifying(Pixels):
    """Its logits are a fixed linear map of the pixels."""

    weight = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))

    def logits(self, images: Tensor) -> Tensor:
        return self.embed(images) @ self.weight


class Logits(Classifying):
    """The same, with its logits for features."""

    def embed(self, images: Tensor) -> Tensor:
        return super().embed(images) @ self.weight


@pytest.mark.parametrize("transform", ["none", "l2"])
def test_a_head_of_logits_scores_as_one_of_features_that_are_these_logits(transform: str) -> None:
    (of_logits,) = evaluate(Classifying(), SPLIT, [sample()], Head("cosine", transform, 2, "logits"))
    (of_features,) = evaluate(Logits(), SPLIT, [sample()], Head("cosine", transform, 2))
    (of_pixels,) = evaluate(Classifying(), SPLIT, [sample()], Head("cosine", transform, 2))
    assert (of_logits.accuracies == of_features.accuracies).all()
    assert (of_logits.accuracies != of_pixels.accuracies).any()


def test_features_and_logits_are_kept_side_by_side(tmp_path: Path) -> None:
    for _ in range(2):
        for embed in ("features", "logits"):
            evaluate(Classifying(), SPLIT, [sample()], Head("cosine", embed=embed), features_cache=tmp_path)
    names = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert names == ["logits", "test"]


def test_a_learner_without_logits_is_named() -> None:
    with pytest.raises(HarnessError, match="Pixels has no logits of base classes to classify: drop --embed logits"):
        evaluate(Pixels(), SPLIT, [sample()], Head("cosine", embed="logits"))


def test_a_bench_scores_logits_of_all_methods_and_features_of_floors(run_bench) -> None:
    settings = {"floors": True, "set": {"rfs.generations": 0}, "episodes": 30}
    plain = {stage.label: stage for stage in run_bench(**settings).tables[0].stages}
    logits = {stage.label: stage for stage in run_bench(embed="logits", **settings).tables[0].stages}
    assert {name: stage.key for name, stage in plain.items()} == {name: stage.key for name, stage in logits.items()}
    assert str(logits["rfs"].head) == "logistic, logits, l2, 5 views"
    assert {str(stage.head) for name, stage in logits.items() if name != "rfs"} == {
        str(stage.head) for name, stage in plain.items() if name != "rfs"
    }
    assert not [stage.failure for stage in logits.values() if stage.failure]
