"""Transductive classifiers as their papers write them: one episode, one query and one class at a time, in float64."""

from __future__ import annotations

import numpy as np
import torch


def softmax(x):
    shares = np.exp(x - x.max())
    return shares / shares.sum()


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def means(support, labels, n_way):
    return np.stack([support[labels == k].mean(axis=0) for k in range(n_way)])


def distances(points, centres):
    """(n, n_way), squared."""
    return np.array([[((x - w) ** 2).sum() for w in centres] for x in points])


# ── TIM ───────────────────────────────────────────────────────────────────────────────────────────


def shannon(p):
    return -(p * p.log()).sum()


def alpha_entropy(alpha):
    return lambda p: (1 - (p**alpha).sum()) / (alpha - 1)


def tim(support, labels, query, n_way, entropy=shannon, weights=(0.1, 0.1), steps=8):
    """Logits (Q, n_way): torch takes the gradient of the loss, and Adam is written out (Kingma & Ba 2015, alg. 1)."""
    z_s, z_q = (torch.from_numpy(unit(each)) for each in (support, query))
    centres = means(z_s.numpy(), labels, n_way)
    first, second = np.zeros_like(centres), np.zeros_like(centres)

    def logits(z, w):
        return torch.stack([torch.stack([-15 / 2 * (x - k).square().sum() for k in w]) for x in z])

    for t in range(1, steps + 1):
        w = torch.from_numpy(centres).clone().requires_grad_()
        p = logits(z_q, w).softmax(dim=1)
        cross_entropy = torch.nn.functional.cross_entropy(logits(z_s, w), torch.from_numpy(labels))
        conditional = torch.stack([entropy(each) for each in p]).mean()
        (weights[0] * cross_entropy - entropy(p.mean(dim=0)) + weights[1] * conditional).backward()
        gradient = w.grad.numpy()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        centres = centres - 1e-4 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return logits(z_q, torch.from_numpy(centres)).numpy()


def alpha_tim(support, labels, query, n_way, alpha=5.0, steps=8):
    return tim(support, labels, query, n_way, alpha_entropy(alpha), (1.0, 1.0), steps)


def tim_adm(support, labels, query, n_way, steps=8):
    z_s, z_q, tau, ce, alpha = unit(support), unit(query), 15, 0.1, 0.1
    w = means(z_s, labels, n_way)
    for _ in range(steps):
        p_s, p_q = (np.array([softmax(-tau / 2 * row) for row in distances(z, w)]) for z in (z_s, z_q))
        q = p_q ** (1 + alpha) / (p_q ** (1 + alpha)).sum(axis=0) ** 0.5
        q = q / q.sum(axis=1, keepdims=True)
        moved = np.empty_like(w)
        for k in range(n_way):
            pull, mass = np.zeros_like(w[k]), 0.0
            for z, y, p in zip(z_s, labels, p_s, strict=True):
                pull += ce / (1 + alpha) * ((y == k) * z + p[k] * (w[k] - z))
                mass += ce / (1 + alpha) * (y == k)
            for z, share, p in zip(z_q, q, p_q, strict=True):
                pull += len(z_s) / len(z_q) * (share[k] * z + p[k] * (w[k] - z))
                mass += len(z_s) / len(z_q) * share[k]
            moved[k] = pull / mass
        w = moved
    return -tau / 2 * distances(z_q, w)


# ── by closed forms ───────────────────────────────────────────────────────────────────────────────


def pt_map(support, labels, query, n_way, steps=20):
    support, query = (unit(x - x.mean(axis=0)) for x in (unit(support), unit(query)))
    centres = means(support, labels, n_way)

    def plan():
        p = np.exp(-10 * distances(query, centres))
        p /= p.sum()
        before = np.zeros(len(query))
        while np.abs(before - p.sum(axis=1)).max() > 1e-6:
            before = p.sum(axis=1)
            p = p / before[:, None]
            p = p * (len(query) / n_way / p.sum(axis=0))
        return p

    for _ in range(steps):
        allotted = np.concatenate([np.eye(n_way)[labels], plan()])
        images = np.concatenate([support, query])
        centres = centres + 0.2 * (np.stack([np.average(images, axis=0, weights=a) for a in allotted.T]) - centres)
    return plan()


def paddle(support, labels, query, n_way, steps=30):
    least, spread = query.min(axis=0), np.ptp(query, axis=0)
    support, query = (support - least) / spread, (query - least) / spread
    centres, v = means(support, labels, n_way), np.zeros(n_way)
    for _ in range(steps):
        logits = v - distances(query, centres) / 2
        u = np.array([softmax(row) for row in logits])
        v = np.log(u.mean(axis=0) + 1e-6) + 1
        for k in range(n_way):
            own = support[labels == k]
            centres[k] = (own.sum(axis=0) + u[:, k] @ query) / (len(own) + u[:, k].sum())
    return logits


def bd_cspn(support, labels, query, n_way):
    query = query + (support.mean(axis=0) - query.mean(axis=0))
    prototypes = means(support, labels, n_way)
    pseudo = np.array([(unit(x) @ unit(prototypes).T).argmax() for x in query])
    rectified = np.empty_like(prototypes)
    for k in range(n_way):
        augmented = np.concatenate([support[labels == k], query[pseudo == k]])
        weights = softmax(10 * (unit(augmented) @ unit(prototypes[k])))
        rectified[k] = weights @ augmented
    return unit(query) @ unit(rectified).T


def laplacian_shot(support, labels, query, n_way, rectified=True):
    support, query = unit(support), unit(query)
    prototypes = means(support, labels, n_way)
    if rectified:
        query = query + (support.mean(axis=0) - query.mean(axis=0))
        images, basic = np.concatenate([support, query]), prototypes.copy()
        similarity = unit(images) @ unit(basic).T
        classes = np.concatenate([labels, similarity[len(support) :].argmax(axis=1)])
        for k in range(n_way):
            chosen = np.flatnonzero(classes == k)
            prototypes[k] = np.mean([softmax(10 * similarity[i])[k] * images[i] for i in chosen], axis=0)
    costs = distances(query, prototypes)
    near = [np.argsort(distances(query, [x])[:, 0])[1:3] for x in query]
    y = np.array([softmax(-row) for row in costs])
    for _ in range(20):
        logits = np.array([-costs[q] + 0.7 * y[near[q]].sum(axis=0) for q in range(len(query))])
        y = np.array([softmax(row) for row in logits])
    return logits
