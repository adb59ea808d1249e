"""What learners return for a few images or episodes, and what must hold of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.contract.episodes import EpisodeSpec
from harness.contract.learners import Embedder, EpisodeBatch, EpisodicLearner
from harness.episodes.sampler import sample_episodes
from harness.testing.watching import near, same

if TYPE_CHECKING:
    from harness.contract.data import Dataset

N_IMAGES = 12
N_EPISODES = 3


class Probe:
    """The same images and episodes for every learner of a check. Called with a learner: its outputs on them."""

    def __init__(self, data: Dataset, transductive: bool, by_itself: bool = False) -> None:
        split = data.test or data.train
        assert split is not None
        spec = EpisodeSpec(min(5, split.n_classes), 1, 4)
        episodes = sample_episodes(split, spec, N_EPISODES, seed=0)
        support, query = (
            torch.from_numpy(np.ascontiguousarray(split.images[index.reshape(N_EPISODES, -1)]))
            for index in (episodes.support, episodes.query)
        )
        labels = torch.arange(spec.n_way).repeat(N_EPISODES, 1)
        self._batch = EpisodeBatch(support, labels, query, spec.n_way)
        self._images = torch.from_numpy(
            np.ascontiguousarray(split.images[:: max(1, len(split) // N_IMAGES)][:N_IMAGES])
        )
        self._transductive = transductive
        self._by_itself = by_itself  # its method has no head: it predicts, even if it could embed too
        self.claims: Mapping[str, Callable[[Any], str | None]] = {
            "its outputs are finite float32 of the right shape": self._shape,
            "its outputs repeat themselves": self._repeats,
            "an image or episode is judged by itself, whatever else is in the batch": self._independent,
            "scoring changes neither the weights nor the images": self._unchanged,
        }

    def __call__(self, learner: Any) -> torch.Tensor:
        """Features (N, D) of an ``Embedder``, scores (E, Q, n_way) of an ``EpisodicLearner``."""
        if isinstance(learner, torch.nn.Module):
            learner.eval()
        if self._embeds(learner):
            return self._embed(learner, self._images)
        return self._predict(learner, self._batch)

    def _embeds(self, learner: Any) -> bool:
        return isinstance(learner, Embedder) and not (self._by_itself and isinstance(learner, EpisodicLearner))

    def _embed(self, learner: Embedder, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return learner.embed(images.clone()).clone()

    def _predict(self, learner: EpisodicLearner, batch: EpisodeBatch) -> torch.Tensor:
        return learner.predict(batch).detach().clone()

    def _part(self, episodes: slice = slice(None), queries: Any = slice(None)) -> EpisodeBatch:
        batch = self._batch
        return EpisodeBatch(
            batch.support[episodes], batch.support_labels[episodes], batch.query[episodes][:, queries], batch.n_way
        )

    # ── the claims ───────────────────────────────────────────────────────────────────────────────

    def _shape(self, learner: Any) -> str | None:
        output = self(learner)
        if self._embeds(learner):
            expected, fits = f"({N_IMAGES}, D)", output.ndim == 2 and len(output) == N_IMAGES
        else:
            shape = (*self._batch.query.shape[:2], self._batch.n_way)
            expected, fits = str(shape), output.shape == shape
        if not fits:
            return f"shape {tuple(output.shape)}, not {expected}"
        if output.dtype != torch.float32:
            return f"{output.dtype}, not torch.float32"
        return None if bool(output.isfinite().all()) else "some are NaN or infinite"

    def _repeats(self, learner: Any) -> str | None:
        return None if torch.equal(self(learner), self(learner)) else "the same images twice give other outputs"

    def _independent(self, learner: Any) -> str | None:
        whole = self(learner)
        if self._embeds(learner):
            alone = torch.cat([self._embed(learner, self._images[i : i + 1]) for i in range(N_IMAGES)])
            return None if near(whole, alone) else "an image alone has other features: is BatchNorm in eval mode?"
        if not near(whole[:1], self._predict(learner, self._part(slice(0, 1)))):
            return "an episode alone has other scores: let no weight or statistic pass from one to the next"
        order = torch.arange(whole.shape[1]).flip(0)
        if not near(whole[:, order], self._predict(learner, self._part(queries=order))):
            return "queries in another order have other scores"
        if not self._transductive and not near(whole[:, :1], self._predict(learner, self._part(queries=slice(0, 1)))):
            return "a query alone has other scores: say transductive=True in the MethodSpec if that is meant"
        return None

    def _unchanged(self, learner: Any) -> str | None:
        before = {name: value.clone() for name, value in learner.state_dict().items()}
        images, query = self._images.clone(), self._batch.query.clone()
        if self._embeds(learner):
            with torch.inference_mode():
                learner.embed(self._images)
        else:
            self._predict(learner, self._batch)
        if not (torch.equal(images, self._images) and torch.equal(query, self._batch.query)):
            return "the images that were handed over are changed"
        return None if same(before, learner.state_dict()) else "the weights are not what they were"
