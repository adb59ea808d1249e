"""The figures of the page as Vega-Lite specs, made with altair; the browser fills in values, width and theme.

Colours and shapes come from the page's theme in the order of a scale's domain, so no colour is written here but that of
floors. The first layer of a spec is the one that a reader zooms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from harness.statistics.intervals import Interval

Values = Sequence[Mapping[str, Any]]

FLOOR = "#808080"  # 3:1 on white and on black
LABEL = 160  # pixels, of the longest name on an axis
STEP = 26  # pixels, height of a row


@dataclass(frozen=True)
class Chart:
    """One panel: what is drawn, from which values, and what it says to who does not see it."""

    title: str
    spec: Mapping[str, Any]
    values: Values
    about: str  # its text alternative
    numbers: Mapping[str, str]  # field of the values → heading, of the table of numbers below
    zoom: Sequence[str] = ("x",)  # the axes that a reader zooms
    equal: bool = False  # whether a step is as long on both axes, x and y; the browser knows how wide they are


@dataclass(frozen=True)
class Figure:
    """Panels with one caption."""

    name: str
    title: str
    caption: str
    charts: Sequence[Chart]
    small: bool = False  # panels stand side by side


def chart(*layers: Any, height: int) -> dict[str, Any]:
    """The spec of layers that share the values the browser brings."""
    specs = [layer.to_dict(validate=False) for layer in layers]
    shared = {name: specs[0][name] for name in ("$schema", "data")}
    parts = [{name: value for name, value in spec.items() if name not in (*shared, "config")} for spec in specs]
    whole = {"layer": parts} if len(parts) > 1 else parts[0]  # put together here: altair would copy every value of it
    fitted = {"type": "fit-x", "contains": "padding"}
    return {**shared, **whole, "width": "container", "height": height, "autosize": fitted}


def unchecked() -> AbstractContextManager[Any]:
    """Charts made within it are not checked against Vega-Lite's schema, which takes most of their time; tests do it."""
    from altair.utils import schemapi

    return schemapi.debug_mode(False)


def base() -> Any:
    import altair as alt

    return alt.Chart(alt.NamedData(name="values"))


def names_axis(names: Sequence[str]) -> Any:
    """An axis of rows in this order, from the top down."""
    import altair as alt

    return alt.Y(
        "row:N",
        sort=list(names),
        axis=alt.Axis(title=None, labelLimit=LABEL, labelPadding=6, domain=False, ticks=False),
    )


def bounds(interval: Interval, least: float = -math.inf, most: float = math.inf) -> dict[str, Any]:
    """Mean and ends in percent; no ends where nothing can be said."""
    mean, half = 100 * interval.mean, 100 * interval.half_width
    finite = math.isfinite(half)
    return {
        "mean": round(mean, 4),
        "low": round(max(least, mean - half), 4) if finite else None,
        "high": round(min(most, mean + half), 4) if finite else None,
        "text": f"{mean:.2f} ± {half:.2f}" if finite else f"{mean:.2f} ± ∞",
    }


def span(values: Iterable[Mapping[str, Any]], *others: float) -> list[float]:
    """From the lowest end to the highest, with a little room; what has no ends counts with its mean."""
    numbers = [*others]
    for value in values:
        numbers += [value[name] for name in ("mean", "low", "high") if value[name] is not None]
    low, high = min(numbers), max(numbers)
    room = 0.04 * (high - low) or 1.0
    return [round(low - room, 3), round(high + room, 3)]
