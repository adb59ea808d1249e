"""Which episodes all methods of a bench meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.episodes import Episodes, EpisodeSpec, Target

UNBALANCED = 2.0  # Dirichlet concentration of the class proportions among unbalanced queries: Veilleux et al. 2021


@dataclass(frozen=True)
class EpisodePlan:
    """Which episodes a stage is scored on, the same for all."""

    specs: tuple[EpisodeSpec, ...]
    n_episodes: int
    seed: int
    targets: tuple[Target, ...] = ("closed", "open")

    def with_unbalanced(self) -> EpisodePlan:
        """And as many episodes with unbalanced queries: balanced ones flatter what looks at all queries at once."""
        unbalanced = tuple(replace(spec, dirichlet=UNBALANCED) for spec in self.specs if not spec.varied)
        return replace(self, specs=(*self.specs, *unbalanced))

    def sample(self, split: Split) -> list[Episodes]:
        """The episodes of every kind; open ones only where the split is large enough for two of them."""
        from harness.episodes.sampler import sample_episodes

        sampled = [
            sample_episodes(split, spec, self.n_episodes, self.seed, target)
            for target in self.targets
            for spec in self.specs
        ]
        return [episodes for episodes in sampled if episodes.target == "closed" or len(episodes) > 1]
