"""plugins/trackers: what the tools read back is what training told, and no tracker ends a bench."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest
from PIL import Image

import harness
from harness.catalogue.catalogue import Catalogue
from harness.cli.main import main
from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec
from tests.helpers.plugins import offering

harness_trackers = pytest.importorskip("harness_trackers", reason="harness-trackers is not installed")

WHERE = {"label": "rfs", "stage": "simple", "seed": 3, "dataset": "tiny"}
KEY = "0123456789abcdef" * 4
METRICS = {"loss": 0.5, "kd_loss": 0.25, "top1": 0.75, "top5": 1.0, "learning_rate": 0.1, "images_per_second": 900.0}
CURVES = {
    "loss/loss": 0.5,
    "loss/kd_loss": 0.25,
    "accuracy/top1": 0.75,
    "accuracy/top5": 1.0,
    "learning_rate/learning_rate": 0.1,
    "speed/images_per_second": 900.0,
}


def result(accuracies=(0.25, 0.75)):
    score = harness.Score(EpisodeSpec(5, 1, 4), "closed", "f", np.array(accuracies), np.zeros((2, 5), int), 7)
    return harness.StageResult(KEY, (score,), images_seen=640, fit_seconds=2.0, embed_seconds=0.1, peak_memory_bytes=8)


@pytest.fixture
def start(tmp_path):
    """Start a tracker on a run folder: ``start("mlflow")`` gives what tells it of a hook."""
    started = []

    def run(name, tables=(), output=tmp_path / "runs"):
        pytest.importorskip(name, reason=f"{name} is not installed")
        catalogue = Catalogue([("trackers", harness_trackers)])
        bench = harness.TrackedBench(output, tables)
        catalogue.listeners.start(catalogue.tracker(name), bench, pytest.fail)
        started.append(catalogue)
        return lambda hook, **about: catalogue.notify(f"harness_{hook}", pytest.fail, **WHERE, **about)

    yield run
    for catalogue in started:
        catalogue.listeners.stop(pytest.fail)


def train(tell, epochs=(1, 2), end=True):
    """What a stage tells of its epochs; the loss of epoch n is 1/n."""
    tell("stage_started", key=KEY, settings={"method": "rfs", "decay_at": [3, 5], "text": "a | b <script>"})
    for epoch in epochs:
        tell("epoch_done", epoch=epoch, step=epoch, metrics={**METRICS, "loss": 1 / epoch})
    if end:
        tell("stage_done", result=result(), reused=False)


def events(folder):
    """What TensorBoard reads in a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder))
    read.Reload()
    return read


