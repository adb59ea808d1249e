"""plugins/skd: its losses, transforms, keys and presets against arithmetic by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness_skd import SKD, SkdOptions, stages
from harness_skd.losses import self_supervised, twin_distance
from harness_skd.transforms import TRANSFORMS
from harness_skd.twins import quarter_turns

from harness.common.randomness import seeded
from harness.contract.presets import resolve
from harness.training.contrastive import nt_xent
from tests.helpers.skd import B, Fitted, binary_cross_entropy

# ── the losses ────────────────────────────────────────────────────────────────────────────────────


def test_self_supervision_is_binary_cross_entropy_by_hand():
    q = np.random.default_rng(0).normal(0, 2, (12, 4))
    which = np.arange(12) % 4
    found = float(self_supervised(torch.tensor(q), torch.tensor(which)))
    assert found == pytest.approx(binary_cross_entropy(q, which), rel=1e-9)


def test_twin_distance_is_the_mean_of_norms():
    a, b = np.random.default_rng(0).normal(size=(2, 7, 5))
    found = float(twin_distance(torch.tensor(a), torch.tensor(b)))
    assert found == pytest.approx(np.sqrt(((a - b) ** 2).sum(axis=1)).mean(), rel=1e-9)


def test_twin_distance_of_equal_images_has_a_finite_gradient():
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    twin_distance(logits, logits.detach().clone()).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_simclr_is_its_double_loop():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 6))
    z = [row / np.linalg.norm(row) for row in (*a, *b)]
    total = 0.0
    for i in range(10):
        twin = (i + 5) % 10
        others = sum(np.exp(z[i] @ z[k] / 0.3) for k in range(10) if k != i)
        total -= np.log(np.exp(z[i] @ z[twin] / 0.3) / others)
    assert float(nt_xent(torch.tensor(a), torch.tensor(b), 0.3)) == pytest.approx(total / 10, rel=1e-9)


# ── the transforms ────────────────────────────────────────────────────────────────────────────────


def test_quadrants_come_row_by_row_and_keep_their_place():
    image = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat_interleave(4, 0).repeat_interleave(4, 1)  # (8, 8)
    images = torch.stack([image, image + 10]).unsqueeze(1)  # (2, 1, 8, 8)
    crops = TRANSFORMS["patch"].make(images)
    assert crops.shape == (8, 1, 8, 8)
    for place in range(4):
        for i in range(2):
            assert torch.equal(crops[place * 2 + i], torch.full((1, 8, 8), place + 10.0 * i))
    assert torch.equal(TRANSFORMS["patch"](images), torch.cat([images, crops]))


@pytest.mark.parametrize("name", ["rotation", "flips", "colours", "jigsaw", "sizes"])
def test_the_first_copy_is_the_image_and_the_others_differ(name):
    images = torch.randn(3, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    transform = TRANSFORMS[name]
    copies = transform(images)
    assert len(copies) == transform.copies * 3 == transform.outputs * 3
    copies = copies.unflatten(0, (transform.outputs, 3))
    assert torch.equal(copies[0], images)
    pairs = itertools.combinations(range(transform.outputs), 2)
    assert not any(torch.equal(copies[a], copies[b]) for a, b in pairs)


@pytest.mark.parametrize("name", ["rotation", "flips", "colours", "jigsaw"])
def test_a_copy_has_the_pixels_of_its_image_in_other_places(name):
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for copy in TRANSFORMS[name](images).unflatten(0, (-1, 2)):
        assert torch.equal(copy.flatten(1).sort(dim=1).values, images.flatten(1).sort(dim=1).values)


def test_flips_mirror_left_right_then_top_bottom_then_both():
    images = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
    flat = TRANSFORMS["flips"](images).flatten(1).tolist()
    assert flat == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_no_tile_of_a_jigsaw_has_one_place_in_two_copies():
    image = torch.arange(4.0).view(2, 2).repeat_interleave(3, 0).repeat_interleave(3, 1)[None, None]  # a number a tile
    corners = TRANSFORMS["jigsaw"](image)[:, 0, ::5, ::5].flatten(1)  # (4, 4)
    assert all(sorted(place) == [0, 1, 2, 3] for place in corners.T.tolist())
    assert all(sorted(copy) == [0, 1, 2, 3] for copy in corners.tolist())


def test_sizes_shrink_about_the_centre():
    side, half = 32, 8
    square = torch.zeros(1, 1, side, side)
    square[:, :, half:-half, half:-half] = 1  # 16×16
    for copy, scale in zip(TRANSFORMS["sizes"](square), (1.0, 0.9, 0.8, 0.7), strict=True):
        assert float(copy.sum()) == pytest.approx((16 * scale) ** 2, rel=0.05)
        assert torch.allclose(copy, copy.flip(1, 2), atol=1e-5)


def test_an_asymmetric_image_meets_the_label_of_its_rotation(plain):
    images = np.zeros_like(plain.train.images)
    images[:, 0, -1] = 255  # a bright pixel at the top right
    data = replace(plain, train=replace(plain.train, images=images))
    fitted = Fitted(data, "gen0", images=4 * B)
    seen = fitted.inputs[0].permute(0, 2, 3, 1)  # (4B, H, W, C)
    assert torch.equal(seen[B : 2 * B], torch.rot90(seen[:B], 1, (1, 2)))
    corners = {0: (0, -1), 1: (0, 0), 2: (-1, 0), 3: (-1, -1)}  # counter-clockwise
    for turns, (row, column) in corners.items():
        block = seen[turns * B : (turns + 1) * B]
        assert (block[:, row, column] == seen.max()).all()
    _, _, q = fitted.outputs[0]
    expected = binary_cross_entropy(q, np.repeat(np.arange(4), B))
    assert fitted.losses["self_supervised"] == pytest.approx(expected, rel=1e-5)
    clockwise = binary_cross_entropy(q, np.repeat([0, 3, 2, 1], B))
    assert fitted.losses["self_supervised"] != pytest.approx(clockwise, rel=1e-5)


def test_random_twins_are_90_180_or_270_degrees_an_image():
    with seeded(0):
        turns = quarter_turns("random", torch.zeros(3000, 1))
    assert torch.bincount(turns, minlength=4).tolist()[0] == 0
    assert (torch.bincount(turns)[1:] > 900).all()
    assert [quarter_turns(twin, torch.zeros(1)) for twin in ("90", "180", "270")] == [1, 2, 3]


# ── keys and presets ──────────────────────────────────────────────────────────────────────────────


def reads(**values):
    return {stage.name: set(stage.reads) for stage in stages(SkdOptions(**values))}


def test_each_stage_reads_the_options_that_decide_it_and_no_others():
    found = reads()
    assert {"alpha", "self_supervision", "self_supervision_on", "epochs", "learning_rate"} <= found["gen0"]
    assert not {name for name in found["gen0"] if name.startswith("gen1_")}
    assert not found["gen0"] & {"beta", "temperature", "twin", "consistency", "beta_divisor", "simclr_temperature"}
    assert {"beta", "beta_divisor", "temperature", "twin", "consistency", "gen1_epochs", "images"} <= found["gen1"]
    assert not found["gen1"] & {"alpha", "self_supervision", "epochs", "decay_at", "learning_rate"}
    assert "simclr_temperature" not in found["gen1"]
    assert {"beta", "simclr_temperature"} <= reads(consistency="simclr")["gen1"]
    assert not reads(consistency="none")["gen1"] & {"beta", "beta_divisor", "twin", "simclr_temperature"}
    assert "alpha" not in reads(self_supervision="none")["gen0"]
    every = set().union(*(set().union(*reads(consistency=c).values()) for c in ("l2", "simclr", "none")))
    assert every == set(SkdOptions.model_fields) - {"generations"}  # which decides what stages there are


def test_dropblocks_masks_decide_both_stages_and_its_counter_gen1_alone():
    found = reads()
    assert all("dropblock_masks" in names for names in found.values())
    assert [stage for stage, names in found.items() if "dropblock_counter" in names] == ["gen1"]


# dataset, Gen-0 epochs and decay, Gen-1 epochs and decay, β
RECIPES = [
    ("CIFAR-FS", 65, (60,), 65, (60,), 0.1),
    ("FC100", 65, (60,), 8, (3,), 0.2),
    ("miniImageNet", 65, (60,), 8, (5,), 0.1),
    ("tieredImageNet", 60, (30, 40, 50), 8, (5,), 0.1),
]


@pytest.mark.parametrize("preset", ["paper", "reference-code"])
@pytest.mark.parametrize(("dataset", "epochs", "decay", "gen1_epochs", "gen1_decay", "beta"), RECIPES)
def test_presets_hold_the_published_lengths(preset, dataset, epochs, decay, gen1_epochs, gen1_decay, beta):
    options = resolve(SKD, preset, dataset)
    assert (options.epochs, options.decay_at, options.gen1_epochs, options.gen1_decay_at, options.beta) == (
        epochs,
        decay,
        gen1_epochs,
        gen1_decay,
        beta,
    )
    assert (options.optimiser, options.learning_rate, options.momentum) == ("sgd", 0.05, 0.9)
    assert options.weight_decay == 5e-4
    assert (options.batch_size, options.schedule, options.decay_factor, options.alpha) == (64, "step", 0.1, 2.0)
    assert (options.twin, options.consistency, options.selection, options.images) == ("180", "l2", "last", None)


def test_the_reference_code_departs_from_the_paper_in_six_options():
    paper, code = (resolve(SKD, preset, "CIFAR-FS").model_dump() for preset in ("paper", "reference-code"))
    assert {name: (paper[name], code[name]) for name in paper if paper[name] != code[name]} == {
        "temperature": (4.0, 2.0),
        "gen1_learning_rate": (0.05, 0.001),
        "beta_divisor": (1.0, 3.0),
        "gen1_forward": ("twins", "all"),
        "dropblock_masks": ("whole", "reference"),
        "dropblock_counter": ("training", "reference"),
    }
    assert {SKD.presets[name].backbone for name in ("paper", "reference-code")} == {"resnet12"}


def test_the_readme_names_every_option_and_preset():
    text = (Path(__file__).parents[2] / "plugins" / "skd" / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*SkdOptions.model_fields, *SKD.presets) if f"`{name}`" not in text] == []
