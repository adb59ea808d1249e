"""A longer training goes on from a finished shorter one where their first epochs are the same bytes, and says so."""

from __future__ import annotations

import json
import shutil

import pytest
from torch.nn import functional as F

import harness
from harness.contract.recipe import StepDecay, WarmUp, constant, cosine
from harness.execution.events import Note
from harness.runs import StageFolder
from harness.training.continuation import NAME, Span
from harness.training.events import TrainingStarted
from tests.helpers.bench import happened, weights
from tests.helpers.contract import method
from tests.helpers.plugins import offering

SELECTED = {"optimiser": "adam", "selection": "best-val"}
STEP = {"schedule": "step", "decay_at": (1, 3)}
SHAPED = {"schedule": "step", "epochs": 4, "decay_at": (2,)}  # a length in images: decays keep their shape
EPOCHS = {"budget": None, "episodes": 4, "rows": ("*/simple",)}


@pytest.fixture
def train(run_bench, tmp_path):
    """Train rfs/simple with these options; what was said, which epoch it began after, and the stage's folder."""

    def run(output=tmp_path / "runs", methods=("rfs",), threads=1, **options):
        options = {"images": None, "epochs": 2, "schedule": "constant", "learning_rate": 0.01, **options}
        events = []
        settings = {f"rfs.{name}": value for name, value in options.items()} if methods == ("rfs",) else {}
        about = {**EPOCHS, "rows": EPOCHS["rows"] if methods == ("rfs",) else ()}
        record = run_bench(
            observe=events.append, output=output, threads=threads, methods=methods, **{**about, "set": settings}
        )
        (stage,) = record.tables[0].stages
        assert stage.failure is None
        notes = [event.text for _, event in happened(events, Note)]
        begun = [event.done for _, event in happened(events, TrainingStarted)]
        return notes, begun, output / stage.folder

    return run


def costs(folder):
    trained = json.loads((folder / "trained.json").read_text())
    return {name: trained[name] for name in ("images_seen", "flops", "weights_sha256")}


def losses(folder):
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in StageFolder(folder).metrics]


@pytest.mark.parametrize(
    ("shorter", "longer", "begins"),
    [
        ({"epochs": 2}, {"epochs": 4}, 2),
        ({"epochs": 2, **SELECTED}, {"epochs": 3, **SELECTED}, 2),
        ({"epochs": 2, **STEP}, {"epochs": 4, **STEP}, 2),  # a decay before the end of the shorter, and one after
        ({"images": 768, **SHAPED}, {"images": 1152, **SHAPED}, 2),  # only what lies before the first decay is shared
        ({"images": 500}, {"images": 900}, 2),  # 2.6 epochs and 4.7
        ({"epochs": 2}, {"images": 700}, 2),
    ],
    ids=["constant", "adam, best on validation", "step", "step in images", "parts of epochs", "another unit"],
)  # fmt: skip
def test_it_is_byte_equal_to_a_training_of_the_full_length(train, tmp_path, shorter, longer, begins):
    _, _, first = train(**shorter)
    notes, begun, folder = train(**longer)
    assert begun == [begins]
    assert [note for note in notes if "goes on" in note] == [
        f"rfs/simple seed 0: goes on from epoch {begins} of {first.name}, whose epochs are the first of its own"
    ]
    _, from_nothing, whole = train(output=tmp_path / "elsewhere", **longer)
    assert from_nothing == [0]
    assert folder.name == whole.name
    assert (folder / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert costs(folder) == costs(whole)
    assert losses(folder) == losses(whole)


def test_it_goes_on_from_the_longest_of_the_shorter_ones_and_again_from_it(train):
    train(epochs=1)
    _, begun, _ = train(epochs=2)
    assert begun == [1]
    _, begun, _ = train(epochs=3)
    assert begun == [2]
    notes, begun, _ = train(epochs=1, learning_rate=0.02)  # another training
    assert (notes, begun) == ([], [0])


# ── where it cannot ───────────────────────────────────────────────────────────────────────────────


def test_a_cosine_depends_on_its_length_and_keeps_nothing(train):
    _, _, first = train(schedule="cosine")
    assert not (first / NAME).exists()
    notes, begun, _ = train(schedule="cosine", epochs=3)
    assert begun == [0]
    (note,) = notes
    assert note.startswith(
        f"rfs/simple seed 0: begins from nothing and not where the shorter {first.name} ended, since "
    )
    assert note.endswith("its learning rates (cosine) depend on how long it is, from the beginning")


def test_a_shorter_training_is_no_news_to_one_that_differs_otherwise_or_is_shorter_still(train):
    train(schedule="cosine", epochs=3)
    for options in ({"schedule": "cosine", "weight_decay": 0.1, "epochs": 4}, {"schedule": "cosine", "epochs": 2}):
        notes, begun, _ = train(**options)
        assert (notes, begun) == ([], [0])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / NAME).unlink(), r"kept no checkpoint (pruned, imported, or of an earlier version)"),
        (lambda folder: (folder / NAME).write_bytes(b"x" * 100), "is damaged: its sha256 is not the one in it"),
        (lambda folder: rewrite(folder, torch="1.0"), "that one ran under other conditions (torch 1.0, now"),
    ],
    ids=["pruned", "damaged", "another torch"],
)
def test_it_says_why_it_begins_from_nothing(train, spoil, reason):
    _, _, first = train()
    spoil(first)
    notes, begun, _ = train(epochs=3)
    assert begun == [0]
    (note,) = notes
    assert reason in note


