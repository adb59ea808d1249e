"""A head with the classifier and the transforms that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.heads import BaseStatistic, BaseStatistics, ClassifierSpec, Head, TransformSpec

Classify = Callable[["Tensor", "Tensor", "Tensor", int], "Tensor"]


@dataclass(frozen=True)
class LoadedHead:
    """A head, and what is installed under its names.

    Raises:
        HarnessError: a transform that needs raw features comes after another.
    """

    head: Head
    classifier: ClassifierSpec
    transforms: tuple[TransformSpec, ...] = ()

    def __post_init__(self) -> None:
        for transform in self.transforms[1:]:
            if transform.base_statistics:
                raise HarnessError(
                    f"feature transform {self.head.transform!r}: {transform.name!r} uses statistics of raw features; "
                    "put it first"
                )

    @property
    def views(self) -> int:
        return self.head.views

    @property
    def versions(self) -> list[int]:
        """Of the classifier, and of the transforms where one of them is no longer the first."""
        of_transforms = [transform.version for transform in self.transforms]
        return [self.classifier.version, *(of_transforms if any(version > 1 for version in of_transforms) else ())]

    @property
    def raw_statistics(self) -> tuple[BaseStatistic, ...]:
        """What the transforms want to know of the base classes' raw features."""
        return self.transforms[0].base_statistics if self.transforms else ()

    def transformed(self, features: Tensor, raw: BaseStatistics) -> Tensor:
        """Features (M, D) after all transforms.

        Args:
            features: (M, D), as the learner embeds.
            raw: statistics of the base classes' raw features.
        """
        for transform in self.transforms:
            function = transform.load()
            features = function(features, base=raw) if transform.base_statistics else function(features)
        return features

    def classify(self, base: BaseStatistics) -> Classify:
        """The classifier, given ``base`` of the transformed features where it asks for that."""
        function = self.classifier.load()
        if not self.classifier.base_statistics:
            return function

        def with_base(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
            return function(support, support_labels, query, n_way, base=base)

        with_base.__name__ = getattr(function, "__name__", self.classifier.name)
        return with_base
