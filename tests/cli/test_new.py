"""harness/cli/new.py, harness/cli/check.py, docs/adding_a_method.md: a stranger's plugin, from nothing to a table."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli.new import write_method
from harness.common.errors import HarnessError
from tests.helpers.command import run_here
from tests.helpers.plugins import install

DOCS = Path(__file__).parents[2] / "docs"
SMALL = shlex.split("--budget images=320 --episodes 8 --queries 3 --shots 1 --device cpu --threads 1 --executor inline")


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """Run ``harness`` in an empty folder; what lies in its folder ``site`` is installed, for this test alone."""
    monkeypatch.syspath_prepend(tmp_path / "site")

    def run(*arguments):
        importlib.invalidate_caches()
        return run_here(tmp_path, *arguments)

    yield run
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def test_the_scaffold_is_listed_keeps_the_contract_and_trains(harness, tmp_path):
    result = harness("new", "method", "tilt-net")
    assert result.returncode == 0, result.stderr
    assert "harness check tilt-net" in result.stdout
    install(tmp_path / "harness-tilt-net", tmp_path / "site")

    listed = harness("methods").stdout
    assert re.search(r"^tilt-net .* harness-tilt-net$", listed, re.MULTILINE)
    checked = harness("check", "tilt-net")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.splitlines()[-1] == "tilt-net keeps the contract"
    assert {line[:6] for line in checked.stdout.splitlines()[:-1]} == {"ok    ", "hint  "}  # it has no paper yet

    bench = harness("bench", "--methods", "tilt-net", "--no-floors", *SMALL)
    assert bench.returncode == 0, bench.stderr
    assert "| tilt-net | conv4 " in re.sub(" +", " ", bench.stdout)


def test_the_tests_of_the_scaffold_pass(tmp_path):
    folder = write_method("tilt", tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


def test_the_scaffold_is_a_project_that_pip_installs(tmp_path):
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip("the build backend asks for setuptools 77")
    folder = write_method("tilt", tmp_path)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*command, "--target", tmp_path / "site", folder], text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == [
        "harness_tilt",
        "harness_tilt-0.1.0.dist-info",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Tilt Net!", "must be lower-case letters, digits and single hyphens. Did you mean 'tilt-net'?"),
        ("tilt_net", "Did you mean 'tilt-net'?"),
        ("3d", "Did you mean 'd'?"),
        ("tilt--net", "Did you mean 'tilt-net'?"),
        ("../tilt", "Did you mean 'tilt'?"),
        ("", "as in 'my-method'"),
        ("rfs", "a method 'rfs' is installed already, by harness-rfs"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name, message):
    with pytest.raises(HarnessError) as caught:
        write_method(name, tmp_path)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone(tmp_path):
    folder = write_method("tilt", tmp_path)
    (folder / "README.md").write_text("mine")
    with pytest.raises(HarnessError, match="harness-tilt exists already"):
        write_method("tilt", tmp_path)
    assert (folder / "README.md").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match=r"cannot write .*harness-tilt: Not a directory"):
        write_method("tilt", tmp_path / "file")


def test_check_says_what_is_broken_with_status_1(harness, tmp_path):
    folder = write_method("tilt", tmp_path)
    training = folder / "harness_tilt" / "training.py"
    training.write_text(
        training.read_text().replace("context.trainer.run(", "torch.manual_seed(1)\n    context.trainer.run(")
    )
    install(folder, tmp_path / "site")
    result = harness("check", "tilt", "--set", "images=256")
    assert result.returncode == 1
    assert "FAIL  it leaves global random generators and torch's settings alone: tilt changes torch's generator" in (
        result.stdout
    )
    assert result.stdout.splitlines()[-1] == "tilt breaks it in 1 place(s)"


def test_check_refuses_what_is_not_there_in_one_line(harness):
    for arguments, message in (
        (["tlit"], "unknown method 'tlit'"),
        (["rfs", "--set", "image=256"], "rfs has no option 'image'"),
    ):
        result = harness("check", *arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


# ── docs/adding_a_method.md ───────────────────────────────────────────────────────────────────────

BLOCK = re.compile(r"(?:^`(?P<file>[^`]+)`:\n\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    return [found.groupdict() for found in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))]


def test_the_page_on_adding_a_method_runs_as_it_stands(harness, tmp_path):
    page = blocks("adding_a_method.md")
    files = {block["file"]: block["code"] for block in page if block["file"] and "twins" not in block["file"]}
    assert sorted(files) == [
        "harness-sphere/harness_sphere.py",
        "harness-sphere/pyproject.toml",
        "harness-sphere/test_harness_sphere.py",
    ]
    for name, code in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    install(tmp_path / "harness-sphere", tmp_path / "site")
    (console,) = [block["code"] for block in page if block["language"] == "console"]
    commands = [line.split()[1:] for line in console.splitlines() if line.startswith("harness ")]
    assert [command[0] for command in commands] == ["methods", "check", "bench"]
    for command in commands:
        result = harness(*command, *(SMALL if command[0] == "bench" else ()))
        assert result.returncode == 0, result.stderr + result.stdout
    assert "Paired differences from rfs/simple" in result.stdout
    assert re.search(r"^\| sphere ", result.stdout, re.MULTILINE)


@pytest.mark.usefixtures("harness")  # so that no other test meets this module
def test_the_example_with_two_views_is_short_and_keeps_the_contract(tmp_path, monkeypatch):
    from harness.testing import check_method

    (code,) = [block["code"] for block in blocks("adding_a_method.md") if block["file"] and "twins" in block["file"]]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    (tmp_path / "harness_twins.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import harness_twins

    assert [spec.name for spec in harness_twins.harness_methods()] == ["twins"]
    check_method(harness_twins.TWINS, options={"images": 640, "batch_size": 32})


def test_the_example_with_two_views_learns_in_two_processes_what_it_learns_in_one(harness, tmp_path):
    page = {block["file"]: block["code"] for block in blocks("adding_a_method.md")}
    folder = tmp_path / "harness-twins"
    folder.mkdir()
    (folder / "harness_twins.py").write_text(page["harness-twins/harness_twins.py"])
    (folder / "pyproject.toml").write_text(page["harness-sphere/pyproject.toml"].replace("sphere", "twins"))
    install(folder, tmp_path / "site")
    flags = ["--methods", "twins", "--no-floors", *SMALL, "--executor", "local", "--precision", "32"]
    found = []
    for devices in ("1", "2"):
        result = harness("bench", *flags, "--devices", devices, "--output", devices)
        assert result.returncode == 0, result.stderr + result.stdout
        with next((tmp_path / devices).glob("stages/*/*/metrics.csv")).open() as file:
            found.append([float(row[name]) for row in csv.DictReader(file) for name in ("loss", "twins", "labels")])
    assert found[0] == pytest.approx(found[1], rel=0.01)


def test_the_other_examples_of_the_page_run_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    from harness import StageFailure
    from harness.catalogue.catalogue import Catalogue

    scope = {}
    for block in blocks("adding_a_method.md"):
        if block["language"] == "python" and not block["file"]:
            exec(block["code"], scope)
    tracker = SimpleNamespace(**{name: value for name, value in scope.items() if name.startswith("harness_")})
    catalogue = Catalogue([("tracker", tracker)])
    where = {"label": "rfs", "stage": "simple", "seed": 0}
    catalogue.notify("harness_epoch_done", pytest.fail, epoch=1, metrics={"loss": 0.5}, **where)
    catalogue.notify("harness_stage_done", pytest.fail, result=StageFailure("key", "no luck"), **where)
    assert (tmp_path / "epochs.txt").read_text() == "rfs/simple 1 0.500\n"
    assert capsys.readouterr().err == "rfs/simple failed: no luck\n"


def test_the_example_in_the_page_on_reports_runs(run_bench, tmp_path):
    run_bench(methods=("pixels",), floors=False, baseline=None)
    scope = {}
    (example,) = [block["code"] for block in blocks("reports.md") if block["language"] == "python"]
    exec(example, scope)
    found = scope["accuracies"](tmp_path / "runs")
    assert set(found["interval"]) == {"closed", "open", "class"}
    assert json.loads(found.to_json())["method"]["0"] == "pixels"
