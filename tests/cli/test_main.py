"""harness/cli: the command as a person types it; in a process of its own where that is the point."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import run_alone, run_here
from tests.helpers.plugins import install_method

SCORED = ["--episodes", "8", "--queries", "3", "--shots", "1", "--device", "cpu", "--threads", "1"]
SMALL = ["--budget", "images=320", *SCORED, "--executor", "inline"]


@pytest.fixture
def harness(tmp_path):
    """Run ``harness`` in an empty folder."""
    return lambda *arguments: run_here(tmp_path, *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run folder with a finished bench of rfs and floors, and what the bench printed. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    result = run_here(folder, "bench", "--methods", "rfs", *SMALL)
    assert result.returncode == 0, result.stderr
    return folder / "runs", result


@pytest.fixture
def runs(finished, tmp_path):
    """A copy of the finished run folder, where ``harness`` is run."""
    return shutil.copytree(finished[0], tmp_path / "runs")


def test_lists_and_help_import_no_torch():
    """All in one process: a module that one of them imports is there when it ends."""
    code = (
        "import sys; from harness.cli.main import main\n"
        "for command in sys.argv[1:]:\n"
        "    print(f'<{command}>'); status = main(command.split())\n"
        "    heavy = {'torch', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'learn2learn'} & set(sys.modules)\n"
        "    if heavy or status: sys.exit(f'{command}: {heavy} {status}')"
    )
    commands = ["--help", "methods", "methods skd", "datasets", "backbones", "classifiers", "bench -h"]
    result = subprocess.run([sys.executable, "-c", code, *commands], text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    for command, following in zip(commands, [*commands[1:], None], strict=True):
        text = result.stdout.partition(f"<{command}>\n")[2]
        assert text.partition(f"<{following}>")[0].strip(), command


@pytest.mark.learn2learn
def test_methods_lists_what_is_installed(harness):
    result = harness("methods")
    assert result.returncode == 0
    for name in ("skd", "rfs", "protonet", "pixels", "untrained"):
        assert any(line.startswith(f"{name} ") for line in result.stdout.splitlines()), name
    assert "broken" not in result.stdout


def test_a_method_shows_its_options_and_presets(harness):
    text = harness("methods", "skd").stdout
    for word in ("alpha", "float", "2.0", "weight of Gen-0's self-supervised loss", "preset quick", "reference-code"):
        assert word in text, word


def test_bench_prints_a_table_on_standard_output_and_the_rest_elsewhere(harness, finished, runs):
    result = finished[1]
    assert result.stdout.startswith("## glyphs\n\n| method")
    for row in ("pixels", "untrained", "rfs/simple", "rfs/distill-1"):
        assert f"\n| {row} " in result.stdout.replace("**", "")
    assert "rfs/simple seed 0" in result.stderr
    again = harness("report", "runs")
    assert again.stdout == result.stdout
    assert harness("bench", "--methods", "rfs", *SMALL).stdout == result.stdout


def test_report_writes_every_text_format(harness, runs, tmp_path):
    for name, marker in (("table.md", "| method"), ("table.csv", "accuracy"), ("table.tex", "\\toprule")):
        assert harness("report", "runs", "-o", name).returncode == 0
        assert marker in (tmp_path / name).read_text()
    parsed = json.loads(harness("report", "runs", "--format", "json").stdout)
    assert [row["name"] for row in parsed["tables"][0]["rows"]][2:] == ["rfs/simple", "rfs/distill-1"]


def test_evaluate_scores_again_without_training(harness, runs):
    weights = {path: path.stat().st_mtime_ns for path in runs.glob("stages/*/*/weights.safetensors")}
    assert weights
    inline = ("--executor", "inline")
    result = harness("evaluate", "runs", *inline, "--classifier", "ridge", "--episodes", "16", "--shots", "2")
    assert result.returncode == 0, result.stderr
    assert "ridge, l2" in result.stdout
    assert "5-way 2-shot" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    varied = harness("evaluate", "runs", *inline, "--varied", "3..6,1..4")
    assert "3..6-way 1..4-shot" in varied.stdout, varied.stderr
    assert "5-way 2-shot" in harness("evaluate", "runs", *inline, "--shots", "2", "--classifier", "ridge").stdout


def test_power_says_how_many_episodes_it_takes(harness, runs):
    result = harness("power", "runs", "--baseline", "rfs/simple", "--difference", "2")
    assert result.returncode == 0, result.stderr
    assert "episodes at 1 seed" in result.stdout
    assert "rfs/distill-1" in result.stdout
    result = harness("power", "runs", "--goal", "80")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--goal 80 must be above 0 and below 1" in result.stderr
    assert "--difference" not in result.stderr


def test_where_an_archive_brought_no_weights_nothing_is_to_be_deleted(harness, runs):
    for weights in runs.glob("stages/*/rfs-simple-*/weights.safetensors"):
        weights.unlink()
    result = harness("evaluate", "runs", "--executor", "inline", "--classifier", "ridge")
    assert result.returncode == 1
    assert "holds no weights: they were deleted, or its archive was made without them" in result.stdout
    assert "Delete" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "method", "all"], "--methods all is every installed method: choose another name"),
        (["bench", "--methods", "skdd"], "unknown method 'skdd'. Did you mean 'skd'?"),
        (["bench", "--dataset", "glyps"], "unknown dataset 'glyps'. Did you mean 'glyphs'?"),
        (["bench", "--set", "skd.alfa=2"], "unknown option of skd 'alfa'. Did you mean 'alpha'?"),
        (["bench", "--set", "skd.lr=2"], "unknown option of skd 'lr'. Did you mean 'learning_rate'?"),
        (["bench", "--set", "alpha=2"], "LABEL.OPTION=VALUE"),
        (["bench", "--budget", "many"], "--budget 'many': write it as images=N"),
        (["bench", "--preset", "papre"], "Did you mean 'paper'?"),
        (["bench", "--backbone", "resnet"], "Did you mean 'resnet12'?"),
        (["bench", "--classifier", "logistik"], "Did you mean 'logistic'?"),
        (["bench", "--shots", "one"], "--shots 'one': 'one' is no whole number. Write it as 1,5 or 0-4"),
        (["bench", "--way", "300"], "109"),
        (["bench", "--queries", "40"], "36"),
        (["bench", "--executor", "cloud"], "unknown executor 'cloud'"),
        (["bench", "--device", "tpu"], "tpu"),
        (["bench", "--precision", "8"], "8"),
        (["bench", "--epochs", "3"], "--epochs"),
        (["bench", "nothing.toml"], "cannot read the plan nothing.toml"),
        (["bench", "--output", "/proc/nowhere"], "cannot write to /proc/nowhere"),
        (["bench", "--dataset", "CIFAR-FS", "--data-root", "empty"], "harness data prepare CIFAR-FS"),
        (["bench", "--device", "cpu", "--devices", "0"], "--devices = 0"),
        (["report", "nothing"], "nothing holds no bench"),
        (["report", "runs", "--format", "pdf"], "unknown report format 'pdf'"),
        (["methods", "skdd"], "Did you mean 'skd'?"),
        (["benhc"], "benhc"),
    ],
)
def test_mistakes_are_one_line_with_status_2(harness, tmp_path, arguments, message):
    result = harness(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert not list(tmp_path.glob("runs/stages/*"))


def test_a_failed_row_gives_status_1_and_a_table(harness):
    result = harness("bench", "--methods", "rfs", *SMALL, "--set", "rfs.learning_rate=1e30")
    assert result.returncode == 1
    assert "rfs/simple failed: seed 0: the loss is not finite" in result.stdout
    assert "| pixels" in result.stdout.replace("**", "")


@pytest.fixture
def crash(tmp_path, monkeypatch):
    """A bench of a method whose training does as it is told."""

    def bench(fit, *flags, alone=False):
        install_method(tmp_path / "site", fit)
        command = ["bench", "--methods", "crash", *SCORED, *flags]
        if alone:
            return run_alone(tmp_path, *command, PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), *sys.path]))
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.delitem(sys.modules, "crash", raising=False)
        return run_here(tmp_path, *command)

    return bench


def test_a_worker_that_dies_is_a_failed_row(crash):
    result = crash("os.kill(os.getpid(), 9)")
    assert result.returncode == 1
    assert "its process was ended by SIGKILL" in result.stdout
    assert "| untrained" in result.stdout.replace("**", "")


def test_what_a_method_prints_is_not_in_the_table(crash):
    result = crash(
        "print('by print'); os.write(1, b'by write'); os.system('echo by a program'); sys.exit(3)",
        "--no-floors",
        alone=True,
    )
    assert result.stdout.startswith("## glyphs")
    assert not [word for word in ("by print", "by write", "by a program") if word in result.stdout]
    assert "by a program" in result.stderr
    assert "crash failed: seed 0: SystemExit: 3" in result.stdout


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("raise ValueError('the second is unwell')", "the second is unwell"),
        ("os.kill(os.getpid(), 9)", "a process that trained along was ended by SIGKILL"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("os._exit(3)", "a process that trained along ended with status 3"),
    ],
)
def test_a_process_that_trains_along_and_fails_says_why(crash, tmp_path, second, told):
    result = crash(
        f"time.sleep(60) if os.environ['RANK'] == '0' else exec({second!r})", "--devices", "2", "--no-floors"
    )
    assert result.returncode == 1
    assert told in result.stdout
    assert told in next(tmp_path.glob("runs/stages/*/crash-*/failure.txt")).read_text()


def test_a_report_goes_where_it_is_sent(harness, runs, tmp_path):
    table = harness("report", "runs").stdout
    (tmp_path / "link.md").symlink_to(tmp_path / "table.md")
    assert harness("report", "runs", "-o", "link.md").returncode == 0
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "table.md").read_text() == table
    assert harness("report", "runs", "-o", "-").stdout == table
    assert not (tmp_path / "-").exists()
    result = harness("report", "runs", "-o", str(tmp_path))
    assert (result.returncode, result.stderr) == (2, f"harness: cannot write {tmp_path}: Is a directory\n")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "harness.cli.main", "report", str(runs)]
        failed = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (failed.returncode, failed.stderr) == (2, "harness: cannot write: No space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_bench_says_how_to_go_on(tmp_path, number):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "harness.cli.main",
            "bench",
            "--methods",
            "rfs",
            "--no-floors",
            "--device",
            "cpu",
            "--threads",
            "1",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them ignore SIGINT, and programs inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(tmp_path.glob("runs/stages/*/rfs-simple*/identity.json")):  # it trains
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert said.splitlines()[-1] == "harness: interrupted. The same command goes on where it stopped"


def test_version(harness):
    import harness as package

    assert harness("--version").stdout == f"harness {package.__version__}\n"


def test_doctor_finds_damaged_data(harness, tmp_path):
    folder = tmp_path / "data" / "FC100"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text("{}")
    result = harness("doctor", "--data-root", str(tmp_path / "data"))
    assert result.returncode == 1
    assert "FC100: not usable: " in result.stdout
    assert "not here: CIFAR-FS, " in result.stdout
    assert "not there yet" in harness("doctor", "--data-root", str(tmp_path / "dta")).stdout


def test_check_leaves_a_wrong_option_to_the_user(harness):
    result = harness("check", "rfs", "--set", "images=0")
    assert (result.returncode, result.stdout) == (2, "")
    assert "rfs.images = 0: input should be greater than 0" in result.stderr


def test_doctor_names_versions_data_and_plugins(harness):
    result = harness("doctor")
    assert result.returncode == 0, result.stdout + result.stderr
    for word in (
        "torch",
        "glyphs: train 153 classes",
        "not here: CIFAR-FS",
        "data root",
        "plugin harness-skd: skd",
        "memory: ",
    ):
        assert word in result.stdout, word
