"""harness/reports/formats/html.py and page/: what the page says, read without a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import altair
import numpy as np
import pytest

from harness.common.errors import HarnessError
from harness.contract.episodes import EpisodeSpec
from harness.contract.plan import BenchPlan
from harness.reports.formats.html import html
from harness.reports.formats.page import scripts
from harness.reports.formats.page.charts_training import pareto
from harness.reports.formats.page.command import bench_command
from tests.helpers.reports import SPECS, Bench

EVIL = "<script>alert('x')</script>"
QUOTE = '" onload="alert(1)'
HISTORY = [{"epoch": i, "loss": 1 / i, "val_accuracy": 0.3 + 0.1 * i} for i in (1, 2, 3)]


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, its text, its data."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts, self.open, self.data = [], [], [], None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            if self.elements[-1][1].get("id") == "page-data":
                self.data = json.loads(data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def test_the_page_has_the_tables_the_figures_and_the_conditions(runs):
    bench = runs(baseline="rfs/simple", seeds=(0, 1, 2)).add("rfs/simple", 0.7, history=HISTORY).add("skd/gen0", 0.72)
    page = Page(bench.text("html", published=True))
    assert page.open == []
    for words in (
        "Differences from rfs/simple",
        "Published numbers",
        "71.50 ± 0.80",
        "Cost",
        "1,000",
        "bench abc123",
        "Paired differences from rfs/simple, in points",
        "new images of these classes",
        "harness bench --dataset CIFAR-FS --queries 5 --episodes 40 --seeds 0,1,2 --baseline rfs/simple",
    ):
        assert words in page.text, words
    row = bench.report().tables[0].rows[0].cells[SPECS[0]].intervals
    for interval in row.values():
        assert f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}" in page.text
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = {name.split("-")[1] for name in page.data["charts"]}
    assert figures == {"answer", "accuracies", "differences", "cost", "learning", "validation"}
    for spec in page.data["specs"]:
        altair.Chart.from_dict(spec, validate=True)


def test_every_figure_has_a_text_alternative_and_numbers(runs):
    page = Page(runs(baseline="rfs/simple").add("rfs/simple", history=HISTORY).add("skd/gen0").text("html"))
    plots = {attributes["id"]: attributes for tag, attributes in page.elements if attributes.get("class") == "plot"}
    assert set(plots) == set(page.data["charts"])
    for name, chart in page.data["charts"].items():
        assert len(plots[name]["aria-label"]) > 30
        assert plots[name]["role"] == "img"
        assert set(chart["numbers"]) <= set(chart["values"][0])


def test_a_page_loads_nothing(runs):
    page = Page(runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0").text("html"))
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "img", "object", "embed", "foreignobject", "base"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "action", "formaction", "style"), (tag, name)
            assert name != "href" or value.startswith("#"), value
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("evil", [EVIL, QUOTE, "</title><script>x", "{{ 7 * 7 }}", "$x^$", "a\\b", "]]>", "<!--"])
def test_untrusted_text_is_text_everywhere_in_the_page(runs, evil):
    bench = runs(baseline=f"{evil}/x", notes=(evil,), weights=evil)
    about = {"preset": evil, "changed": ["a"], "options": {"a": evil}, "backbone": evil, "conditions": {"device": evil}}
    bench.add(f"{evil}/x", 0.5, history=[{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}], **about)
    bench.add("skd/gen0", 0.6).add(f"{evil}/y", failure=evil)
    page = Page(bench.text("html", published=True))
    assert page.open == []
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 3  # data, vega and the page's own
    assert not {"img", "iframe"} & set(tags)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert evil in "".join(page.texts)
    assert any(value.get("row") == f"{evil}/x" for chart in page.data["charts"].values() for value in chart["values"])


@pytest.mark.parametrize("library", ["jinja2", "altair", "vl_convert"])
def test_a_library_that_is_missing_is_told_in_one_line(runs, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(HarnessError, match=r"needs .*\. Run: pip install 'fsl-harness\[html\]'"):
        runs().add("rfs/simple").text("html")


def test_the_same_runs_give_the_same_bytes_in_another_process(tmp_path):
    bench = Bench(tmp_path / "runs", baseline="a/x", predicts=True)
    bench.add("a/x", history=HISTORY).add("b/y", 0.6).save()
    for name in ("one", "two"):
        command = [sys.executable, "-m", "harness", "report", str(bench.output), "-o", str(tmp_path / f"{name}.html")]
        subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_hostile_class_name_is_text_and_data(runs):
    bench = runs(predicts=True)
    bench.split = replace(bench.split, class_names=tuple(f"{EVIL}{QUOTE}{i}" for i in range(bench.split.n_classes)))
    page = Page(bench.add("rfs/simple").add("skd/gen0").text("html"))
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("script") == 3
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.data["charts"]["t0-classes-0"]["values"][0]["class"].startswith(EVIL)
    assert page.data["episodes"]["t0"][0]["episodes"][0]["classes"][0].startswith(EVIL)


def test_a_page_of_twelve_methods_is_under_five_megabytes_whatever_its_images(tmp_path):
    history = [{"epoch": i, "loss": 1 / i, "ce": 2 / i} for i in range(1, 400)]
    specs = (EpisodeSpec(5, 1, 15), EpisodeSpec(5, 5, 15))
    bench = Bench(tmp_path / "runs", baseline="m0/x", seeds=(0, 1, 2), specs=specs, n_images=100, predicts=True)
    for i in range(12):
        bench.add(f"m{i}/x", 0.4 + i / 50, history=history)
    report = bench.report()
    (table,) = report.tables
    noise = np.random.default_rng(0).integers(0, 255, (len(bench.split.labels), 84, 84, 3), np.uint8)
    page = html(replace(report, tables=[replace(table, images=lambda: replace(bench.split, images=noise))]))
    assert len(Page(page).data["pictures"]["t0"]) > 1000
    assert len(page.encode()) < 5_000_000


def test_what_is_not_there_is_absent_with_its_reason(runs):
    page = Page(runs().add("rfs/simple", cost={"fit_seconds": 0.0}).add("bad/x", failure="no luck").text("html"))
    assert "no row was trained for more than one epoch" in page.text
    assert "no row trained anything whose cost is known" in page.text
    assert "bad/x failed: seed 0: no luck" in page.text
    assert "rfs/simple is the only row" in page.text


def test_all_rows_failed_is_a_page_too(runs):
    page = Page(runs(baseline="bad/x").add("bad/x", failure="no luck").text("html"))
    assert "No row is whole, so nothing can be said." in page.text


def test_the_command_of_a_plan_is_read_back_as_the_same_plan():
    """By the command line's own parser, whatever its values hold."""
    import shlex

    import typer

    from harness.bench.plan import load_plan
    from harness.cli.plan_flags import plan_flags

    plan = BenchPlan(
        methods=("rfs", "a=skd:paper"),
        floors=False,
        dataset=("folder:my photos; rm -rf $HOME",),
        shots=(1, 5),
        seeds=(0, 1, 2),
        budget=5000,
        set={"rfs.alpha": 0.5, "skd.name": "x y"},
        sweep={"skd.beta": (0.1, 0.2)},
        skip_damaged=True,
    )
    taken = {}

    @plan_flags()
    def command(changes) -> int:
        taken.update(changes)
        return 0

    app = typer.Typer(add_completion=False)
    app.command()(command)
    words = shlex.split(bench_command(plan))
    assert words[:2] == ["harness", "bench"]
    app(words[2:], standalone_mode=False)
    assert load_plan(None, taken) == plan


def test_the_pareto_front_has_the_points_that_no_other_beats():
    points = [{"cost": c, "mean": m} for c, m in [(1, 50), (2, 40), (3, 60), (3, 55), (9, 60), (10, 61)]]
    assert [(point["cost"], point["mean"]) for point in pareto(points)] == [(1, 50), (3, 60), (10, 61)]


def test_the_script_of_figures_is_kept_in_the_cache_folder_where_that_can_be(tmp_path, monkeypatch):
    made = []

    def make():
        made.append(1)
        return "vega()"

    def script(folder):
        monkeypatch.setenv("HARNESS_CACHE", str(folder))
        scripts._bundle.cache_clear()
        return scripts._bundle(make, "1.9")

    (tmp_path / "file").touch()
    try:
        assert [script(tmp_path / "cache") for _ in range(2)] == ["vega()"] * 2
        assert len(made) == 1
        assert script(tmp_path / "file" / "no folder") == "vega()"
    finally:
        scripts._bundle.cache_clear()
