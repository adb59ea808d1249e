"""The page's novel classes and episodes: what queries were taken for, against the lines of csv."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import altair
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from harness.cli.report_images import with_images
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.reports.build import build_report
from harness.reports.formats.html import html
from harness.reports.formats.page import charts_map
from harness.reports.formats.page.charts_classes import by_class, confusion
from harness.reports.formats.page.charts_map import embeddings, plane
from harness.reports.formats.page.episodes import browser
from harness.reports.formats.page.pictures import as_text, pictures
from harness.reports.formats.page.shown import shown
from harness.reports.formats.values import csv
from harness.reports.model import View
from harness.reports.predictions import Queries
from harness.runs import load_benches
from harness.runs.exporting import export_runs
from harness.runs.importing import import_runs
from harness.runs.shown import shown_bytes, shown_file
from tests.helpers.reports import closed

METHODS = ("pixels", "untrained")


def page_data(text):
    return json.loads(re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text)[1])


@pytest.fixture
def reported(run_bench, tmp_path):
    """The report of a real bench of two rows, a setting and seeds 0 and 1, with closed queries by line."""
    record = run_bench(methods=METHODS, seeds=(0, 1), episodes=300, shots=(1,))
    report = build_report([(tmp_path / "runs", record)])
    lines = pd.read_csv(io.StringIO(csv(replace(report, view=View(what="predictions")))))
    return report, lines[lines["target"] == "closed"]


class Kept:
    """Predictions in memory, as ``TablePredictions`` gives them."""

    class_names = ("zero", "one", "two")
    split = None

    def __init__(self):
        self.setting = (EpisodeSpec(2, 1, 2), "closed")
        classes = np.array([[2, 0], [0, 1]])
        episodes = Episodes(
            self.setting[0], classes, np.zeros((2, 2, 1), int), np.arange(8).reshape(2, 2, 2), "closed", "x"
        )
        self._queries = Queries.of(episodes)
        self.settings = [self.setting]

    def queries(self, setting):
        return self._queries

    def predicted(self, row, setting):
        answers = {"a": [[2, 0, 0, 0], [0, 0, 1, 1]], "b": [[2, 2, 2, 2], [0, 0, 0, 0]]}
        return np.array([answers[row]]) if row in answers else None


def test_figures_of_classes_are_those_of_the_queries(reported):
    report, lines = reported
    data = page_data(html(report))
    charts = data["charts"]
    for spec in data["specs"]:
        altair.Chart.from_dict(spec, validate=True)
    lines = lines.assign(right=lines["true"] == lines["predicted"])
    by_class = lines.groupby(["true", "method"]).right.mean()
    shown = charts["t0-classes-0"]["values"]
    assert {value["row"] for value in shown} == set(METHODS)
    for value in shown:
        assert value["accuracy"] == pytest.approx(100 * by_class[value["class"], value["row"]], abs=0.006)
    hardest = by_class.groupby("true").mean().sort_values(kind="stable")
    assert shown[0]["class"] in set(hardest.index[hardest <= hardest.iloc[0] + 1e-9])

    of_row = lines[lines["method"] == METHODS[1]]
    in_episode = of_row.groupby(["episode", "seed"])["true"].agg(set)
    figure = confusion(report.tables[0].predictions, METHODS[1])
    for value in figure.charts[0].values[:30]:
        both = [key for key, classes in in_episode.items() if value["taken"] in classes]
        met = of_row.set_index(["episode", "seed"]).loc[both]
        taken = met.loc[met["true"] == value["true"], "predicted"] == value["taken"]
        assert value["share"] == pytest.approx(100 * taken.mean(), abs=0.006)


def test_the_episodes_to_look_into_have_the_queries_and_answers_of_the_first_seed(reported):
    report, lines = reported
    (setting,) = page_data(html(report))["episodes"]["t0"]
    first = lines[lines["seed"] == 0].set_index(["method", "episode"])
    for episode in setting["episodes"]:
        names = episode["classes"]
        for row in METHODS:
            queries = first.loc[(row, episode["number"])]
            assert queries["image"].tolist() == episode["query"]
            assert queries["true"].tolist() == [names[label] for label in episode["truth"]]
            assert queries["predicted"].tolist() == [names[label] for label in episode["answers"][row]]
    wide = first.reset_index().pivot(index=["episode", "query"], columns="method", values="predicted")
    differ = (wide[METHODS[0]] != wide[METHODS[1]]).groupby("episode").mean().sort_values(ascending=False)
    said = [re.search(r"differ in (\d+) %", episode["why"]) for episode in setting["episodes"]]
    shares = [float(match[1]) for match in said if match]
    assert shares == [pytest.approx(100 * share, abs=0.51) for share in differ[: len(shares)]]
    assert len(shares) == min(8, (differ > 0).sum()) > 0
    assert len(setting["episodes"]) == 12


def test_the_most_disputed_episode_comes_first_with_its_two_rows():
    shown = browser(Kept(), ["a", "b", "none"])[0]
    assert shown["rows"] == ["a", "b"]
    first = shown["episodes"][0]
    assert (first["number"], first["pair"], first["classes"]) == (0, ["a", "b"], ["two", "zero"])
    assert first["why"] == "differ in 75 %: a, b"
    assert first["truth"] == [0, 0, 1, 1]
    assert first["answers"] == {"a": [0, 1, 1, 1], "b": [0, 0, 0, 0]}


@pytest.mark.parametrize(("n_rows", "mark"), [(6, "point"), (7, "rect"), (13, "rect")])
def test_classes_of_more_rows_than_dots_can_show_are_tiles_of_the_twelve_highest(runs, n_rows, mark):
    bench = runs(predicts=True)
    rows = [f"m{i}/x" for i in range(n_rows)]
    for i, row in enumerate(rows):
        bench.add(row, 0.9 - i / 50)
    figure = by_class(bench.report().tables[0].predictions, rows)
    assert figure.charts[0].spec["mark"]["type"] == mark
    assert {value["row"] for value in figure.charts[0].values} == set(rows[:12])
    assert ("12 highest" in figure.caption) == (n_rows > 12)


def test_a_run_folder_without_predictions_says_how_to_get_them(runs):
    bench = runs().add("rfs/simple").add("skd/gen0", 0.6)
    text = bench.text("html")
    assert "keeps no predictions: harness evaluate RUNS adds them" in text
    assert page_data(text)["episodes"] == {"t0": []}
    assert closed(bench, "rfs/simple").size  # though it has accuracies


def test_classes_that_rarely_met_are_not_called_confused(run_bench, tmp_path):
    record = run_bench(methods=METHODS, episodes=5)
    text = html(build_report([(tmp_path / "runs", record)]))
    assert "no two classes met in 10 closed episodes or more" in text
    assert "t0-classes-0" in page_data(text)["charts"]
    assert "t0-confusion-0" not in page_data(text)["charts"]


def test_images_are_shown_only_where_the_data_is_here_and_the_same(reported, catalogue, tmp_path):
    report, _ = reported
    text = html(with_images(report, catalogue, tmp_path / "data"))
    assert text == html(with_images(report, catalogue, tmp_path / "data"))
    data = page_data(text)
    indices = {i for episode in data["episodes"]["t0"][0]["episodes"] for i in episode["query"]}
    indices |= {value["number"] for value in data["charts"]["t0-map-0"]["values"]}
    assert indices <= set(map(int, data["pictures"]["t0"]))
    other = replace(report, tables=[replace(report.tables[0], dataset="nowhere")])
    text = html(with_images(other, catalogue, tmp_path / "data"))
    assert page_data(text)["pictures"]["t0"] == {}
    assert "The images are not on this machine" in text


def test_the_map_shows_features_in_the_plane_of_two_components(reported, tmp_path):
    """Against scikit-learn's PCA of the features that the run folder keeps."""
    report, lines = reported
    figure = embeddings(report.tables[0].predictions, METHODS[::-1])
    assert figure.title == "Where untrained puts images"
    (file,) = (tmp_path / "runs" / "stages").rglob("untrained*seed0*/embeddings/test-*.safetensors")
    kept = load_file(file)
    raw = kept["pairs"][:, 1] == 0
    of_image = dict(zip(kept["pairs"][raw, 0].tolist(), kept["features"][raw], strict=True))
    values = figure.charts[0].values
    assert len({value["class"] for value in values}) == 7  # all that there are
    of_query = lines.drop_duplicates("image").set_index("image")["true"]
    assert all(of_query.get(value["number"], value["class"]) == value["class"] for value in values)
    points = PCA(2).fit_transform(normalize(np.stack([of_image[value["number"]] for value in values])))
    shown = np.array([(value["x"], value["y"]) for value in values])
    signs = np.sign((points * shown).sum(axis=0))
    np.testing.assert_allclose(shown, points * signs, atol=0.0006)


