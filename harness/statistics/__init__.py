"""What the accuracies prove: intervals, paired comparisons, and how much would prove more.

intervals.py, class_level.py (new classes), behrens_fisher.py (seeds and episodes in one error), comparison.py,
tiers.py (all pairs of rows), equivalence.py, power.py, agreement.py (with a published number), ranking.py and
signed_ranks.py (over datasets); the formulae and their sources are in
docs/statistics.md.
"""

from harness.statistics.agreement import allowed_difference
from harness.statistics.comparison import Comparison, compare, holm, signed_rank_p
from harness.statistics.equivalence import Equivalence, equivalence_p, relation
from harness.statistics.intervals import Interval, class_interval, closed_interval, interval, open_interval
from harness.statistics.power import PairedVariances, Requirement, paired_variances, power, required

__all__ = [
    "Comparison",
    "Equivalence",
    "Interval",
    "PairedVariances",
    "Requirement",
    "allowed_difference",
    "class_interval",
    "closed_interval",
    "compare",
    "equivalence_p",
    "holm",
    "interval",
    "open_interval",
    "paired_variances",
    "power",
    "relation",
    "required",
    "signed_rank_p",
]
