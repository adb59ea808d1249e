"""Is a row practically equal to another? Two one-sided tests (TOST) against a margin that the reader states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.statistics.behrens_fisher import two_sided_p
from harness.statistics.intervals import LEVEL, Interval

Relation = Literal["better", "worse", "practically equal", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """What a difference is in the light of a margin, with the p-values that say so."""

    margin: float  # a fraction: smaller differences are of no consequence
    p: float  # of the two one-sided tests, the larger
    holm_p: float | None  # adjusted for all tests of a table; None: the row is none of them
    relation: Relation


def equivalence_p(difference: Interval, margin: float) -> float:
    """The p-value of the null hypothesis that the true difference is ``margin`` or more, in either direction.

    It is the larger p-value of two one-sided tests with the error of ``difference``, and at most α exactly where the
    interval at level 1 - 2α lies within ± ``margin``.

    Source: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15.
    Raises:
        ValueError: the margin is not a number above 0.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"the margin of equivalence is {margin}; it must be a number above 0")
    if not math.isfinite(difference.standard_error):
        return 1.0
    room = margin - abs(difference.mean)  # to the nearer end of the margin
    tail = two_sided_p(room, difference.parts) / 2
    return tail if room > 0 else 1 - tail


def relation(difference: float, p: float, p_equivalence: float, level: float = LEVEL) -> Relation:
    """What a row is to the baseline, from the p-values of both questions, adjusted where several were asked.

    A difference that is surely there and surely smaller than the margin is practically none.
    """
    alpha = round(1 - level, 12)
    if p_equivalence < alpha:
        return "practically equal"
    if p < alpha:
        return "better" if difference > 0 else "worse"
    return "undecided"