def scalars(folder):
    read = events(folder)
    return {tag: [(point.step, point.value) for point in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_every_curve(start, tmp_path):
    train(start("tensorboard"), epochs=(1, 4))
    (folder,) = (tmp_path / "runs" / "trackers" / "tensorboard").glob("*/*")
    assert (folder.parent.name, folder.name) == ("tiny", f"rfs-simple-seed3-{KEY[:8]}")
    read = scalars(folder)
    assert read["loss/loss"] == [(1, 1.0), (4, 0.25)]
    for name, value in CURVES.items():
        assert name == "loss/loss" or read[name] == [(1, pytest.approx(value)), (4, pytest.approx(value))]
    assert read["test/closed 5-way 1-shot"] == [(0, 0.5)]
    assert read["cost/images seen"] == [(0, 640.0)]


def test_tensorboard_goes_on_where_a_training_does(start, tmp_path):
    train(start("tensorboard"), epochs=(1, 2), end=False)
    train(start("tensorboard"), epochs=(3,))
    (folder,) = (tmp_path / "runs" / "trackers" / "tensorboard").glob("*/*")
    assert [step for step, _ in scalars(folder)["loss/loss"]] == [1, 2, 3]


def table(images, support, query, **about):
    images = np.asarray(images, np.uint8)
    support, query = np.asarray(support), np.asarray(query)
    spec = EpisodeSpec(support.shape[1], support.shape[2], query.shape[2])
    split = Split("test", images, np.arange(len(images)), tuple(map(str, range(len(images)))), "")
    episodes = Episodes(spec, np.zeros(support.shape[:2], int), support, query, "closed", "", **about)
    return harness.TrackedTable("tiny", split, episodes)


def flat(value, channels=3):
    return np.full((48, 48, channels), value, np.uint8)


def test_an_episode_is_a_row_a_class_with_its_supports_left_and_its_queries_right(start, tmp_path):
    images = [flat(10 * (i + 1)) for i in range(6)]
    start("tensorboard", [table(images, [[[0], [3]]], [[[1, 2], [4, 5]]])])
    read = events(tmp_path / "runs" / "trackers" / "tensorboard" / "episodes")
    picture = np.asarray(Image.open(io.BytesIO(read.Images("episode/tiny")[0].encoded_image_string)))
    side, gap = 52, 16
    assert picture.shape == (2 * side, 3 * side + gap, 3)
    columns = [side // 2, side + gap + side // 2, 2 * side + gap + side // 2]
    assert [[picture[y, x, 0] for x in columns] for y in (side // 2, side + side // 2)] == [[10, 20, 30], [40, 50, 60]]
    assert picture[side // 2, side + gap // 2].tolist() == [255, 255, 255]


def test_small_and_grey_images_of_varied_episodes_are_drawn_too():
    from harness_trackers.grid import episode_grid

    images = [np.full((20, 20, 1), 9, np.uint8)] * 3
    varied = table(images, [[[0, -1], [1, -1], [-1, -1]]], [[[2, -1]] * 3], shapes=np.array([[2, 1]]))
    picture = episode_grid(varied)
    assert picture.shape == (2 * 64, 3 * 64 + 16, 3)
    assert picture[32, 32].tolist() == [9, 9, 9]
    assert picture[32, 2 * 64 + 16 + 32].tolist() == [255, 255, 255]


def test_mlflow_has_a_run_a_stage_with_options_and_curves(start, tmp_path):
    tell = start("mlflow")
    train(tell, end=False)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "runs" / "trackers" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("harness").experiment_id

    def runs():
        return client.search_runs([experiment])

    assert [run.info.status for run in runs()] == ["RUNNING"]
    train(start("mlflow"), epochs=(3,))
    (run,) = runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "tiny rfs/simple seed 3")
    assert run.data.params == {"method": "rfs", "decay_at": "[3, 5]", "text": "a | b <script>"}
    history = client.get_metric_history(run.info.run_id, "loss/loss")
    assert sorted((point.step, point.value) for point in history) == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert run.data.metrics.keys() >= CURVES.keys() | {"test/closed 5-way 1-shot"}
    failed = start("mlflow")
    failed("stage_started", key="f" * 64, settings={})
    failed("stage_done", result=harness.StageFailure("f" * 64, "it broke"), reused=False)
    assert {run.info.status: run.data.tags.get("failure") for run in runs()} == {"FINISHED": None, "FAILED": "it broke"}


def test_trackio_keeps_the_curves_in_the_run_folder(start, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)  # it reads its folder when it is imported
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "runs" / "trackers" / "trackio"))
    train(start("trackio"))
    from trackio.sqlite_storage import SQLiteStorage

    assert list((tmp_path / "runs" / "trackers" / "trackio").glob("harness*"))
    logs = SQLiteStorage.get_logs("harness", "tiny rfs/simple seed 3")
    assert [log["loss/loss"] for log in logs if "loss/loss" in log] == [1.0, 0.5]
    assert [log["test/closed 5-way 1-shot"] for log in logs if "test/closed 5-way 1-shot" in log] == [0.5]


def test_a_missing_package_is_one_line_that_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    catalogue, said = Catalogue([("trackers", harness_trackers)]), []
    catalogue.listeners.start(catalogue.tracker("mlflow"), harness.TrackedBench(None), said.append)
    assert said == [
        "warning: tracker mlflow is left out: mlflow-skinny is not installed: pip install 'harness-trackers[mlflow]'"
    ]


def test_hostile_names_stay_in_the_folder_and_odd_numbers_are_kept(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    where = {"label": "../../x=1", "stage": "a b", "seed": 0, "dataset": ".."}
    catalogue = Catalogue([("trackers", harness_trackers)])
    catalogue.listeners.start(catalogue.tracker("tensorboard"), harness.TrackedBench(tmp_path / "runs"), pytest.fail)
    for hook, about in (
        ("stage_started", {"key": KEY, "settings": {}}),
        ("epoch_done", {"epoch": 1, "step": 1, "metrics": {"loss": math.nan}}),
        ("stage_done", {"result": harness.StageFailure(KEY, "<b>broken</b>"), "reused": False}),
    ):
        catalogue.notify(f"harness_{hook}", pytest.fail, **where, **about)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (folder,) = (tmp_path / "runs" / "trackers" / "tensorboard").glob("*/*")
    assert (folder.parent.name, folder.name) == ("_.", f"_._.._x=1-a_b-seed0-{KEY[:8]}")
    assert math.isnan(scalars(folder)["loss/loss"][0][1])


FLAGS = "--dataset tiny --methods rfs --rows rfs/simple --budget 640 --episodes 12 --queries 4 --shots 1 --device cpu "
FLAGS += "--threads 1 --executor inline"


def test_a_bench_is_tracked_by_those_that_it_names_and_by_no_other(catalogue, monkeypatch, tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")

    class Failing:
        closed = 0

        @harness.hookimpl
        def harness_epoch_done(self):
            raise OSError("the tracker is away")

        @harness.hookimpl
        def harness_stage_done(self):
            pytest.fail("it is switched off")

        def close(self):
            Failing.closed += 1

    specs = [
        harness.TrackerSpec("failing", "", lambda bench: Failing()),
        harness.TrackerSpec("unable", "", lambda bench: 1 / 0),
        harness.TrackerSpec("unasked", "", lambda bench: pytest.fail("nobody asked for it")),
    ]
    catalogue.add("mine", offering(harness_trackers=specs))
    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *FLAGS.split(), "--track", "failing,unable,tensorboard"]) == 0
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if "tracker" in line] == [
        "warning: tracker unable is left out: ZeroDivisionError: division by zero",
        "tracker failing: harness_epoch_done failed and is switched off: OSError: the tracker is away",
    ]
    assert Failing.closed == 1
    (folder,) = tmp_path.glob("runs/trackers/tensorboard/tiny/*")
    (metrics,) = tmp_path.glob("runs/stages/*/*/metrics.csv")
    lines = metrics.read_text().splitlines()
    told = [float(line.split(",")[lines[0].split(",").index("loss")]) for line in lines[1:]]
    assert [value for _, value in scalars(folder)["loss/loss"]] == pytest.approx(told)
    assert events(folder.parents[1] / "episodes").Tags()["images"] == ["episode/tiny"]
    before = sorted(tmp_path.rglob("events*"))
    assert main(["bench", *FLAGS.split(), "--track", "tensorboard", "--seeds", "1", "--dry-run"]) == 0
    assert sorted(tmp_path.rglob("events*")) == before


def test_an_unknown_tracker_is_a_mistake_of_one_line(catalogue, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *FLAGS.split(), "--track", "tensorbord"]) == 2
    assert "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_doctor_names_the_trackers(catalogue, monkeypatch, capsys):
    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    main(["doctor"])
    assert "trackers, for --track: mlflow, tensorboard, trackio\n" in capsys.readouterr().out
