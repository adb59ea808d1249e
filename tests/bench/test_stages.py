"""Stages with several parents, and stages that read what does not decide them: in a bench."""

from __future__ import annotations

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file

import harness
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobDone, Note, OptionsRead
from harness.networks.learners import ClassifierNetwork
from harness.reports.build import build_report
from tests.helpers.bench import happened, weights
from tests.helpers.contract import build, cross_entropy, fit
from tests.helpers.plugins import offering


class Options(harness.TrainingOptions):
    sharpness: float = Field(1.0, description="what the ensemble's logits are multiplied by")
    members: int = Field(2, description="how many there are")


class Ensemble(torch.nn.Module):
    def __init__(self, context):
        super().__init__()
        self.members = torch.nn.ModuleList(ClassifierNetwork(context) for _ in range(context.options.members))

    def embed(self, images):
        return torch.cat([member.embed(images) for member in self.members], dim=1)


def join(context, learner):
    for member, parent in zip(learner.members, context.parents, strict=True):
        member.load_state_dict(parent.state_dict())
        assert not any(weight.requires_grad for weight in parent.parameters())
    assert context.options.sharpness
    context.trainer.account(images=1)


def ensemble(**about):
    def stages(options):
        names = [f"member-{i}" for i in range(1, options.members + 1)]
        members = [harness.Stage(name, build, fit, reads=harness.TRAINING_READS) for name in names]
        joined = {"parents": tuple(names), "reads": ("sharpness", "members"), **about}
        return [*members, harness.Stage("all", Ensemble, join, **joined)]

    return harness.MethodSpec("team", "an ensemble", "", Options, stages, head=harness.Head("cosine"))


@pytest.fixture
def team(catalogue):
    def offer(spec):
        catalogue.add("team-plugin", offering(harness_methods=[spec]))

    return offer


def test_an_ensemble_starts_from_all_its_members_which_differ(run_bench, team, tmp_path):
    team(ensemble())
    record = run_bench(methods=("team",))
    one, two, joined = record.tables[0].stages
    assert (one.parents, two.parents, joined.parents) == ((), (), (one.key, two.key))
    found = [load_file(tmp_path / "runs" / stage.folder / "weights.safetensors") for stage in (one, two, joined)]
    assert not torch.equal(found[0]["classifier.weight"], found[1]["classifier.weight"])
    for number in range(2):
        for name, value in found[number].items():
            assert torch.equal(found[2][f"members.{number}.{name}"], value)


def test_a_row_costs_what_all_its_ancestors_cost_once(run_bench, catalogue, tmp_path):
    """A diamond: two students of one teacher, joined."""

    def stages(options):
        named = {"reads": harness.TRAINING_READS}
        return [
            harness.Stage("teacher", build, fit, **named),
            harness.Stage("left", build, fit, parents=("teacher",), **named),
            harness.Stage("right", build, fit, parents=("teacher",), **named),
            harness.Stage("all", Ensemble, join, parents=("left", "right")),
        ]

    spec = harness.MethodSpec("diamond", "a diamond", "", Options, stages, head=harness.Head("cosine"))
    catalogue.add("diamond-plugin", offering(harness_methods=[spec]))
    record = run_bench(methods=("diamond",), rows=("*/all",))
    (row,) = build_report([(tmp_path / "runs", record)]).tables[0].rows
    assert row.images_seen == 3 * 320 + 1


def test_a_stage_fails_with_any_of_its_parents_and_names_it(run_bench, team):
    def broken(options):
        one, two, joined = ensemble().stages(options)

        def stop(context, learner):
            raise RuntimeError("out of luck")

        return [one, harness.Stage(two.name, build, stop), joined]

    team(harness.MethodSpec("team", "an ensemble", "", Options, broken, head=harness.Head("cosine")))
    events = []
    run_bench(observe=events.append, methods=("team",))
    outcomes = {job.stage: event.outcome for job, event in happened(events, JobDone)}
    assert isinstance(outcomes["member-1"], StageResult)
    assert outcomes["all"].error == "its parent team/member-2 failed: RuntimeError: out of luck"


def test_members_are_shared_by_a_sweep_over_what_they_do_not_read(run_bench, team, tmp_path):
    team(ensemble())
    run_bench(methods=("team",), sweep={"team.sharpness": (1.0, 2.0)})
    assert sorted(name.split("-seed")[0] for name in weights(tmp_path / "runs")) == [
        "team-all",
        "team-all",
        "team-member-1",
        "team-member-2",
    ]


def test_reading_what_does_not_decide_a_stage_stops_the_bench_of_it(run_bench, team):
    team(ensemble(reads=("members",)))
    events = []
    run_bench(observe=events.append, methods=("team",))
    (failed,) = [e.outcome for _, e in happened(events, JobDone) if isinstance(e.outcome, StageFailure)]
    assert failed.error.startswith(
        "team/all reads the option 'sharpness', which neither its Stage.reads nor a parent's"
    )


