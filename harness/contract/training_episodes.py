"""Whether training episodes can be drawn from the base classes, said before the first epoch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.contract.data import Dataset


def check_training_episodes(options: Any, data: Dataset, way: int | None = None) -> str | None:
    """Why no training episode can be drawn, in one line with values that would do, or None: a ``MethodSpec.check``.

    Args:
        options: with ``train_way``, ``train_shot`` and ``train_query``: classes, supports and queries of an episode.
        way: the number of classes to propose where there are fewer than asked for; None: as many as there are.
    """
    if data.train is None:
        return None
    n_classes = data.train.n_classes
    if options.train_way > n_classes:
        return (
            f"a training episode has train_way = {options.train_way} classes, but there are {n_classes} base classes: "
            f"--set LABEL.train_way={min(way or n_classes, n_classes)}"
        )
    smallest = min(Counter(data.train.labels.tolist()).values())
    if options.train_shot + options.train_query > smallest:
        shot = max(1, min(options.train_shot, smallest - 1))
        lower_shot = f"--set LABEL.train_shot={shot} " if shot < options.train_shot else ""
        return (
            f"a training episode has train_shot + train_query = {options.train_shot} + {options.train_query} images of "
            f"a class, but a base class has {smallest}: {lower_shot}--set LABEL.train_query={max(1, smallest - shot)}"
        )
    return None
