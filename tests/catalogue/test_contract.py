"""harness/catalogue/catalogue.py: what a plugin may offer, under which names, and what it is told."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import harness
from harness.catalogue.catalogue import Catalogue
from harness.common.errors import HarnessError, PluginError, UnknownName
from harness.contract.hooks import hookimpl
from tests.helpers.plugins import a_method, offering, reason

# ── the contract ──────────────────────────────────────────────────────────────────────────────────


def test_a_hook_that_raises_is_a_reason():
    def broken():
        raise RuntimeError("no GPU here")

    assert reason(offering(harness_methods=broken)) == "RuntimeError: no GPU here"


def test_a_hook_that_raises_a_harness_error_speaks_for_itself():
    def broken():
        raise HarnessError("learn2learn is not installed. Run: pip install learn2learn")

    assert reason(offering(harness_methods=broken)) == "learn2learn is not installed. Run: pip install learn2learn"


def test_none_of_a_plugin_counts_where_one_hook_is_wrong():
    plugin = offering(harness_methods=[a_method("fine")], harness_datasets=["not a spec"])
    assert reason(plugin) == "harness_datasets() returned a str, not a DatasetSpec"


def test_a_single_spec_must_be_put_into_a_list():
    assert reason(offering(harness_methods=a_method())) == "harness_methods() returned a MethodSpec: put it into a list"


def test_a_hook_may_return_nothing_or_a_generator():
    plugins = [("none", offering(harness_methods=None)), ("some", offering(harness_methods=lambda: iter([a_method()])))]
    catalogue = Catalogue(plugins)
    assert catalogue.broken == []
    assert list(catalogue.methods) == ["mine"]


def test_one_distribution_may_bring_several_plugins_of_which_one_is_broken():
    plugins = [offering(harness_methods=[a_method("one")]), offering(harness_methods=5), offering(harness_methods=[])]
    catalogue = Catalogue([])
    for name, plugin in zip(("first", "second", "third"), plugins, strict=True):
        catalogue.add("harness-both", plugin, name)
    assert list(catalogue.methods) == ["one"]
    assert [(broken.plugin, broken.name) for broken in catalogue.broken] == [("harness-both", "second")]


def test_a_misspelt_hook_is_told_with_a_suggestion():
    assert "unknown hook 'harness_method'. Did you mean 'harness_methods'?" in reason(offering(harness_method=[]))


def test_a_hook_without_its_decorator_is_told():
    plugin = SimpleNamespace(harness_methods=lambda: [a_method()])
    assert reason(plugin) == "harness_methods() lacks its decorator: put @harness.hookimpl above it"


def test_an_argument_that_a_hook_does_not_have_is_told():
    @hookimpl
    def harness_stage_done(label, acuracy):
        return None

    assert "acuracy" in reason(SimpleNamespace(harness_stage_done=harness_stage_done))


class Undescribed(harness.MethodOptions):
    alpha: float = 1.0


def stages_named(*names, **about):
    return lambda options: [harness.Stage(name, lambda context: None, **about) for name in names]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (a_method("a name"), "the name 'a name' may hold letters, digits"),
        (a_method("skd/gen0"), "the name 'skd/gen0' may hold"),
        (a_method(options=dict), "options must be a subclass of harness.MethodOptions"),
        (
            a_method(options=Undescribed),
            "the option 'alpha' has no description: write it as alpha: … = Field(…, description=\"…\")",
        ),
        (a_method(stages=lambda options: []), "mine: no stages"),
        (a_method(stages=stages_named("one", "one")), "two stages are named 'one'"),
        (a_method(stages=stages_named("one", parents=("two",))), "its parent 'two' is no earlier stage"),
        (a_method(stages=stages_named("one", parents="two")), r"parents is a tuple of names: write ('two',)"),
        (a_method(stages=stages_named("one", reads="epochs")), r"reads is a tuple of names: write ('epochs',)"),
        (a_method(stages=stages_named("one", reads=("epoch",))), "unknown option read by mine/one 'epoch'"),
        (a_method(presets={"quick": harness.Preset("", {"alfa": 1})}), "unknown option of mine 'alfa'"),
    ],
)
def test_a_spec_that_breaks_the_contract_is_told(method, message):
    assert message in reason(offering(harness_methods=[method]))


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_that_two_plugins_offer_is_refused_for_both():
    plugins = [
        (name, offering(harness_methods=[a_method(), a_method(f"of-{name}")])) for name in ("one", "two", "three")
    ]
    catalogue = Catalogue(plugins)
    assert list(catalogue.methods) == ["of-one", "of-two", "of-three"]
    with pytest.raises(PluginError, match="method 'mine' is offered by one and again by three: uninstall one of them"):
        catalogue.method("mine")
    assert [broken.name for broken in catalogue.broken] == ["mine", "mine"]


def test_a_name_that_one_plugin_offers_three_times_is_refused():
    catalogue = Catalogue([("one", offering(harness_methods=[a_method(), a_method(), a_method()]))])
    assert not catalogue.methods
    assert "one of them needs another name" in catalogue.broken[0].reason


def test_the_same_name_may_be_a_method_and_a_classifier():
    plugin = offering(
        harness_methods=[a_method("cosine")],
        harness_classifiers=[harness.ClassifierSpec("cosine", "cosines", lambda: None)],
    )
    catalogue = Catalogue([("one", plugin)])
    assert catalogue.method("cosine").name == catalogue.classifier("cosine").name


def test_a_method_may_hold_a_plus_where_between_transforms_it_means_a_chain():
    plugin = offering(harness_methods=[a_method("baseline++")])
    assert list(Catalogue([("one", plugin)]).methods) == ["baseline++"]
    chained = harness.TransformSpec("centre+l2", "two", lambda: None)
    assert "may hold letters, digits, '.', '_' and '-' only" in reason(offering(harness_transforms=[chained]))


def test_an_unknown_name_comes_with_a_suggestion_and_with_what_is_there():
    catalogue = Catalogue([("one", offering(harness_methods=[a_method("protonet"), a_method("skd")]))])
    with pytest.raises(UnknownName) as caught:
        catalogue.method("ProtoNett")
    assert str(caught.value) == "unknown method 'ProtoNett'. Did you mean 'protonet'? Installed: protonet, skd"
    with pytest.raises(UnknownName) as caught:
        catalogue.method("x")
    assert str(caught.value) == "unknown method 'x'. Installed: protonet, skd"


def test_arguments_stand_behind_a_colon_where_a_spec_takes_one():
    catalogue = Catalogue.discover()
    spec, argument = catalogue.backbone("timm:resnet18.a1_in1k")
    assert (spec.name, argument) == ("timm", "resnet18.a1_in1k")
    spec, argument = catalogue.dataset("folder:/data/a:b")
    assert (spec.name, argument) == ("folder", "/data/a:b")
    assert catalogue.backbone("conv4")[1] is None
    for wrong in ("timm", "timm:", "conv4:wide"):
        with pytest.raises(HarnessError, match=f"backbone '{wrong}': write it as"):
            catalogue.backbone(wrong)


# ── notifying ─────────────────────────────────────────────────────────────────────────────────────


class Tracker:
    """A plugin that notes what it is told."""

    def __init__(self, fails=False):
        self.told = []
        self.fails = fails

    @hookimpl
    def harness_epoch_done(self, label, epoch):
        self.told.append((label, epoch))
        print("tracked")  # noqa: T201
        if self.fails:
            raise OSError("the tracker is away")

    @hookimpl
    def harness_stage_done(self, stage, result):
        self.told.append((stage, result))


EPOCH = {"label": "rfs", "stage": "simple", "seed": 0, "metrics": {"loss": 1.0}}


def test_trackers_are_told_what_they_ask_for_and_print_nowhere_that_matters(capsys):
    tracker = Tracker()
    catalogue = Catalogue([("tracker", tracker)])
    catalogue.notify("harness_epoch_done", pytest.fail, epoch=3, **EPOCH)
    assert tracker.told == [("rfs", 3)]
    assert capsys.readouterr().out == ""


def test_a_tracker_that_raises_is_reported_once_and_switched_off_alone():
    failing, other = Tracker(fails=True), Tracker()
    catalogue = Catalogue([("failing", failing), ("other", other)])
    reports = []
    for epoch in (1, 2, 3):
        catalogue.notify("harness_epoch_done", reports.append, epoch=epoch, **EPOCH)
    catalogue.notify("harness_stage_done", reports.append, label="rfs", stage="simple", seed=0, result="done")
    assert reports == ["failing: harness_epoch_done failed and is switched off: OSError: the tracker is away"]
    assert failing.told == [("rfs", 1), ("simple", "done")]
    assert other.told == [("rfs", 1), ("rfs", 2), ("rfs", 3), ("simple", "done")]


def test_a_tracker_that_exits_does_not_end_the_bench():
    @hookimpl
    def harness_epoch_done():
        sys.exit(1)

    reports = []
    catalogue = Catalogue([("quitter", SimpleNamespace(harness_epoch_done=harness_epoch_done))])
    catalogue.notify("harness_epoch_done", reports.append, epoch=1, **EPOCH)
    assert reports == ["quitter: harness_epoch_done failed and is switched off: SystemExit: 1"]


# ── every kind ────────────────────────────────────────────────────────────────────────────────────


def test_a_plugin_may_offer_every_kind(tmp_path):
    from harness.reports import format_of
    from harness.reports.model import Report
    from harness.testing import tiny_dataset

    plugin = offering(
        harness_datasets=[tiny_dataset().spec],
        harness_backbones=[harness.BackboneSpec("flat", "one layer", lambda request: None)],
        harness_methods=[a_method()],
        harness_classifiers=[harness.ClassifierSpec("guess", "chance", lambda: None)],
        harness_reporters=[harness.ReporterSpec("count", "a number", lambda r: f"{len(r.tables)}\n", (".count",))],
    )
    catalogue = Catalogue([("everything", plugin)])
    assert catalogue.broken == []
    assert catalogue.dataset("contract")[0].open(harness.DataRequest(tmp_path)).test.n_classes == 6
    assert catalogue.backbone("flat") == (catalogue.backbones["flat"], None)
    assert catalogue.method("mine").head == harness.Head()
    assert catalogue.classifier("guess").title == "chance"
    assert catalogue.reporter("count").render(Report([])) == "0\n"
    assert format_of(tmp_path / "table.count", catalogue.reporters) == "count"
    assert format_of(tmp_path / "TABLE.COUNT", catalogue.reporters) == "count"
    assert format_of(tmp_path / "table", catalogue.reporters) == "markdown"
    with pytest.raises(UnknownName, match=r"unknown ending of a report's file '\.docx'"):
        format_of(tmp_path / "table.docx", catalogue.reporters)
