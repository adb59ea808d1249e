"""α-TIM: TIM with α-entropies, whose marginal term punishes unequal class shares less.

    H_α(p) = (1 - Σ pᵅ) / (α - 1),   Shannon's for α → 1

Source: Veilleux et al. 2021, arXiv:2204.11181; the values of its authors' code,
oveilleux/Realistic_Transductive_Few_Shot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_transductive.features import in_chunks
from harness_transductive.information import Aim, descend

if TYPE_CHECKING:
    from torch import Tensor


@in_chunks
def alpha_tim(
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    n_way: int,
    *,
    alpha: float | None = None,
    steps: int = 1000,
) -> Tensor:
    """Scores (E, Q, n_way) by the mutual information of queries and their predictions, made of α-entropies.

    Args:
        support: (E, S, D); all features are brought to length one.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        alpha: α of the marginal and the conditional entropy; None: by the supports a class, views counted: 2 for one,
            7 for five or more, else 5. The cross-entropy is Shannon's; all three have the weight 1.
    """
    chosen = tuned(support.shape[1] // n_way) if alpha is None else alpha

    def slope(p: Tensor, logarithms: Tensor) -> Tensor:
        return p.pow(chosen - 1) * (-chosen / (chosen - 1))

    return descend(support, support_labels, query, n_way, Aim(slope, 1.0, 1.0), steps)


def tuned(shots: int) -> float:
    """α that the authors chose on validation classes, for so many supports a class."""
    return 2.0 if shots == 1 else 5.0 if shots < 5 else 7.0