def test_the_map_is_of_the_classes_that_are_confused_most(reported, monkeypatch):
    report, _ = reported
    monkeypatch.setattr(charts_map, "MOST_CLASSES", 2)
    shown = {value["class"] for value in embeddings(report.tables[0].predictions, ["untrained"]).charts[0].values}
    lines = pd.read_csv(io.StringIO(csv(replace(report, view=View(what="confusion")))))
    pairs = lines[(lines["method"] == "untrained") & (lines["target"] == "closed") & (lines["episodes"] >= 10)]
    pairs = pairs[pairs["class"] != pairs["taken_for"]].sort_values("rate", ascending=False)
    assert shown == set(pairs[["class", "taken_for"]].iloc[0])
    assert pairs["rate"].iloc[0] > pairs["rate"].iloc[1]


def test_a_plane_of_few_or_equal_features_is_no_error():
    for features in (np.ones((5, 3), np.float32), np.zeros((4, 2), np.float32), np.eye(3, 1, dtype=np.float32)):
        points, share = plane(features)
        assert points.shape == (len(features), 2)
        assert np.isfinite(points).all()
        assert 0 <= share <= 1


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_without_features_the_page_has_no_map_and_says_why(reported, tmp_path, harm):
    report, _ = reported
    for file in (tmp_path / "runs" / "stages").rglob("embeddings/*.safetensors"):
        content = file.read_bytes()
        file.unlink()
        if harm == "damaged":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    text = html(report)
    assert "keeps no features of the highest rows" in text
    assert "t0-map-0" not in page_data(text)["charts"]


