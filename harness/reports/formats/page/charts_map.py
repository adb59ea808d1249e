"""The figure of embeddings: where the highest row puts images of novel classes, in the plane that shows most of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.reports.failures import confused_pairs
from harness.reports.formats.page.charts import Chart, Figure, base, chart
from harness.reports.formats.page.charts_classes import closed_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.reports.predictions import TablePredictions

MOST_CLASSES = 7  # as many as the page has colours
MOST_IMAGES = 40  # of a class
HEIGHT = 420  # pixels


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a map shows."""

    row: str
    classes: Sequence[int]
    images: np.ndarray  # (M,) of the split, class by class
    features: np.ndarray  # (M, D)


def embeddings(kept: TablePredictions, rows: Sequence[str]) -> Figure | None:
    """The map of the highest row whose features are kept, of the classes that it finds hardest; None without any."""
    shown = mapped(kept, rows)
    return _figure(kept, shown) if shown is not None else None


def mapped(kept: TablePredictions, rows: Sequence[str]) -> Mapped | None:
    for row in rows:
        features, classes = kept.features(row), _hardest(kept, row)
        if features is None or not len(features[0]) or not classes:
            continue
        assert kept.split is not None
        labels = kept.split.labels[features[0]]
        chosen = np.concatenate([np.flatnonzero(labels == c)[:MOST_IMAGES] for c in classes])
        return Mapped(row, classes, features[0][chosen], features[1][chosen]) if len(chosen) >= 3 else None
    return None


def _hardest(kept: TablePredictions, row: str) -> list[int]:
    """The classes that a row confuses most in the first setting, then those with its lowest accuracies."""
    for setting, _ in closed_settings(kept, [row]):
        confusion, of_classes = kept.confusion(row, setting), kept.class_accuracies(row, setting)
        assert confusion is not None
        assert of_classes is not None
        pairs = confused_pairs(confusion, kept.class_names, MOST_CLASSES)
        names = list(kept.class_names)
        confused = [names.index(name) for pair in pairs for name in (pair.true, pair.taken_for)]
        known = np.flatnonzero(~np.isnan(of_classes.accuracies))
        low = known[np.argsort(of_classes.accuracies[known], kind="stable")]
        return list(dict.fromkeys([*confused, *low.tolist()]))[:MOST_CLASSES]
    return []


def _figure(kept: TablePredictions, shown: Mapped) -> Figure:
    assert kept.split is not None
    labels, row = kept.split.labels, shown.row
    points, share = plane(shown.features)
    names = [kept.class_names[c] for c in shown.classes]
    values = [
        {"class": kept.class_names[labels[image]], "number": image, "x": float(x), "y": float(y)}
        for image, (x, y) in zip(shown.images.tolist(), points.tolist(), strict=True)
    ]
    about = f"{row}: {len(values)} images of {', '.join(names)}, as points of a plane."
    heads = {"class": "class", "number": "image", "x": "x", "y": "y"}
    panel = Chart(row, _spec(names), values, about, heads, ("x", "y"), equal=True)
    caption = (
        f"Features of {len(values)} images of the classes that {row} finds hardest, of its first seed, scaled to "
        "length one, in the plane of their first two principal components. It shows "
        f"{100 * share:.0f}\u00a0% of their variance: what lies together here may lie apart in the rest."
    )
    return Figure("map", f"Where {row} puts images", caption, [panel])


def plane(features: np.ndarray) -> tuple[np.ndarray, float]:
    """Features (N, D) of length one on their first two principal components (N, 2), and their share of the variance.

    Signs are such that the point that lies furthest out along an axis is positive; three digits, so that the same
    features give the same text whichever linear algebra computed it.
    """
    wide = features.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(float).tiny)
    wide -= wide.mean(axis=0)
    left, singular, _ = np.linalg.svd(wide, full_matrices=False)
    points = np.zeros((len(wide), 2))
    points[:, : len(singular[:2])] = left[:, :2] * singular[:2]
    furthest = points[np.abs(points).argmax(axis=0), [0, 1]]
    total = np.square(singular).sum()
    share = float(np.square(singular[:2]).sum() / total) if total else 1.0
    return (points * np.where(furthest < 0, -1.0, 1.0)).round(3) + 0.0, share


def _spec(classes: Sequence[str]) -> dict[str, Any]:
    import altair as alt

    scale, legend = alt.Scale(domain=list(classes)), alt.Legend(title=None)
    dot = base().mark_point(filled=True, size=46, opacity=0.8, clip=True)
    dot = dot.encode(
        x=alt.X("x:Q", scale=alt.Scale(zero=False), axis=None),
        y=alt.Y("y:Q", scale=alt.Scale(zero=False), axis=None),
        color=alt.Color("class:N", scale=scale, legend=legend),
        shape=alt.Shape("class:N", scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("class:N"),
            alt.Tooltip("number:Q", title="number"),
            alt.Tooltip("image:N"),
        ],  # the browser brings the image,
    )
    return chart(dot, height=HEIGHT)
