"""The sampler: many episodes at once, as index arrays, from a seed of their own.

*Closed* episodes are drawn from the same images again and again, as the literature does. Episode i depends on (seed, i)
alone, so a longer run keeps the earlier ones; queries are drawn first and k-shot takes the first k of one support
order, so that 1-shot and 5-shot meet the same queries and nested supports; the classes of 5-way are the first five of
20-way. *Open* episodes use no image twice, so each also depends on its predecessors. Where way and shot are drawn, both
are drawn before the images, those of episode i from (seed, i) alone, closed or open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import HarnessError
from harness.common.randomness import numpy_generator
from harness.contract.episodes import Episodes, EpisodeSpec, Target

if TYPE_CHECKING:
    from harness.contract.data import Split


def sample_episodes(split: Split, spec: EpisodeSpec, n_episodes: int, seed: int, target: Target = "closed") -> Episodes:
    """``n_episodes`` episodes of a split; of an open target, as many as its images allow, up to ``n_episodes``.

    Raises:
        HarnessError: the split has too few classes, or a class too few images, for one episode.
    """
    _check(split, spec, n_episodes)
    if spec.varied and spec.dirichlet:
        raise HarnessError(f"{spec}: episodes whose way and shot are drawn have balanced queries")
    order = np.argsort(split.labels, kind="stable")  # (N,) images, class after class
    sizes = np.bincount(split.labels, minlength=split.n_classes)  # (n_classes,)
    shapes = _shapes(spec, n_episodes, seed)
    if target == "closed":
        classes, support, query, counts = _closed(spec, order, sizes, n_episodes, seed)
    else:
        classes, support, query, counts = _open(spec, order, sizes, shapes, seed)
    digest = hashlib.sha256(f"{spec!r};{target};{split.fingerprint};".encode())
    for array in (classes, support, query, *(() if counts is None else (counts,))):
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    if not spec.varied:
        return Episodes(spec, classes, support, query, target, digest.hexdigest(), counts)
    shapes = shapes[: len(classes)]
    digest.update(np.ascontiguousarray(shapes, dtype="<i8").tobytes())
    return Episodes(spec, classes, support, query, target, digest.hexdigest(), shapes=shapes)


def _shapes(spec: EpisodeSpec, n_episodes: int, seed: int) -> np.ndarray:
    """Way and shot of each episode, (E, 2) int64, both even over their range. That of episode i depends on i alone."""
    drawn = [
        choices.start + (numpy_generator(seed, purpose).random(n_episodes) * len(choices)).astype(np.int64)
        for purpose, choices in (("way", spec.ways), ("shot", spec.shots))
    ]
    return np.stack(drawn, axis=1)


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]  # classes, support, query, query_counts


def _check(split: Split, spec: EpisodeSpec, n_episodes: int) -> None:
    for name, value, least in (
        ("n_way", spec.n_way, 2),
        ("k_shot", spec.k_shot, 1),
        ("n_query", spec.n_query, 1),
        ("n_episodes", n_episodes, 1),
        ("dirichlet", spec.dirichlet, 0),
        ("the lowest n_way", spec.ways.start, 2),
        ("the lowest k_shot", spec.shots.start, 1),
    ):
        if not value >= least:
            raise HarnessError(f"{name} is {value}; it must be at least {least}")
    if not (spec.ways and spec.shots):
        raise HarnessError(f"{spec}: the lowest way and shot are at most the highest")
    if spec.n_way > split.n_classes:
        raise HarnessError(
            f"{spec} needs {spec.n_way} classes, but the {split.name} split has {split.n_classes}: "
            + (f"lower n_way (--way) to {split.n_classes} or less" if split.n_classes > 1 else "episodes need two")
        )
    sizes = np.bincount(split.labels, minlength=split.n_classes)
    smallest = int(sizes.argmin())
    if spec.k_shot + spec.n_query > sizes[smallest]:
        raise HarnessError(
            f"{spec} with {spec.n_query} queries needs {spec.k_shot + spec.n_query} images a class, but class "
            f"{split.class_names[smallest]!r} of the {split.name} split has {sizes[smallest]}: "
            f"lower k_shot (--shots) or n_query (--queries) so that their sum is {sizes[smallest]} or less"
        )


# ── closed ────────────────────────────────────────────────────────────────────────────────────────


def _closed(spec: EpisodeSpec, order: np.ndarray, sizes: np.ndarray, n_episodes: int, seed: int) -> Drawn:
    def stream(purpose: str, *index: int) -> np.ndarray:
        return numpy_generator(seed, purpose, *index).random(n_episodes)  # element i does not depend on n_episodes

    class_draws = [stream("class", way) for way in range(spec.n_way)]
    classes = _distinct(class_draws, np.full(n_episodes, len(sizes)))  # (E, n_way)
    n_query = spec.n_query if not spec.dirichlet else min(spec.n_way * spec.n_query, int(sizes.min()) - spec.k_shot)
    image_draws = [
        np.stack([stream(purpose, way, j) for way in range(spec.n_way)], axis=1)  # (E, n_way)
        for purpose, n in (("query", n_query), ("support", spec.k_shot))
        for j in range(n)
    ]
    drawn = _distinct(image_draws, sizes[classes])  # (E, n_way, n_query + k_shot), positions in each class
    images = order[(np.cumsum(sizes) - sizes)[classes][..., None] + drawn]
    query, support = images[..., :n_query], np.ascontiguousarray(images[..., n_query:])
    if not spec.dirichlet:
        return classes, support, np.ascontiguousarray(query), None
    counts = _unbalanced_counts(spec, np.full((n_episodes, spec.n_way), n_query), seed)
    taken = np.arange(n_query) < counts[..., None]  # (E, n_way, n_query)
    return classes, support, query[taken].reshape(n_episodes, spec.n_way, spec.n_query), counts


def _distinct(uniforms: Sequence[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Distinct integers (…, k) below ``sizes`` (…), from k arrays (…) of uniforms in [0, 1).

    The j-th integer depends on the first j uniforms alone: a Fisher-Yates shuffle of 0..size-1, stopped after k swaps
    and kept as the list of swaps, since a table of every position would be far larger than what is drawn.
    """
    swapped: list[np.ndarray] = []  # at step j, position j changed places with this one …
    left_there: list[np.ndarray] = []  # … where it left this value

    def value_at(position: np.ndarray) -> np.ndarray:
        value = position.copy()
        for where, left in zip(swapped, left_there, strict=True):
            np.copyto(value, left, where=where == position)
        return value

    values = []
    for j, uniform in enumerate(uniforms):
        position = j + (uniform * (sizes - j)).astype(np.int64)
        values.append(value_at(position))
        left = value_at(np.full_like(position, j))
        swapped.append(position)
        left_there.append(left)
    return np.stack(values, axis=-1)


