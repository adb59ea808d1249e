"""harness/training/loop.py: what a recipe asks for beyond one network with one optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from harness.common.errors import HarnessError, PluginError
from harness.contract.batches import ShuffledBatches
from harness.contract.options import GradientOptions
from harness.contract.recipe import Length, Recipe, Selection, WarmUp
from harness.hardware.hardware import choose_hardware
from harness.training.events import EpochDone
from harness.training.trainer import Trainer
from tests.helpers.training import Net, cross_entropy, same, state

if TYPE_CHECKING:
    from harness.contract.training import Batch

SHORT = {"length": Length(epochs=2), "optimiser": lambda network: torch.optim.AdamW(network.parameters(), 1e-3)}


def trainer(data, folder=None, **about):
    return Trainer(data.train, data.spec, choose_hardware("cpu", "32", 1), seed=1, folder=folder, **about)


def moved(network: nn.Module, before) -> set[str]:
    return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}


# ── optimisers ────────────────────────────────────────────────────────────────────────────────────


def test_any_optimiser_of_torch_steps_as_torch_steps(plain):
    """One step of AdamW with two parameter groups, by hand on the same batch."""

    def optimiser(network):
        first, *rest = network.parameters()
        return torch.optim.AdamW([{"params": [first], "lr": 0.1}, {"params": rest}], lr=0.01)

    ours, by_hand, seen = Net(), Net(), []

    def loss(network, batch):
        seen.append(batch)
        return cross_entropy(network, batch)

    trainer(plain).run(ours, loss, Recipe(Length(steps=1), optimiser))
    by_hand.to(memory_format=torch.channels_last).train()
    stepped = optimiser(by_hand)
    cross_entropy(by_hand, seen[0])["loss"].backward()
    stepped.step()
    for name, value in state(by_hand).items():
        torch.testing.assert_close(value, ours.state_dict()[name])


def test_a_warm_up_is_applied_to_every_group(plain):
    rates = []

    def optimiser(network):
        first, *rest = network.parameters()
        made = torch.optim.SGD([{"params": [first], "lr": 0.4}, {"params": rest}], lr=0.1)
        made.register_step_pre_hook(lambda o, *_: rates.append([group["lr"] for group in o.param_groups]))
        return made

    trainer(plain).run(Net(), cross_entropy, Recipe(Length(epochs=4), optimiser, WarmUp(1.0)))
    assert len(rates) == 12  # four epochs of three steps of 64 images
    torch.testing.assert_close(
        torch.tensor(rates), torch.tensor([[0.4, 0.1]]) * torch.tensor([1 / 3, 2 / 3] + 10 * [1.0])[:, None]
    )


def test_gradients_are_clipped_to_the_norm_that_is_asked_for(plain):
    norms = []

    def optimiser(network):
        made = torch.optim.SGD(network.parameters(), 0.0)

        def note(*_):
            norms.append(torch.stack([weight.grad.norm() for weight in network.parameters()]).norm())

        made.register_step_pre_hook(note)
        return made

    trainer(plain).run(Net(), cross_entropy, Recipe(Length(steps=2), optimiser, clip=0.01))
    torch.testing.assert_close(torch.stack(norms), torch.full((2,), 0.01), rtol=1e-3, atol=0)


def test_what_makes_no_optimiser_is_told(plain):
    with pytest.raises(PluginError, match="the recipe's optimiser made a float"):
        trainer(plain).run(Net(), cross_entropy, Recipe(optimiser=lambda network: 0.1))


def test_options_are_no_recipe(plain):
    from harness.contract.options import TrainingOptions

    with pytest.raises(PluginError, match=r"handed a TrainingOptions, not a harness.Recipe: .*options.recipe\(\)"):
        trainer(plain).run(Net(), cross_entropy, TrainingOptions())


# ── several networks ──────────────────────────────────────────────────────────────────────────────


def two_networks() -> nn.ModuleDict:
    return nn.ModuleDict({"one": Net(), "other": Net()})


def both(networks, batch):
    losses = [cross_entropy(networks[name], batch)["loss"] for name in ("one", "other")]
    return {"loss": losses[0] + 2 * losses[1]}


def separate(networks):
    return {name: torch.optim.SGD(networks[name].parameters(), 0.05) for name in ("one", "other")}


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_several_networks_with_an_optimiser_each_are_resumed_bit_for_bit(tiny, tmp_path, precision):
    recipe = Recipe(Length(epochs=3), separate)
    whole, stopped = two_networks(), two_networks()
    hardware = choose_hardware("cpu", precision, 1)
    Trainer(tiny.train, tiny.spec, hardware, seed=1).run(whole, both, recipe)

    def stop(event):
        if isinstance(event, EpochDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(tiny.train, tiny.spec, hardware, 1, tmp_path, stop).run(stopped, both, recipe)
    resumed = two_networks()
    Trainer(tiny.train, tiny.spec, hardware, 1, tmp_path).run(resumed, both, recipe)
    assert same(state(whole), state(resumed))
    assert not same(state(whole), state(two_networks()))


def test_networks_in_a_list_are_trained_too(tiny):
    networks = nn.ModuleList([Net(), Net()])
    before = state(networks)
    trainer(tiny).run(networks, lambda n, b: {"loss": cross_entropy(n[0], b)["loss"]}, Recipe(**SHORT))
    assert {name.partition(".")[0] for name in moved(networks, before)} == {"0"}


def test_losses_take_turns_each_with_its_optimiser(plain):
    """A critic that moves first and a network that moves against it, beside the same by hand."""
    start = {"critic": nn.Linear(4, 1), "network": nn.Linear(3, 4)}

    def pair():
        made = nn.ModuleDict({"critic": nn.Linear(4, 1), "network": nn.Linear(3, 4)})
        made.load_state_dict(nn.ModuleDict(start).state_dict())
        return made

    def value(networks, batch):
        return networks["critic"](networks["network"](batch.images.mean((2, 3)))).square().mean()

    losses = {
        "critic": lambda networks, batch: {"loss": value(networks, batch)},
        "network": lambda networks, batch: {"loss": -value(networks, batch)},
    }

    def optimisers(networks):
        return {name: torch.optim.SGD(networks[name].parameters(), 0.1) for name in ("critic", "network")}

    ours, by_hand, seen = pair(), pair(), []

    def first(networks, batch):
        seen.append(batch)
        return losses["critic"](networks, batch)

    loop = trainer(plain)
    loop.run(ours, {"critic": first, "network": losses["network"]}, Recipe(Length(steps=1), optimisers))
    for name, optimiser in optimisers(by_hand).items():
        by_hand.zero_grad()
        losses[name](by_hand, seen[0])["loss"].backward()
        optimiser.step()
    for name, expected in by_hand.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], expected)
    (row,) = loop.history
    assert row["loss"] == pytest.approx(row["critic_loss"] + row["network_loss"])


def test_losses_without_optimisers_of_their_names_are_told(plain):
    with pytest.raises(PluginError, match="there are a, b, and optimisers without names"):
        trainer(plain).run(Net(), {"a": cross_entropy, "b": cross_entropy}, Recipe(**SHORT))


def test_losses_in_turns_are_refused_in_several_processes(plain):
    with pytest.raises(HarnessError, match="use --devices 1"):
        trainer(plain, devices=2).run(two_networks(), {"one": both, "other": both}, Recipe(Length(epochs=1), separate))


# ── views and copies are counted ──────────────────────────────────────────────────────────────────


def test_images_seen_are_those_of_all_views_and_copies(tiny):
    forwarded = []

    def loss(network, batch: Batch):
        images = torch.cat([batch.images, batch.images.flip(3)])
        forwarded.append(len(images))
        logits = network(images)
        return {"loss": nn.functional.cross_entropy(logits, batch.labels.repeat(2 * batch.views))}

    loop = trainer(tiny)
    loop.run(Net(), loss, Recipe(Length(images=1000), SHORT["optimiser"], views=3, copies=2))
    assert loop.images_seen == sum(forwarded) == 3 * 64 * 6  # 2.6 steps of 384 images, rounded up


def test_labels_that_are_not_repeated_for_all_views_are_told_with_the_remedy(tiny):
    with pytest.raises(PluginError) as caught:
        trainer(tiny).run(Net(), cross_entropy, Recipe(**SHORT, views=2))
    assert str(caught.value) == (
        "ValueError: Expected input batch_size (128) to match target batch_size (64). This batch has 128 images, 2 "
        "views of each, and 64 labels: write batch.labels.repeat(batch.views) for those of all views"
    )


@pytest.mark.parametrize(("views", "message"), [(1, "of 64 and 32"), (2, "of 64 and 32"), (2, "no sizes")])
def test_other_mistakes_in_a_loss_speak_for_themselves(tiny, views, message):
    def loss(network, batch):
        raise ValueError(message)

    with pytest.raises(ValueError, match=message):
        trainer(tiny).run(Net(), loss, Recipe(**SHORT, views=views))


# ── selection ─────────────────────────────────────────────────────────────────────────────────────


def test_training_ends_when_validation_has_not_improved_for_as_long_as_patience(tiny, tmp_path):
    accuracies, asked, states = iter([0.2, 0.6, 0.5, 0.4, 0.9]), [], []

    def validate(network, selection):
        asked.append(selection)
        states.append(state(network))
        return next(accuracies)

    recipe = Recipe(Length(epochs=5), SHORT["optimiser"], selection=Selection(n_way=3, k_shot=2, patience=2))
    network, loop = Net(), trainer(tiny, tmp_path, validate=validate)
    loop.run(network, cross_entropy, recipe)
    assert [row["val_accuracy"] for row in loop.history] == [0.2, 0.6, 0.5, 0.4]
    assert asked == [recipe.selection] * 4
    assert same(state(network), states[1])

    again = Net()  # from the checkpoint of the fourth epoch: over, and the best is kept
    trainer(tiny, tmp_path, validate=validate).run(again, cross_entropy, recipe)
    assert len(asked) == 4
    assert same(state(again), states[1])


def test_the_epoch_of_the_lowest_validation_loss_is_kept(tiny, tmp_path):
    losses, states = iter([1.5, 0.7, 0.9]), []

    def validate(network, selection):
        states.append(state(network))
        return next(losses)

    options = GradientOptions(epochs=3, selection="best-val-loss", patience=3)
    recipe = options.recipe(optimiser=SHORT["optimiser"], batches=ShuffledBatches(64))
    assert recipe.selection == Selection(patience=3, measure="loss")
    network, loop = Net(), trainer(tiny, tmp_path, validate=validate)
    loop.run(network, cross_entropy, recipe)
    assert [row["val_loss"] for row in loop.history] == [1.5, 0.7, 0.9]
    assert not any("val_accuracy" in row for row in loop.history)
    assert same(state(network), states[1])
