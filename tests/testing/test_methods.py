"""harness/testing: a method that breaks the contract is found, and its promise named."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import harness
from harness.common.errors import PluginError
from harness.common.randomness import seeded
from harness.contract.options import TRAINING_READS
from harness.networks.learners import ClassifierNetwork, FeatureNetwork
from harness.testing import check_method, method_checks
from tests.helpers.contract import SHORT, cross_entropy, fit, method, refused


def test_a_method_that_keeps_the_contract_passes():
    check_method(method(), options=SHORT)


def test_each_check_is_a_line_and_a_failed_training_ends_them():
    def fit(context, learner):
        raise RuntimeError("out of\nluck")

    checks = list(method_checks(method(fit=fit), options=SHORT))
    assert [check.problem for check in checks[:-1]] == [None] * (len(checks) - 1)
    assert checks[-1].problem == "only: RuntimeError: out of luck"
    assert "Traceback" in checks[-1].details


def test_training_leaves_the_threads_of_torch_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(method_checks(method(), options=SHORT))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_option_without_a_description_is_found():
    class Bare(harness.TrainingOptions):
        noise: float = 0.0

    assert "the option 'noise' has no description" in refused(method(options=Bare))


def test_a_head_that_nothing_installed_offers_is_found():
    assert "Did you mean 'cosine'" in refused(method(head=harness.Head("cosin")))
    assert "unknown feature transform" in refused(method(head=harness.Head("cosine", "l3")))


def test_a_preset_that_some_dataset_cannot_use_is_found():
    presets = {"quick": harness.Preset("fast", {}, {"glyphs": {"epochs": -1}})}
    assert "mine.epochs = -1" in refused(method(presets=presets))


def test_a_preset_without_a_description_is_found():
    assert "preset 'quick' has no description" in refused(method(presets={"quick": harness.Preset("")}))


def test_a_module_that_imports_torch_is_found(tmp_path, monkeypatch):
    (tmp_path / "heavy_method.py").write_text(
        "import torch, harness\n"
        "def stages(options): return [harness.Stage('only', lambda context: torch.nn.Identity())]\n"
        "SPEC = harness.MethodSpec('heavy', 'imports torch', '', harness.MethodOptions, stages)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import heavy_method

    assert "importing it imports no torch: no: importing heavy_method does" in refused(heavy_method.SPEC)


def test_a_fit_that_trains_nothing_is_found():
    assert "only.fit changes no weight" in refused(method(fit=lambda context, learner: None))


def test_parameters_that_nothing_trains_are_named_in_a_check_that_passes():
    def omitting(context, learner):
        def optimiser(network):
            return torch.optim.SGD(network.backbone.parameters(), 0.01)

        context.trainer.run(learner, cross_entropy, context.options.recipe(optimiser=optimiser))

    claims = [check.claim for check in passed(method(fit=omitting))]
    assert (
        "training changes the weights and leaves them finite (but not only: classifier.weight, classifier.bias: "
        "no optimiser holds these, or no loss depends on them)"
    ) in claims
    assert "training changes the weights and leaves them finite" in [check.claim for check in passed(method())]


def test_options_that_a_stage_did_not_read_are_named_apart():
    def adam(context, learner):
        def optimiser(network):
            return torch.optim.Adam(network.parameters(), context.options.learning_rate)

        context.trainer.run(
            learner, cross_entropy, context.options.recipe(optimiser=optimiser, schedule=harness.cosine)
        )

    reads = ("images", "learning_rate", "batch_size", "selection", "patience", "schedule", "momentum")
    (claim,) = [check.claim for check in passed(method(fit=adam, reads=reads)) if "decide it" in check.claim]
    assert claim == (
        "the options that only reads decide it: images, learning_rate, selection, patience, batch_size (not read this "
        "time: momentum, schedule; another value of one of these trains it again, unless Stage.reads leaves it out)"
    )


def passed(spec):
    """The checks of a short training as far as the options that are read, all of which pass."""
    checks = list(itertools.islice(method_checks(spec, options=SHORT), 10))
    assert [check.problem for check in checks] == [None] * 10
    return checks


def test_weights_that_are_not_finite_are_found():
    def broken(context, learner):
        fit(context, learner)
        learner.classifier.bias.data[0] = torch.nan

    assert "only: classifier.bias is NaN or infinite" in refused(method(fit=broken))


def test_a_look_at_the_dataset_is_found():
    def peek(context, learner):
        context.dataset.open(harness.DataRequest(Path()))
        fit(context, learner)

    assert "only opens the dataset while it trains" in refused(method(fit=peek))


@pytest.mark.parametrize(
    ("touch", "what"),
    [
        (lambda: torch.manual_seed(5), "torch's generator"),
        (lambda: np.random.rand(), "numpy's global generator"),  # noqa: NPY002
        (lambda: __import__("random").random(), "python's global generator"),
    ],
)
def test_a_touch_of_global_randomness_is_found(touch, what):
    def careless(context, learner):
        touch()
        fit(context, learner)

    with torch.random.fork_rng(), _numpy_and_python_kept():
        told = refused(method(fit=careless))
    assert f"only changes {what}: draw from harness.numpy_generator or harness.torch_generator, or inside" in told
    assert "harness.seeded" in told


class _numpy_and_python_kept:
    def __enter__(self):
        import random

        self.states = np.random.get_state(), random.getstate()  # noqa: NPY002

    def __exit__(self, *about):
        import random

        np.random.set_state(self.states[0])  # noqa: NPY002
        random.setstate(self.states[1])


def test_a_setting_of_torch_that_stays_changed_is_found():
    def careless(context, learner):
        torch.backends.cudnn.benchmark = True
        fit(context, learner)

    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        torch.backends.cudnn.benchmark = False
        assert "only changes cuDNN's settings" in refused(method(fit=careless))
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before


def test_an_option_that_is_read_but_not_named_is_found():
    def noisy(context, learner):
        assert context.options.noise == 0
        fit(context, learner)

    assert "mine/only reads the option 'noise', which neither its Stage.reads" in refused(method(fit=noisy))
    check_method(method(fit=noisy, reads=(*TRAINING_READS, "noise")), options=SHORT)


def test_an_option_that_a_copy_replaces_counts_as_unread():
    def replacing(context, learner):
        context.trainer.run(learner, cross_entropy, context.options.model_copy(update={"learning_rate": 0.02}).recipe())

    reads = tuple(name for name in TRAINING_READS if name != "learning_rate")
    check_method(method(fit=replacing, reads=reads), options=SHORT)
    assert "reads the option 'learning_rate'" in refused(method(reads=reads))


def test_a_budget_that_is_ignored_is_found():
    def endless(context, learner):
        context.trainer.run(learner, cross_entropy, context.options.recipe(length=harness.Length(images=5000)))

    with pytest.raises(PluginError, match="asked for 800 images, only counts 5,0"):
        check_method(method(fit=endless))


def test_what_is_learned_outside_the_weights_is_found():
    class Scaled(ClassifierNetwork):
        scale = 1.0

        def embed(self, images):
            return super().embed(images) * self.scale

    def scaling(context, learner):
        fit(context, learner)
        learner.scale = 3.0

    assert "keep what it learns in parameters and buffers" in refused(method(lambda context: Scaled(context), scaling))


def test_randomness_without_a_seed_is_found():
    rng = np.random.default_rng(1)

    def fresh(context, learner):
        fit(context, learner)
        learner.classifier.bias.data += float(rng.random())

    assert "two trainings with seed 0 differ: take all randomness from harness.numpy_generator" in refused(
        method(fit=fresh)
    )


def test_a_training_that_forgets_where_it_was_is_found():
    def counting(context, learner):
        steps = 0

        def loss(network, batch):
            nonlocal steps
            steps += 1
            return {"loss": cross_entropy(network, batch)["loss"] * (1 if steps < 10 else 0)}

        context.trainer.run(learner, loss, context.options.recipe())

    assert "stopped after an epoch and resumed, it ends elsewhere" in refused(method(fit=counting), images=1000)


def test_a_seed_that_decides_nothing_is_found():
    def always_the_same(context):
        with seeded(0):
            return FeatureNetwork(context)

    assert "seeds 0 and 1 give the same weights" in refused(method(always_the_same, None, reads=()))
