"""harness/reports: rows, columns, digits, intervals and marks by choice; LaTeX that compiles."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.cli.main import main
from harness.common.errors import HarnessError
from harness.reports.view import with_rows
from tests.helpers.reports import CATALOGUE, Bench, closed

HOSTILE = r"a_b%&#${x}\input{/etc/passwd}~^<>\"|**"


def show(bench, *flags, capsys):
    bench.save()
    assert main(["report", str(bench.output), "--format", "markdown", *flags]) == 0
    return capsys.readouterr().out


def first_table(text):
    """The first table of a markdown report, as pandas reads it."""
    lines = [line.strip("|") for line in text.split("\n\n")[1].splitlines()]
    table = pd.read_csv(io.StringIO("\n".join([lines[0], *lines[2:]])), sep=r"\s*(?<!\\)\|\s*", engine="python")
    return table.rename(columns=str.strip)


# ── rows, columns, digits ─────────────────────────────────────────────────────────────────────────


def test_pandas_reads_the_numbers_of_the_run_folder_from_the_markdown(runs, capsys):
    bench = runs().add("rfs/simple", 0.6).add("skd/gen0", 0.7).add("x|y/z", 0.5)
    table = first_table(show(bench, "--precision", "4", "--mark", "none", capsys=capsys))
    assert table["method"].str.strip().tolist() == ["rfs/simple", "skd/gen0", r"x\|y/z"]
    for name, text in zip(("rfs/simple", "skd/gen0", "x|y/z"), table["5-way 1-shot"], strict=True):
        assert float(text.split("±")[0]) == pytest.approx(100 * closed(bench, name).mean(), abs=5e-5)


def test_columns_stand_in_the_order_asked_for(runs, capsys):
    bench = runs().add("rfs/simple")
    shown = show(bench, "--columns", "training,METHOD", "--columns", "accuracy", capsys=capsys)
    assert list(first_table(shown)) == ["training", "method", "5-way 1-shot", "5-way 5-shot"]
    assert list(first_table(show(bench, "--columns", "*5-shot", capsys=capsys))) == ["5-way 5-shot"]


def test_a_setting_whose_name_has_a_comma_is_a_column(runs, capsys):
    from harness.contract.episodes import EpisodeSpec

    bench = runs(specs=(EpisodeSpec(5, 1, 5, 2.0),)).add("rfs/simple")
    name = "5-way 1-shot, Dirichlet(2) queries"
    assert list(first_table(show(bench, "--columns", name, capsys=capsys))) == [name]


def test_rows_are_chosen_and_sorted_and_p_values_stay(runs, capsys):
    bench = runs(baseline="a/x").add("a/x", 0.6).add("b/y", 0.5).add("c/x", 0.7).add("d/z", 0.4)
    everything = bench.report().tables[0].rows
    text = show(bench, "--rows", "*/x,b/y", "--sort", "accuracy", capsys=capsys)
    assert first_table(text)["method"].str.strip().tolist() == ["c/x", "a/x", "b/y"]
    p = {row.name: cell.compared.holm_t_p for row in everything for cell in row.cells.values() if cell.compared}
    shown = with_rows(bench.report(), bench.report().view, ["b/y"])
    assert [cell.compared.holm_t_p for cell in shown.tables[0].rows[0].cells.values()][-1] == p["b/y"]
    order = first_table(show(bench, "--sort", "-method", capsys=capsys))["method"].str.strip()
    assert order.tolist() == ["d/z", "c/x", "b/y", "a/x"]
    assert "Paired differences from a/x" in show(bench, "--rows", "b/y", capsys=capsys)


def test_an_interval_by_choice_is_the_one_of_the_csv(runs, capsys):
    bench = runs().add("rfs/simple", 0.6)
    for name in ("closed", "open", "class"):
        text = first_table(show(bench, "--interval", name, "--mark", "none", capsys=capsys))["5-way 1-shot"][0]
        interval = bench.report().tables[0].rows[0].cells[bench.episodes[0].spec].intervals[name]
        assert text == f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}"


def test_csv_has_the_columns_and_intervals_asked_for_and_the_values_of_seeds(runs, capsys):
    bench = runs(seeds=(0, 1)).add("rfs/simple", [0.5, 0.6]).save()

    def lines(*flags):
        assert main(["report", str(bench.output), "--format", "csv", *flags]) == 0
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert [list(line.values()) for line in lines("--interval", "open", "--columns", "k_shot,interval")] == [
        ["1", "open"],
        ["5", "open"],
    ]
    by_seed = [(int(line["seed"]), float(line["accuracy"])) for line in lines("--per-seed") if line["k_shot"] == "1"]
    assert by_seed == [(seed, pytest.approx(closed(bench, "rfs/simple", seed).mean())) for seed in (0, 1)]
    assert main(["report", str(bench.output), "--format", "csv", "--per-seed", "--interval", "open"]) == 2
    assert "Leave out --interval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--format", "json", "--precision", "1"],
            "--precision is not for the format json. It is for: markdown, latex",
        ),
        (["--format", "csv", "--mark", "best"], "--mark is not for the format csv"),
        (["--format", "html", "--per-seed"], "--per-seed is not for the format html"),
        (["--wide"], "--wide is not for the format markdown. It is for: latex"),
        (["--precision", "7"], "--precision 7: digits after the point, 0 to 6"),
        (["--interval", "opne"], "unknown value of --interval 'opne'. Did you mean 'open'?"),
        (["--mark", "bset"], "unknown mark 'bset'. Did you mean 'best'?"),
        (["--mark", "best,none"], "'none' stands alone"),
        (["--columns", "metod"], "unknown column 'metod'. Did you mean 'method'?"),
        (["--rows", "rfs"], "unknown row 'rfs'"),
        (["--sort", "acuracy"], "unknown column to sort by 'acuracy'. Did you mean 'accuracy'?"),
    ],
)
def test_what_a_format_does_not_show_or_nobody_knows_is_refused_in_one_line(runs, capsys, flags, words):
    bench = runs().add("rfs/simple").save()
    assert main(["report", str(bench.output), *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_several_run_folders_are_reported_one_after_the_other(tmp_path, capsys):
    one = Bench(tmp_path / "one").add("a/x").save("aaa")
    other = Bench(tmp_path / "other").add("b/y").save("bbb")
    assert main(["report", str(one.output), str(other.output), "--bench", "bbb", "--bench", "aaa"]) == 0
    out = capsys.readouterr().out
    assert out.index("b/y") < out.index("a/x")
    assert main(["report", str(one.output), str(other.output), "--bench", "ccc"]) == 2


# ── marks ─────────────────────────────────────────────────────────────────────────────────────────


def test_best_second_and_those_not_told_apart_from_the_best_are_marked(runs, capsys):
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.05, 600)
    bench = runs()
    bench.add("a/x", values=0.7 + noise).add("b/x", values=0.5 + noise + rng.normal(0, 0.02, 600))
    bench.add("c/x", values=0.7 + noise + rng.normal(0, 0.02, 600) - 1e-4)
    bench.add("floor", values=0.9 + noise, floor=True)
    table = first_table(show(bench, "--mark", "best,second,same,tiers", capsys=capsys))
    cells = dict(zip(table["method"].str.strip(), table["5-way 1-shot"].str.strip(), strict=True))
    assert cells["floor"].startswith("**")
    assert not re.search("[a-z‡]", cells["floor"])
    assert [cells[name].strip("_").split()[3] for name in ("a/x", "c/x")] == ["a", "a"]
    assert sum("‡" in cell for cell in cells.values()) == 1
    assert cells["b/x"].endswith(" b")
    assert sum(cell.startswith("_") for cell in cells.values()) == 1


# ── LaTeX ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_tables_with_hostile_labels_compile_and_fit(runs, tmp_path, columns):
    bench = runs(baseline="rfs/simple", seeds=(0, 1), notes=(HOSTILE,)).add("rfs/simple", 0.6)
    bench.add(f"{HOSTILE}/x", 0.61, backbone="[2pt]").add("[3em]/y", 0.7, backbone="*").add("bad/z", failure=HOSTILE)
    report = bench.report(standings=True, published=True, equivalent=0.5)
    parts, packages = [], set()
    for numbers in ("plain", "siunitx"):
        for wide in (False, True):
            view = replace(
                report.view,
                numbers=numbers,
                wide=wide,
                per_seed=wide,
                mark=("best", "second", "same", "tiers"),
                columns=("*",) if wide else (),
                label=f"tab:{numbers}{wide}",
            )
            text = CATALOGUE.reporter("latex").render(replace(report, view=view))
            assert text.startswith("% needs ")
            packages |= set(re.findall(r"\\usepackage{\w+}", text.splitlines()[0]))
            parts.append(text)
    head = f"\\documentclass[{columns}]{{article}}{''.join(sorted(packages))}\\begin{{document}}"
    (tmp_path / "paper.tex").write_text("\n".join([head, *parts, r"\end{document}"]), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-1500:]
    assert "Overfull" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
    assert "root:x" not in done.stdout


def test_a_caption_and_a_label_by_choice_stand_in_the_float(runs, capsys):
    bench = runs().add("rfs/simple").save()
    flags = ["--format", "latex", "--caption", r"Mine, $n=5$.", "--label", "tab:mine", "--wide"]
    assert main(["report", str(bench.output), *flags]) == 0
    out = capsys.readouterr().out
    assert "\\caption{Mine, $n=5$.}" in out
    assert "\\label{tab:mine}" in out
    assert out.count("{table*}") == 2


def test_seeds_without_an_interval_are_refused_as_a_value(runs):
    report = runs().add("rfs/simple").report()
    with pytest.raises(HarnessError, match="Leave out --interval"):
        CATALOGUE.reporter("csv").render(replace(report, view=replace(report.view, per_seed=True, interval="open")))
