"""TIM-GD: queries are told apart with confidence (low conditional entropy) and spread over all classes (high marginal).

Source: Boudiaf et al. 2020, arXiv:2008.11297, section 2; the values of its authors' code, mboudiaf/TIM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_transductive.features import in_chunks
from harness_transductive.information import Aim, descend

if TYPE_CHECKING:
    from torch import Tensor


@in_chunks
def tim(
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    n_way: int,
    *,
    cross_entropy: float = 0.1,
    conditional: float = 0.1,
    steps: int = 1000,
) -> Tensor:
    """Scores (E, Q, n_way) by the mutual information of queries and their predictions.

    Args:
        support: (E, S, D); all features are brought to length one.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        cross_entropy: λ, the weight of the supports' cross-entropy.
        conditional: α, the weight of the queries' conditional entropy; their marginal entropy has 1.
    """
    return descend(support, support_labels, query, n_way, Aim(shannon, cross_entropy, conditional), steps)


def shannon(p: Tensor, logarithms: Tensor) -> Tensor:
    """The slope of -Σ p log p by each p."""
    return -(logarithms + 1)
