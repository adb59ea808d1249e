"""harness/reports/figures/plots.py: figures that show what the table says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.contract.episodes import EpisodeSpec
from harness.reports.build import build_report
from harness.reports.figures.plots import plots, save_plots
from harness.runs import load_benches
from tests.helpers.reports import N_CLOSED, SPECS

# ── figures ───────────────────────────────────────────────────────────────────────────────────────


def test_every_figure_is_written_as_png_svg_and_pdf(runs, tmp_path):
    history = [{"epoch": i, "loss": 1 / i} for i in (1, 2, 3)]
    bench = runs(baseline="rfs/simple").add("rfs/simple", history=history).add("skd/gen0", 0.6)
    written = save_plots(bench.report(), tmp_path / "figures")
    assert sorted(path.name for path in written) == sorted(
        f"CIFAR-FS-{name}.{ending}"
        for name in ("accuracy", "differences", "cost", "learning-curves")
        for ending in ("png", "svg", "pdf")
    )
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)
    before = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in save_plots(bench.report(), tmp_path / "figures")} == before


def test_two_benches_of_one_dataset_have_figures_of_their_own(runs, tmp_path):
    bench = runs().add("rfs/simple").save("first").save("second")
    report = build_report([(bench.output, record) for record in load_benches(bench.output)])
    names = {path.name for path in save_plots(report, tmp_path) if path.suffix == ".png"}
    assert names == {"CIFAR-FS-accuracy.png", "CIFAR-FS-cost.png", "CIFAR-FS-2-accuracy.png", "CIFAR-FS-2-cost.png"}


def drawn(figure):
    """All points of the lines in a figure's panels."""
    return [(line.get_xdata(), line.get_ydata(), line.get_color()) for axes in figure.axes for line in axes.lines]


def test_the_accuracy_figure_shows_every_interval_where_it_is(runs):
    bench = runs().add("rfs/simple", 0.5).add("pixels", 0.3, floor=True)
    table = bench.report().tables[0]
    (figure,) = [plot.figure for plot in plots(table) if plot.name == "accuracy"]
    spans = {(round(float(x[0]), 6), round(float(x[1]), 6)): colour for x, _, colour in drawn(figure) if len(x) == 2}
    for row in table.rows:
        colours = set()
        for cell in row.cells.values():
            for interval in cell.intervals.values():
                colours.add(spans[round(100 * interval.low, 6), round(100 * interval.high, 6)])
        assert len(colours) == (1 if row.floor else 3)


def test_the_figure_of_differences_has_a_zero_line_and_hollow_dots_where_nothing_is_proven(runs):
    values = np.random.default_rng(0).uniform(0.3, 0.6, N_CLOSED + 200)
    bench = runs().add("a/x", values=values).add("b/x", values=values + 0.1).add("c/x", values=values)
    (figure,) = [plot.figure for plot in plots(bench.report(baseline="a/x").tables[0]) if plot.name == "differences"]
    panel = figure.axes[0]
    assert any(list(line.get_xdata()) == [0, 0] for line in panel.lines)
    dots = {line.get_ydata()[0]: line.get_markerfacecolor() for line in panel.lines if line.get_marker() == "o"}
    assert [label.get_text() for label in panel.get_yticklabels()] == ["b/x", "c/x"]
    assert dots[0] == "#0072b2"
    assert dots[1] == (1.0, 1.0, 1.0, 1.0)


def test_an_interval_that_is_infinite_is_a_dot_alone(runs):
    table = runs(n_classes=5).add("rfs/simple").report().tables[0]
    assert math.isinf(table.rows[0].cells[SPECS[0]].intervals["class"].half_width)
    (figure,) = [plot.figure for plot in plots(table) if plot.name == "accuracy"]
    assert all(np.isfinite(np.asarray(x, float)).all() for x, _, _ in drawn(figure))


def test_only_floors_are_drawn_as_floors(runs):
    """A row has a point where its cost is known. One that trains nothing has a line, in another colour than a floor."""
    free = {"images_seen": 0, "fit_seconds": 0.0, "flops": 0, "peak_memory_bytes": 0}
    bench = runs().add("rfs/simple", 0.5, cost={"fit_seconds": 10.0}).add("pixels", 0.3, floor=True, cost=free)
    bench.add("loop/x", 0.6, cost={"images_seen": None, "flops": None, "fit_seconds": 300.0})
    bench.add("given/x", 0.7, cost=free)
    plot = next(plot for plot in plots(bench.report().tables[0]) if plot.name == "cost")
    panels = {panel.get_xlabel(): panel for panel in plot.figure.axes[:4:2]}
    points = {
        name: {line.get_xdata()[0] for line in panel.lines if line.get_marker() not in ("None", "")}
        for name, panel in panels.items()
    }
    assert points == {"images seen": {1000.0}, "training time": {10.0, 300.0}}
    for panel in panels.values():
        colours = {text.get_text(): text.get_color() for text in panel.texts}
        assert colours == {"pixels": "#8a8a8a", "given/x": "#1a1a1a"}
    assert "A row without a point has a cost that is unknown." in plot.caption


def test_no_figure_changes_matplotlib_for_others(runs):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots(runs().add("rfs/simple").report().tables[0])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["$\\frac{$/x", "字/x", "a<b>&c/x", "_^/x"])
def test_figures_take_any_name(runs, tmp_path, name):
    bench = runs(baseline=name).add(name, history=[{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}]).add("skd/gen0")
    assert save_plots(bench.report(), tmp_path / "figures")


@pytest.mark.parametrize("n", [1, 3, 5])
def test_figures_take_any_number_of_settings(runs, n):
    specs = [EpisodeSpec(5, k_shot, 5) for k_shot in range(1, n + 1)]
    bench = runs(baseline="rfs/simple", specs=specs).add("rfs/simple").add("skd/gen0", 0.6)
    figures = {plot.name: plot.figure for plot in plots(bench.report().tables[0])}
    for name, each in (("accuracy", 1), ("differences", 1), ("cost", 2)):
        shown = [panel for panel in figures[name].axes if panel.get_visible()]
        assert len(shown) == each * n
        assert [panel.get_title() for panel in shown if panel.get_title()] == [str(spec) for spec in specs]
