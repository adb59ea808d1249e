"""harness/reports: csv, json, latex and html, and the command that writes them."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from harness.common.errors import HarnessError
from harness.reports.build import build_report
from tests.helpers.reports import SPECS, closed

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
    assert "<td>74.50 ± 0.90</td>" in published(bench, "html")
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


# ── html ──────────────────────────────────────────────────────────────────────────────────────────

EVIL = "<script>alert('x')</script>"
QUOTE = '" onload="alert(1)'


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_has_the_tables_the_figures_and_the_conditions(runs):
    history = [{"epoch": i, "loss": 1 / i, "val_accuracy": 0.3 + 0.1 * i} for i in (1, 2, 3)]
    bench = runs(baseline="rfs/simple", seeds=(0, 1, 2)).add("rfs/simple", 0.7, history=history).add("skd/gen0", 0.72)
    page = Page(bench.text("html", published=True))
    assert page.open == []
    text = " ".join(" ".join(page.texts).split())
    for words in (
        "Differences from rfs/simple",
        "Published numbers",
        "71.50 ± 0.80",
        "Cost",
        "1,000",
        "bench abc123",
        "Paired differences from rfs/simple on open episodes",
        "new images of these classes",
    ):
        assert words in text, words
    row = bench.report().tables[0].rows[0].cells[SPECS[0]].intervals
    for interval in row.values():
        assert f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}" in text
    assert [tag for tag, _ in page.elements].count("figure") == 5
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_html_fetches_nothing_and_runs_nothing(runs):
    page = Page(runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0").text("html"))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "img", "object", "embed", "foreignobject", "a", "image"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "action", "formaction"), (tag, name)
            if name in ("href", "xlink:href"):
                assert value.startswith("#"), value
            assert "url(" not in (value or "") or "url(#" in value
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("evil", [EVIL, QUOTE, "</title><script>x", "{{ 7 * 7 }}", "$x^$", "a\\b", "]]>", "<!--"])
def test_untrusted_text_is_text_everywhere_in_html(runs, evil):
    bench = runs(baseline=f"{evil}/x", notes=(evil,), weights=evil)
    about = {"preset": evil, "changed": ["a"], "options": {"a": evil}, "backbone": evil, "conditions": {"device": evil}}
    bench.add(f"{evil}/x", 0.5, history=[{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}], **about)
    bench.add("skd/gen0", 0.6).add(f"{evil}/y", failure=evil)
    source = bench.text("html", published=True)
    page = Page(source)
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert evil in "".join(page.texts)
    assert "49" not in source or evil != "{{ 7 * 7 }}" or "{{ 7 * 7 }}" in "".join(page.texts)


def test_html_without_jinja2_is_told_in_one_line(runs, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(HarnessError, match=r"needs jinja2. Run: pip install 'fsl-harness\[html\]'"):
        runs().add("rfs/simple").text("html")


# ── a real bench ──────────────────────────────────────────────────────────────────────────────────


def test_a_real_bench_is_reported_in_every_format(run_bench, tmp_path, catalogue):
    record = run_bench(methods=("pixels", "untrained"), floors=False, baseline="pixels")
    report = build_report([(tmp_path / "runs", record)])
    for form, words in {
        "markdown": "| pixels ",
        "csv": "untrained,",
        "json": '"name": "pixels"',
        "latex": "\\toprule",
        "html": "<svg",
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
