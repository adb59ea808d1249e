"""How the reference codes of RFS and SKD score: every episode by itself, its images embedded again."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec, Split
    from harness.contract.episodes import Episodes
    from harness.networks.learners import FeatureNetwork


def as_published(network: FeatureNetwork) -> torch.nn.Module:
    """A copy of conv4 in torch's own layers, in the papers' order."""
    blocks = copy.deepcopy(network.backbone.blocks)
    orders = ((conv, norm, torch.nn.ReLU(), torch.nn.MaxPool2d(2)) for conv, norm, _, _ in blocks)
    return torch.nn.Sequential(*(layer for order in orders for layer in order), torch.nn.Flatten()).eval()


def one_by_one(
    network: torch.nn.Module, split: Split, spec: DatasetSpec, views: int, jitter: float, episodes: Episodes
) -> np.ndarray:
    """Accuracies (E,). Images are transformed one at a time, supports ``views`` times; the network runs in float32."""
    from torchvision import transforms as tv

    to_tensor = [lambda picture: np.array(picture), tv.ToTensor(), tv.Normalize(spec.mean, spec.std)]
    colour = [tv.ColorJitter(jitter, jitter, jitter)] if jitter else []
    crop = tv.RandomCrop(spec.image_size, padding=spec.augmentation.crop_padding)
    plain = tv.Compose(to_tensor)
    moving = tv.Compose([crop, *colour, tv.RandomHorizontalFlip(), *to_tensor]) if views > 1 else plain
    labels = np.arange(episodes.spec.n_way)
    accuracies = []
    torch.manual_seed(0)
    for support, query in zip(episodes.support, episodes.query, strict=True):
        pictures = [Image.fromarray(split.images[i]) for i in np.repeat(support.reshape(-1), views)]
        queries = [Image.fromarray(split.images[i]) for i in query.reshape(-1)]
        with torch.inference_mode():
            x = [
                network(torch.stack([change(p) for p in some]))
                for change, some in ((moving, pictures), (plain, queries))
            ]
        of_support, of_query = (torch.nn.functional.normalize(features, dim=1).numpy() for features in x)
        model = LogisticRegression(C=1.0, max_iter=1000).fit(of_support, np.repeat(labels, support.shape[1] * views))
        accuracies.append((model.predict(of_query) == np.repeat(labels, query.shape[1])).mean())
    return np.array(accuracies)