def rewrite(folder, **conditions):
    record = json.loads((folder / "trained.json").read_text())
    record["conditions"].update(conditions)
    (folder / "trained.json").write_text(json.dumps(record))


def test_one_that_is_not_finished_is_left_alone(train):
    _, _, first = train()
    (first / "trained.json").unlink()
    notes, begun, _ = train(epochs=3)
    assert (notes, begun) == ([], [0])


def test_a_loss_that_depends_on_the_length_keeps_nothing(catalogue, train, tmp_path):
    def fit(context, learner):
        def loss(network, batch):  # read while it trains, not before
            _, logits = network(batch.images)
            return {"loss": F.cross_entropy(logits, batch.labels) / context.options.epochs}

        context.trainer.run(learner, loss, context.options.recipe())

    constant_rate = {"images": None, "epochs": 2, "schedule": "constant"}
    ramped = method(fit=fit, presets={"quick": harness.Preset("quick", constant_rate)})
    catalogue.add("mine-plugin", offering(harness_methods=[ramped]))
    _, begun, folder = train(methods=("mine",))
    assert begun == [0]
    assert not (folder / NAME).exists()


def test_a_moved_run_folder_is_gone_on_from_too(train, tmp_path):
    train()
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    _, begun, _ = train(output=tmp_path / "moved", epochs=3)
    assert begun == [2]
    assert len(weights(tmp_path / "moved")) == 2


# ── which epochs are shared ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schedule", "shared"),
    [
        (constant, 10),
        (cosine, 0),
        (StepDecay((4, 8)), 10),
        (StepDecay((4, 8), of=10), 4),
        (StepDecay((40, 80), of=100), 4),
        (WarmUp(2, constant), 10),
        (WarmUp(5, constant), 0),  # more than a quarter of it: the rise is cut to the length
        (WarmUp(2, cosine), 0),
    ],
)
def test_epochs_are_shared_as_far_as_no_rate_depends_on_the_length(schedule, shared):
    assert Span(schedule, n_steps=50, epoch_steps=5).shared_epochs == shared


def test_a_part_of_an_epoch_is_not_shared():
    assert Span(constant, n_steps=12, epoch_steps=5).shared_epochs == 2
    assert Span(constant, n_steps=4, epoch_steps=5).shared_epochs == 0
