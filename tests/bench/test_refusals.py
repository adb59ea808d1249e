"""harness/bench/bench.py: what cannot be is one line before any training."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from harness.common.errors import DataError, HarnessError, PluginError, RunsError, UnknownName
from harness.contract.methods import Stage
from harness.networks.backbones.conv4 import Conv4
from tests.helpers.bench import weights


def test_an_unwritable_output_is_told_in_one_line(run_bench, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunsError, match=r"cannot write to .*file"):
        run_bench(output=blocked / "runs")


def test_a_baseline_that_is_no_row_is_refused_before_any_training(run_bench, tmp_path):
    with pytest.raises(UnknownName, match=r"'rfs/simpel'\. Did you mean 'rfs/simple'"):
        run_bench(baseline="rfs/simpel")
    assert not weights(tmp_path / "runs")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"way": (9,)}, "7"),
        ({"queries": 40}, "class"),
        ({"dataset": ("tiney",)}, "Did you mean 'tiny'"),
        ({"dataset": ("./photos",)}, "For your own images there, write folder:./photos"),
        ({"dataset": ("~/photos",)}, "write folder:~/photos"),
        ({"split": "60/20/20"}, "--split: for folder:PATH alone; tiny has a split of its own"),
        ({"skip_damaged": True}, "--skip-damaged: for folder:PATH alone"),
        ({"methods": ("rfz",)}, "Did you mean 'rfs'"),
        ({"backbone": "conv5"}, "Did you mean 'conv4'"),
        ({"classifier": "cosin"}, "Did you mean 'cosine'"),
        ({"preset": "papr"}, "Did you mean 'paper'"),
        ({"set": {"rfs.generation": 1}}, "Did you mean 'generations'"),
        ({"set": {"skd.alpha": 1}}, "label in --set 'skd'"),
        ({"set": {"rfs.temperature": "hot"}}, "rfs.temperature"),
        ({"methods": ("rfs", "rfs:paper")}, "two methods are labelled 'rfs'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run_bench, tmp_path, values, message):
    with pytest.raises(HarnessError) as caught:
        run_bench(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("stages/*"))


# ── backbones and their weights ───────────────────────────────────────────────────────────────────


def conv4_file(path, size=16, channels=3):
    torch.save({"opt": argparse.Namespace(a=1), "model": Conv4(size, channels).state_dict()}, path)
    return str(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": "nothing.pth"}, "--weights nothing.pth: no such file"),
        ({"weights": "rfs=nothing.pth"}, "--weights rfs=nothing.pth: no such file as nothing.pth"),
        ({"weights": "rsf=pretrained"}, "label in --weights 'rsf'. Did you mean 'rfs'"),
        ({"weights": "pixels=pretrained"}, "Labels with a backbone: rfs, skd, untrained"),
        ({"weights": "rfs="}, "--weights 'rfs=': write it as FILE or LABEL=FILE"),
        ({"weights": "rfs=pretrained,rfs=pretrained"}, "two for rfs"),
        ({"weights": "pretrained,skd=pretrained,pretrained"}, "two for the rest"),
        ({"weights": "pretrained"}, "the backbone conv4 has none. It is for timm"),
        ({"weights": "pretrained", "backbone": "timm:resnt18"}, "Did you mean 'resnet18'"),
        ({"backbone": "timm:resnt18"}, "unknown timm model 'resnt18'. Did you mean 'resnet18'"),
        ({"backbone": "timm:inception_v3"}, "does not take images of 16×16 pixels"),
    ],
)
def test_a_backbone_that_cannot_be_is_one_line_before_any_training(run_bench, tmp_path, values, message):
    pytest.importorskip("timm")
    with pytest.raises(HarnessError) as caught:
        run_bench(methods=("rfs", "skd"), floors=True, **values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("stages/*/*"))


def test_weights_of_another_network_are_one_line_before_any_training(run_bench, tmp_path):
    file = conv4_file(tmp_path / "grey.pth", channels=1)
    with pytest.raises(DataError, match="1 have another shape"):
        run_bench(weights=file)
    assert not list((tmp_path / "runs").glob("stages/*/*"))


def test_weights_that_fit_are_told_once_and_trained_from(run_bench, tmp_path, caplog):
    file = conv4_file(tmp_path / "rfs.pth")
    record = run_bench(methods=("rfs",), floors=True, weights=file, seeds=(0, 1), rows=("untrained", "rfs/simple"))
    assert [stage.failure for stage in record.tables[0].stages] == [None] * 4
    told = [line for line in caplog.messages if "starts from" in line]
    assert told == [f"backbone conv4 starts from weights {file}: 28 tensors of 'model'"]
    untrained = [stage for stage in record.tables[0].stages if stage.row == "untrained"]
    kept = load_file(tmp_path / "runs" / untrained[0].folder / "weights.safetensors")
    saved = torch.load(file, weights_only=False)["model"]
    assert all(torch.equal(kept[f"backbone.{name}"], saved[name]) for name in saved if name.endswith("weight"))


# ── options that do not go with the data ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("methods", "set_", "message"),
    [
        (
            ("protonet",),
            {},
            "protonet on tiny: a training episode has train_way = 10 classes, but there are 8 base classes: "
            "--set protonet.train_way=5",
        ),
        (("pn=protonet",), {}, "--set pn.train_way=5"),
        (("protonet",), {"protonet.train_way": 5, "protonet.train_query": 22}, "--set protonet.train_query=19"),
    ],
)
def test_options_that_do_not_go_with_the_data_name_the_setting_that_does(run_bench, tmp_path, methods, set_, message):
    pytest.importorskip("learn2learn")
    with pytest.raises(HarnessError) as caught:
        run_bench(methods=methods, set=set_)
    assert message in str(caught.value)
    assert not list((tmp_path / "runs").glob("stages/*/*"))


def test_a_methods_check_sees_the_base_classes_and_never_the_test_split(run_bench, catalogue):
    seen = []
    catalogue.methods["rfs"] = replace(catalogue.methods["rfs"], check=lambda options, data: seen.append(data))
    run_bench(rows=("rfs/simple",))
    assert [(data.train.n_classes, data.val.n_classes, data.test) for data in seen] == [(8, 6, None)]


def test_a_methods_broken_check_is_the_plugins_fault(run_bench, catalogue):
    catalogue.methods["rfs"] = replace(catalogue.methods["rfs"], check=lambda options, data: 1 / 0)
    with pytest.raises(PluginError, match=r"rfs: check\(\) failed: ZeroDivisionError"):
        run_bench()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (lambda options: 1 / 0, "stages() failed: ZeroDivisionError"),
        (lambda options: None, "stages() failed: TypeError"),
        (lambda options: [3], "stages() returned a int"),
        (lambda options: [], "no stages"),
        (lambda options: [Stage("a", None), Stage("a", None)], "two stages are named 'a'"),
        (lambda options: [Stage("a", None, parents=("b",))], "its parent 'b' is no earlier stage"),
        (lambda options: [Stage("a", None, reads=("nope",))], "unknown option read by rfs/a 'nope'"),
    ],
)
def test_stages_that_cannot_be_are_told_before_anything_runs(run_bench, catalogue, stages, message):
    catalogue.methods["rfs"] = replace(catalogue.methods["rfs"], stages=stages)
    with pytest.raises(HarnessError, match=re.escape(message)):
        run_bench()
