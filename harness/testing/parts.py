"""The contracts of backbones, classifiers and datasets."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from harness.common.errors import PluginError
from harness.contract.backbones import BackboneRequest, BackboneSpec
from harness.testing.check import Check, demand, tried

if TYPE_CHECKING:
    from harness.contract.data import DataRequest, DatasetSpec
    from harness.contract.heads import BatchedClassifier, ClassifierSpec


def check_backbone(spec: BackboneSpec, argument: str | None = None, image_size: int = 32) -> None:
    """Check that a backbone keeps the contract, at one image size (pixels).

    Raises:
        PluginError: a promise that it breaks, and how.
    """
    demand(spec.name, backbone_checks(spec, BackboneRequest(image_size, argument=argument)))


def backbone_checks(spec: BackboneSpec, request: BackboneRequest) -> Generator[Check, None, None]:
    """The checks of ``check_backbone``, one after the other."""
    import torch
    from safetensors.torch import load, save

    from harness.catalogue.validation import validate
    from harness.common.randomness import seeded
    from harness.testing.watching import near, same

    def build(seed: int) -> torch.nn.Module:
        with seeded(seed, "contract"):
            return spec.build(request).eval()

    yield tried("its spec is valid", lambda: validate(spec))
    network = build(0)
    images = torch.randn(6, 3, request.image_size, request.image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = network(images)
        alone = torch.cat([network(images[i : i + 1]) for i in range(len(images))])
    n_features = getattr(network, "n_features", None)
    fits = features.shape == (len(images), n_features) and features.dtype == torch.float32
    description = f"{tuple(features.shape)} {features.dtype}, n_features = {n_features}"
    yield Check("it returns float32 (N, n_features)", None if fits else description)
    finite = bool(features.isfinite().all())
    yield Check("its features are finite", None if finite else "some are NaN or infinite")
    yield Check(
        "in eval mode, an image's features depend on it alone", None if near(features, alone) else "they do not"
    )
    weights = network.state_dict()
    yield Check("a seed decides its weights", None if same(weights, build(0).state_dict()) else "it does not")
    other = build(1)
    if any(parameter.requires_grad for parameter in network.parameters()):
        varies = not same(weights, other.state_dict())
        yield Check("another seed gives other weights", None if varies else "seeds 0 and 1 give the same")
    other.load_state_dict(load(save({name: value.contiguous() for name, value in weights.items()})))
    with torch.inference_mode():
        kept = near(features, other(images))
    yield Check(
        "its weights hold all that it is", None if kept else "filled with them, another one gives other features"
    )


def check_classifier(spec: ClassifierSpec) -> None:
    """Check that a classifier keeps the contract, on features that are easy to tell apart.

    Raises:
        PluginError: a promise that it breaks, and how.
    """
    demand(spec.name, classifier_checks(spec))


def classifier_checks(spec: ClassifierSpec) -> Generator[Check, None, None]:
    """The checks of ``check_classifier``, one after the other."""
    import torch

    from harness.catalogue.validation import validate
    from harness.testing.watching import near

    yield tried("its spec is valid", lambda: validate(spec))
    classify: BatchedClassifier = spec.load()
    n_way, k_shot, n_query, n_features = 4, 2, 3, 64
    generator = torch.Generator().manual_seed(0)
    means = 4 * torch.randn(5, n_way, n_features, generator=generator)  # (E, n_way, D)
    labels = torch.arange(n_way).repeat_interleave(k_shot).repeat(5, 1)  # (E, S)
    truth = torch.arange(n_way).repeat_interleave(n_query)  # (Q,)
    support = means.repeat_interleave(k_shot, 1) + torch.randn(5, n_way * k_shot, n_features, generator=generator)
    query = means.repeat_interleave(n_query, 1) + torch.randn(5, n_way * n_query, n_features, generator=generator)
    before = support.clone(), labels.clone(), query.clone()
    scores = classify(support, labels, query, n_way).clone()
    fits = scores.shape == (5, n_way * n_query, n_way) and bool(scores.isfinite().all())
    yield Check("it returns finite scores (E, Q, n_way)", None if fits else str(tuple(scores.shape)))
    if not fits:
        return
    accuracy = float((scores.argmax(2) == truth).float().mean())
    yield Check("it tells classes apart that lie far apart", None if accuracy > 0.8 else f"accuracy {accuracy:.2f}")
    whole = all(torch.equal(a, b) for a, b in zip(before, (support, labels, query), strict=True))
    yield Check("it leaves its inputs as they are", None if whole else "it changes them in place")
    again = torch.equal(scores, classify(support, labels, query, n_way))
    yield Check("it repeats itself", None if again else "the same features twice give other scores")
    alone = near(scores[:1], classify(support[:1], labels[:1], query[:1], n_way))
    yield Check("an episode is judged by itself", None if alone else "its scores depend on the others in the batch")
    order = torch.randperm(n_way * n_query, generator=generator)
    moved = near(scores[:, order], classify(support, labels, query[:, order], n_way))
    yield Check("the order of queries tells it nothing", None if moved else "queries in another order score otherwise")
    turned = near(
        scores.roll(1, 2), classify(support, (labels + 1) % n_way, query, n_way), 0.05
    )  # a solver's tolerance
    yield Check(
        "the numbers of classes tell it nothing", None if turned else "classes numbered otherwise score otherwise"
    )
    if not spec.transductive:
        single = near(scores[:, :1], classify(support, labels, query[:, :1], n_way))
        yield Check(
            "a query is judged by itself", None if single else "it looks at the others: transductive=True is due"
        )


def check_dataset(spec: DatasetSpec, request: DataRequest) -> None:
    """Check that a dataset keeps the contract, where it is found with ``request``.

    Raises:
        PluginError: a promise that it breaks, and how.
        DataError: it is not there.
    """
    demand(spec.name, dataset_checks(spec, request))


def dataset_checks(spec: DatasetSpec, request: DataRequest) -> Generator[Check, None, None]:
    """The checks of ``check_dataset``, one after the other."""
    import numpy as np

    from harness.catalogue.validation import validate

    yield tried("its spec is valid", lambda: validate(spec))
    dataset = spec.open(request)
    size = request.image_size or spec.image_size
    if not dataset.splits:
        raise PluginError(f"{spec.name}: it has no split at all")
    for split in dataset.splits:
        sample = np.asarray(split.images[np.arange(min(4, len(split)))])
        fits = sample.dtype == np.uint8 and sample.shape[1:] == (size, size, spec.channels)
        problem = None if fits else f"{sample.dtype} {sample.shape}, not uint8 (N, {size}, {size}, {spec.channels})"
        yield Check(f"{split.name}: its images are uint8 of the size it says", problem)
        labels = np.unique(split.labels)
        whole = split.labels.dtype == np.int64 and np.array_equal(labels, np.arange(split.n_classes))
        yield Check(
            f"{split.name}: its labels are int64, 0..n_classes-1, no class empty", None if whole else f"{labels}"
        )
        counts = (split.n_classes, len(split))
        said = spec.counts.get(split.name, counts)
        same = counts == said or bool(dataset.notes)
        yield Check(f"{split.name}: it has what its spec counts", None if same else f"{counts}, not {said}")
    again = spec.open(request).fingerprint == dataset.fingerprint
    yield Check("opened twice, it is the same", None if again else "its fingerprint changes")
