"""harness/reports: csv, json, latex and html, and the command that writes them."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.reports.build import build_report
from tests.helpers.reports import closed

# ── for programs ──────────────────────────────────────────────────────────────────────────────────


def test_csv_has_a_line_for_each_row_setting_and_interval(runs):
    bench = runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0", 0.6).add("bad/x", failure="no luck")
    lines = list(csv.DictReader(io.StringIO(bench.text("csv"))))
    keys = [(line["method"], line["k_shot"], line["interval"]) for line in lines]
    assert keys == [
        *(
            (name, k, interval)
            for name in ("rfs/simple", "skd/gen0")
            for k in ("1", "5")
            for interval in ("closed", "open", "class")
        ),
        ("bad/x", "", ""),
    ]
    first = lines[0]
    assert {line["dirichlet"] for line in lines[:-1]} == {"0.0"}
    assert float(first["accuracy"]) == pytest.approx(closed(bench, "rfs/simple").mean())
    assert first["note"] == "these weights, not these methods"
    assert [bool(line["difference"]) for line in lines] == [
        line["method"] == "skd/gen0" and line["interval"] in ("open", "class") for line in lines
    ]
    assert lines[-1]["failure"] == "seed 0: no luck"


def test_json_holds_everything_and_parses_strictly(runs):
    bench = (
        runs(baseline="rfs/simple", n_classes=5).add("rfs/simple").add("skd/gen0", history=[{"epoch": 1, "loss": 2.5}])
    )

    def no_constants(text):
        raise AssertionError(text)

    parsed = json.loads(bench.text("json"), parse_constant=no_constants)
    (table,) = parsed["tables"]
    first, second = table["rows"]
    assert table["plan"]["baseline"] == "rfs/simple"
    assert first["cells"]["5-way 1-shot"]["intervals"]["closed"]["mean"] == pytest.approx(
        closed(bench, "rfs/simple").mean()
    )
    assert second["history"] == [[{"epoch": 1.0, "loss": 2.5}]]
    assert first["cells"]["5-way 1-shot"]["intervals"]["class"]["half_width"] is None  # every class is in every episode


def published(bench, form):
    return bench.text(form, published=True)


def test_every_format_has_the_published_numbers_and_verdicts(runs):
    """SKD's Gen-0 on CIFAR-FS, 1-shot: 74.5 ± 0.9 (arXiv:2006.09785, table 2)."""
    bench = runs(seeds=(0, 1, 2)).add("skd/gen0", 0.6).add("mine/x")
    assert "| 74.50 ± 0.90 |" in published(bench, "markdown")
    assert "74.50 ± 0.90</span>" in published(bench, "html")
    tables = published(bench, "latex").split("\\bottomrule")
    assert "74.50 $\\pm$ 0.90" in tables[1]
    assert "74.50" not in tables[0]
    lines = [
        (line["method"], line["published"], line["published_ci95"], line["published_verdict"][:6])
        for line in csv.DictReader(io.StringIO(published(bench, "csv")))
        if line["k_shot"] == "1" and line["interval"] == "closed"
    ]
    assert lines == [("skd/gen0", "0.745", "0.009", "below "), ("mine/x", "", "", "")]
    cells = json.loads(published(bench, "json"))["tables"][0]["rows"][0]["cells"]
    assert cells["5-way 1-shot"]["published"][0]["accuracy"] == 0.745


def test_published_numbers_where_none_is_known_are_told(runs, capsys):
    from harness.cli.main import main

    bench = runs(dataset="tiny").add("skd/gen0").save()
    assert main(["report", str(bench.output), "--published"]) == 0
    assert capsys.readouterr().err == "--published: no number is known for any row of tiny\n"


def test_several_benches_are_reported_in_the_order_asked_for(runs, capsys):
    from harness.cli.main import main

    bench = runs().add("rfs/simple").save("aaa").save("bbb").save("ccc")
    assert main(["report", str(bench.output), "--bench", "ccc", "--bench", "aaa", "--bench", "ccc"]) == 0
    shown = [line.split()[2].rstrip(";") for line in capsys.readouterr().out.splitlines() if line.startswith("- bench")]
    assert shown == ["ccc", "aaa"]
    assert main(["report", str(bench.output), "--bench", "aaa", "--bench", "zzz"]) == 2
    assert "no bench 'zzz'" in capsys.readouterr().err


def test_latex_is_escaped_and_ruled(runs):
    bench = runs(baseline="a_b/x").add("a_b/x", backbone="timm:r_18").add("50%&#$/y", 0.7)
    text = bench.text("latex")
    body = "".join(line + "\n" for line in text.splitlines() if not line.startswith("%"))
    assert body.count("\\toprule") == body.count("\\midrule") == body.count("\\bottomrule") == 2
    assert "a\\_b/x" in body
    assert "timm:r\\_18" in body
    assert "50\\%\\&\\#\\$/y" in body
    assert "\\textbf{" in body
    assert "$\\pm$" in body
    assert "±" not in body
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert {line.replace("\\&", "").count("&") for line in rows} == {4, 3}
    assert "% bench abc123" in text


def test_a_line_break_does_not_leave_a_latex_comment(runs):
    text = runs(notes=("first\nsecond",)).add("rfs/simple").text("latex")
    assert "% CIFAR-FS (first second)" in text


# ── a real bench ──────────────────────────────────────────────────────────────────────────────────


def test_a_real_bench_is_reported_in_every_format(run_bench, tmp_path, catalogue):
    record = run_bench(methods=("pixels", "untrained"), floors=False, baseline="pixels")
    report = build_report([(tmp_path / "runs", record)])
    for form, words in {
        "markdown": "| pixels ",
        "csv": "untrained,",
        "json": '"name": "pixels"',
        "latex": "\\toprule",
        "html": "<figure",
    }.items():
        assert words in catalogue.reporter(form).render(report)


def test_the_command_writes_figures_and_html_and_prints_the_table(runs, tmp_path, capsys):
    from harness.cli.main import main

    bench = runs().add("rfs/simple").save()
    assert main(["report", str(bench.output), "--plots", str(tmp_path / "figures")]) == 0
    captured = capsys.readouterr()
    assert captured.out == bench.text()
    assert captured.err == f"6 files with figures in {tmp_path / 'figures'}\n"
    assert main(["report", str(bench.output), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text() == bench.text("html")


def test_a_folder_for_figures_that_cannot_be_written_is_one_line(runs, tmp_path, capsys):
    from harness.cli.main import main

    bench = runs().add("rfs/simple").save()
    (tmp_path / "file").write_text("")
    assert main(["report", str(bench.output), "--plots", str(tmp_path / "file" / "figures")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("harness: cannot write ")
    assert len(error.splitlines()) == 1