def _unbalanced_counts(spec: EpisodeSpec, most: np.ndarray, seed: int, *purpose: str | int) -> np.ndarray:
    """How many queries each class has, (E, n_way): n_way * n_query in all, at most ``most`` (E, n_way) of a class.

    Source: Veilleux et al. 2021, "Realistic Evaluation of Transductive Few-Shot Learning".
    """
    total = spec.n_way * spec.n_query
    weights = numpy_generator(seed, "dirichlet", *purpose).standard_gamma(spec.dirichlet, most.shape) + 1e-12
    counts = np.zeros_like(most)
    while (missing := total - counts.sum(axis=1, keepdims=True)).any():
        weights[counts >= most] = 0.0
        share = missing * weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        whole = share.astype(np.int64)
        rank = (whole - share).argsort(axis=1, kind="stable").argsort(axis=1)  # largest remainder first
        whole += (rank < missing - whole.sum(axis=1, keepdims=True)) & (weights > 0)
        counts = np.minimum(counts + whole, most)
    return counts


# ── open ──────────────────────────────────────────────────────────────────────────────────────────


def _open(spec: EpisodeSpec, order: np.ndarray, sizes: np.ndarray, shapes: np.ndarray, seed: int) -> Drawn:
    """Episodes without replacement, the classes that were used least first and at random among equals.

    So every class comes equally often, as far as the images go, and class effects cancel in the mean. Of classes of
    equal size no image that could be used is left over; of very unequal ones some may be. Where shapes differ, the
    first that the images no longer allow is the end: a smaller one that would fit is not put in its place, for small
    ones would come too often. What an episode has less than the spec is filled up with -1.

    Args:
        shapes: (E, 2), way and shot of each episode that is asked for.
    """
    shuffled = [
        numpy_generator(seed, "open", "images", c).permutation(images)
        for c, images in enumerate(np.split(order, np.cumsum(sizes)[:-1]))
    ]
    ties = numpy_generator(seed, "open", "classes")
    uses, spent = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    classes: list[np.ndarray] = []
    support: list[np.ndarray] = []
    query: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    for way, shot in shapes.tolist():
        preference = np.where(sizes - spent >= shot + spec.n_query, uses + ties.random(len(sizes)), np.inf)
        chosen = preference.argsort()[:way]
        if np.isinf(preference[chosen[-1]]):
            break
        n_query = np.full(way, spec.n_query)
        if spec.dirichlet:
            most = (sizes - spent)[chosen] - shot
            n_query = _unbalanced_counts(spec, most[None], seed, "open", len(classes))[0]
        taken = [shuffled[c][spent[c] : spent[c] + n + shot] for c, n in zip(chosen, n_query, strict=True)]
        query.append(np.concatenate([images[:n] for images, n in zip(taken, n_query, strict=True)]))
        support.append(np.stack([images[n:] for images, n in zip(taken, n_query, strict=True)]))
        classes.append(chosen)
        counts.append(n_query)
        uses[chosen] += 1
        spent[chosen] += n_query + shot
    if spec.varied:
        of_classes = [images.reshape(-1, spec.n_query) for images in query]
        queries = _filled(of_classes, spec.n_way, spec.n_query)
        return _filled(classes, spec.n_way), _filled(support, spec.n_way, spec.k_shot), queries, None
    queries = np.stack(query).reshape(-1, spec.n_way, spec.n_query)
    return np.stack(classes), np.stack(support), queries, np.stack(counts) if spec.dirichlet else None


def _filled(arrays: Sequence[np.ndarray], *sizes: int) -> np.ndarray:
    """Arrays of as many axes as one array, (E, *sizes), filled up with -1."""
    filled = np.full((len(arrays), *sizes), -1)
    for row, array in zip(filled, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return filled
