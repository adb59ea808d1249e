"""harness/training/trainer.py: loops of a method's own, their costs, their checkpoints."""

from __future__ import annotations

import pytest
import torch

from harness.common.errors import HarnessError, PluginError, RunsError
from harness.common.randomness import seeded
from harness.contract.recipe import Recipe
from harness.hardware.hardware import choose_hardware
from harness.training.events import EpochDone, TrainingProgress
from harness.training.trainer import Trainer
from tests.helpers.training import Net, cross_entropy, same, state


def trainer(data, folder=None, **about):
    return Trainer(data.train, data.spec, choose_hardware("cpu", "32", 1), seed=1, folder=folder, **about)


def own_loop(loop: Trainer, network: Net, epochs: int = 3) -> None:
    """What an author writes who has a loop of their own: dropout from torch's generator, Adam with its state."""
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    saved = loop.resume()
    first = 0
    if saved is not None:
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["epochs"]
    for epoch in range(first, epochs):
        with seeded(1, "epoch", epoch):
            for batch in loop.batches(Recipe(views=2), epoch):
                optimiser.zero_grad()
                loss = cross_entropy(network, batch, views=2)["loss"]
                loss.backward()
                optimiser.step()
                loop.account(images=len(batch.images), flops=10)
                loop.progress(epoch, epochs, loss)
        done = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epochs": epoch + 1}
        loop.checkpoint(done, {"loss": loss})


def test_an_interrupted_loop_goes_on_bit_for_bit_with_its_costs(tiny, tmp_path):
    whole, stopped = Net(dropout=0.3), Net(dropout=0.3)
    reference = trainer(tiny)
    own_loop(reference, whole)

    def stop(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_loop(trainer(tiny, tmp_path, report=stop), stopped)
    resumed, loop = Net(dropout=0.3), trainer(tiny, tmp_path)
    own_loop(loop, resumed)
    assert same(state(whole), state(resumed))
    assert loop.images_seen == reference.images_seen == 3 * 3 * 128
    assert loop.flops == reference.flops == 3 * 3 * 10
    assert [row["epoch"] for row in loop.history] == [1, 2, 3]
    assert loop.history == reference.history


def test_time_is_counted_by_itself_and_more_may_be_added(tiny, tmp_path):
    loop = trainer(tiny, tmp_path)
    own_loop(loop, Net())
    assert loop.seconds > 0
    before = loop.seconds
    loop.account(seconds=5.0)
    assert loop.seconds == before + 5.0


def test_the_first_batches_are_those_of_the_harness_own_loop(tiny):
    seen = []

    def loss(network, batch):
        seen.append(batch.images)
        return cross_entropy(network, batch)

    trainer(tiny).run(Net(), loss, Recipe())
    loop = trainer(tiny)
    loop.resume()
    for batch, expected in zip(loop.batches(Recipe(), 0), seen, strict=False):
        assert torch.equal(batch.images, expected)


def test_a_recipe_may_follow_a_loop_of_its_own(tiny, tmp_path):
    for _ in range(2):  # the second time all is on disk
        network, events = Net(), []
        loop = trainer(tiny, tmp_path, report=events.append)
        own_loop(loop, network, epochs=1)
        loop.run(network, cross_entropy, Recipe())
        assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint-1.pt", "checkpoint-2.pt"]
        assert {row["phase"] for row in loop.history} == {1, 2}
    assert not events


def test_progress_is_told_but_not_at_every_step(tiny, monkeypatch):
    events = []
    own_loop(trainer(tiny, report=events.append), Net())
    assert len([event for event in events if isinstance(event, TrainingProgress)]) < 9
    monkeypatch.setattr("harness.training.trainer.PROGRESS_EVERY", 0.0)
    events.clear()
    own_loop(trainer(tiny, report=events.append), Net())
    progress = [event for event in events if isinstance(event, TrainingProgress)]
    assert [event.images for event in progress] == [128 * i for i in range(1, 10)]
    assert all(event.images <= event.total_images for event in progress)
    assert [event.epoch for event in events if isinstance(event, EpochDone)] == [1, 2, 3]


def test_misuse_is_told(tiny, tmp_path):
    with pytest.raises(PluginError, match=r"call trainer.resume\(\) first"):
        trainer(tiny, tmp_path).checkpoint({})
    with pytest.raises(PluginError, match="a cost is not negative"):
        trainer(tiny).account(images=-1)
    with pytest.raises(HarnessError, match="in one process: use --devices 1"):
        trainer(tiny, devices=2).resume()
    loop = trainer(tiny, tmp_path)
    loop.resume()
    with pytest.raises(HarnessError, match="not finite after epoch 1"):
        loop.checkpoint({}, {"loss": float("nan")})
    with pytest.raises(PluginError, match=r"state\['network'\] is a Net, which cannot be kept"):
        loop.checkpoint({"network": Net()})
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_told(tiny, tmp_path):
    own_loop(trainer(tiny, tmp_path), Net(), epochs=1)
    path = tmp_path / "checkpoint-1.pt"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunsError, match="is damaged"):
        trainer(tiny, tmp_path).resume()