def test_options_kept_from_stages_count_as_read_by_the_stage_that_reads_them(run_bench, catalogue):
    def stages(options):
        def keeping(context, learner):
            assert options.sharpness
            fit(context, learner)

        return [harness.Stage("only", build, keeping, reads=harness.TRAINING_READS)]

    spec = harness.MethodSpec("keeper", "keeps its options", "", Options, stages, head=harness.Head("cosine"))
    catalogue.add("keeper-plugin", offering(harness_methods=[spec]))
    (stage,) = run_bench(methods=("keeper",)).tables[0].stages
    assert "keeper/only reads the option 'sharpness'" in stage.failure


def test_without_reads_every_option_decides_and_what_is_read_is_told(run_bench, catalogue, tmp_path):
    stage = harness.Stage("only", build, lambda context, learner: fit(context, learner))
    spec = harness.MethodSpec("plain", "plain", "", Options, lambda options: [stage], head=harness.Head("cosine"))
    catalogue.add("plain-plugin", offering(harness_methods=[spec]))
    events = []
    run_bench(observe=events.append, methods=("plain",), sweep={"plain.sharpness": (2.0, 3.0)})
    assert len(weights(tmp_path / "runs")) == 2
    for _, event in happened(events, OptionsRead):
        assert {"images", "learning_rate", "batch_size"} <= event.names
        assert "sharpness" not in event.names
    assert [event.text for event in events if isinstance(event, Note)] == [
        f"plain sharpness={value}: no stage reads the option sharpness with these values: setting it changes nothing"
        for value in ("2.0", "3.0")
    ]


def test_an_option_that_is_set_and_read_nowhere_is_told_trained_or_not(run_bench, team):
    """momentum is SGD's; ``members`` decides which stages there are; ``sharpness`` is read by one of three."""
    team(ensemble())
    values = {"team.optimiser": "adam", "team.momentum": 0.5, "team.members": 1, "team.sharpness": 2.0}
    events, again = [], []
    run_bench(observe=events.append, methods=("team",), set=values)
    assert [event.text for event in events if isinstance(event, Note)] == [
        "team: no stage reads the option momentum with these values: setting it changes nothing"
    ]
    run_bench(observe=again.append, methods=("team",), set=values)  # nothing is trained, so nobody can tell
    assert [event for event in again if isinstance(event, Note)] == []


def test_an_option_that_no_stage_names_is_told_without_a_training(run_bench, catalogue):
    stage = harness.Stage("only", build, fit, reads=harness.TRAINING_READS)
    spec = harness.MethodSpec("named", "named", "", Options, lambda options: [stage], head=harness.Head("cosine"))
    catalogue.add("named-plugin", offering(harness_methods=[spec]))
    run_bench(methods=("named",))
    events = []
    run_bench(observe=events.append, methods=("named",), set={"named.sharpness": 2.0})
    assert all(event.reused for _, event in happened(events, JobDone))
    assert [event.text for event in events if isinstance(event, Note)] == [
        "named: no stage reads the option sharpness with these values: setting it changes nothing"
    ]


class Sharpened(ClassifierNetwork):
    """Reads an option where it embeds, after its training."""

    def __init__(self, context):
        super().__init__(context)
        self.options = context.options

    def embed(self, images):
        return self.options.sharpness * super().embed(images)


def test_an_option_that_only_scoring_reads_counts_as_read(run_bench, catalogue):
    stage = harness.Stage("only", Sharpened, fit)
    spec = harness.MethodSpec("late", "reads late", "", Options, lambda options: [stage], head=harness.Head("cosine"))
    catalogue.add("late-plugin", offering(harness_methods=[spec]))
    events = []
    (record,) = run_bench(observe=events.append, methods=("late",), set={"late.sharpness": 2.0}).tables[0].stages
    assert record.failure is None
    assert [event for event in events if isinstance(event, Note)] == []


def test_selection_on_validation_asks_for_the_recipes_own_protocol(run_bench, catalogue):
    asked = []

    def choosing(context, learner):
        recipe = context.options.recipe(selection=harness.Selection(n_way=3, k_shot=2, n_episodes=17, patience=1))
        validate = context.trainer.validate

        def note(network, selection):
            asked.append((selection, validate(network, selection)))
            return asked[-1][1]

        context.trainer.validate = note
        context.trainer.run(learner, cross_entropy, recipe)

    stage = harness.Stage("only", build, choosing)
    spec = harness.MethodSpec("chooser", "chooses", "", Options, lambda options: [stage], head=harness.Head("cosine"))
    catalogue.add("chooser-plugin", offering(harness_methods=[spec]))
    (record,) = run_bench(methods=("chooser",)).tables[0].stages
    assert record.failure is None
    assert {(s.n_way, s.k_shot, s.n_episodes) for s, _ in asked} == {(3, 2, 17)}
    assert all((accuracy * 17 * 3 * 15) == pytest.approx(round(accuracy * 17 * 3 * 15)) for _, accuracy in asked)