def test_an_archive_brings_what_the_page_shows_where_neither_data_nor_features_are(reported, catalogue, tmp_path):
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    [bench] = load_benches(runs)
    here = with_images(build_report([(runs, bench)]), catalogue, tmp_path / "data")
    on_page = shown(here.tables[0])
    assert len(on_page.pictures) > 100
    assert len(on_page.images) == len(on_page.features) > 100
    member = {shown_file(Path(), bench.id, 0).as_posix(): shown_bytes(on_page)}
    export_runs(runs, [bench], tmp_path / "a.zip", shown=member)
    import_runs(tmp_path / "a.zip", elsewhere)
    assert not list(elsewhere.glob("stages/*/*/embeddings"))
    there = build_report([(elsewhere, bench)])  # as without the data
    assert html(there) == html(here)
    assert shown_bytes(shown(there.tables[0])) == shown_bytes(on_page)
    member = {name: shown_bytes(replace(on_page, pictures={})) for name in member}
    export_runs(runs, [bench], tmp_path / "b.zip", shown=member)
    import_runs(tmp_path / "b.zip", tmp_path / "bare")
    bare = page_data(html(build_report([(tmp_path / "bare", bench)])))
    assert bare["pictures"] == {"t0": {}}
    assert bare["charts"]["t0-map-0"] == page_data(html(here))["charts"]["t0-map-0"]


def test_pictures_are_small_webp_images_and_stop_at_their_limit():
    images = np.random.default_rng(0).integers(0, 255, (4, 84, 84, 3), np.uint8)
    made = pictures(images, [3, 1, 3, 99])
    assert list(made) == [3, 1]
    kind, _, text = as_text(made[3]).partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (kind, image.size, image.format) == ("data:image/webp;base64", (48, 48), "WEBP")
    assert list(pictures(images, [3, 1, 2], len(as_text(made[3])) + 10)) == [3]
    assert len(pictures(np.zeros((1, 28, 28, 1), np.uint8), [0])) == 1
