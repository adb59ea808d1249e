"""harness/cli/tune.py: the flags of a search, and what is printed of it."""

from __future__ import annotations

import pytest

from harness.bench.plan import load_plan
from harness.cli.tune import searched, summary
from harness.common.errors import HarnessError
from harness.contract.plan import BenchPlan
from harness.tuning.record import Search
from harness.tuning.space import Choices, Range
from tests.helpers.tuning import BETA, SMALL


def test_the_flags_make_the_search(catalogue):
    plan = load_plan(None, {"methods": ("mine=skd:paper",), "dataset": ("tiny",)})
    settings = ["mine.beta=0.025..0.5", "mine.alpha=1,2,4", "mine.temperature=2", "mine.decay_at=3,5"]
    search = searched(plan, settings, "gen1", 7, catalogue)
    assert search.space == {"mine.beta": Range(0.025, 0.5), "mine.alpha": Choices((1, 2, 4))}
    assert search.plan.set == {"mine.temperature": 2, "mine.decay_at": [3, 5]}
    assert (search.stage, search.seed) == ("gen1", 7)
    with pytest.raises(HarnessError, match="label in --set 'skd'"):
        searched(plan, ["skd.beta=0..1"], None, 0, catalogue)
    with pytest.raises(HarnessError, match="Did you mean 'beta'"):
        searched(plan, ["mine.betta=0..1"], None, 0, catalogue)
    with pytest.raises(HarnessError, match="given twice"):
        searched(plan, ["mine.beta=0..1", "mine.beta=0.1"], None, 0, catalogue)


def test_the_summary_has_every_trial_and_what_to_do_next(run_tune, tmp_path):
    search = Search(BenchPlan.model_validate(SMALL), BETA)
    found = run_tune(BETA, 2)
    text = summary(found, search, tmp_path / "runs")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 2
    assert sum("**" in row for row in rows) == 1
    assert f"--set skd.beta={found.best.values['skd.beta']}" in text
    assert f"harness bench {found.folder / 'best.toml'} --output {tmp_path / 'runs'}" in text
    assert "the novel classes were not opened" in text


def test_the_command_prints_the_table_alone_on_standard_output(catalogue, monkeypatch, capsys, tmp_path):
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.main import main

    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    flags = "--dataset tiny --budget images=320 --episodes 10 --queries 5 --shots 1 --device cpu --threads 1 --executor"
    command = ["tune", "rfs", "--set", "rfs.temperature=2,4", "--trials", "2", *flags.split(), "inline"]
    command += ["--output", str(tmp_path / "runs")]
    assert main([*command, "--stage", "distill-1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("## rfs/distill-1 on the validation classes of tiny\n\n| trial")
    assert "trial 2 of 2" in err
    assert main([*command, "--set", "rfs.temperatur=2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_a_dry_run_says_what_is_done_and_what_comes_next_and_writes_nothing(catalogue, monkeypatch, capsys, tmp_path):
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.main import main

    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    flags = "--dataset tiny --budget images=320 --episodes 10 --queries 5 --shots 1 --device cpu --threads 1 --executor"
    command = ["tune", "rfs", "--set", "rfs.temperature=2,4", *flags.split(), "inline", "--stage", "distill-1"]
    command += ["--output", str(tmp_path / "runs")]

    def foretold():
        before = sorted((tmp_path / "runs").rglob("*"))
        assert main([*command, "--trials", "5", "--dry-run"]) == 0
        assert sorted((tmp_path / "runs").rglob("*")) == before
        return capsys.readouterr().out

    assert foretold().startswith("0 trials done, 5 to go, kept in")
    assert main([*command, "--trials", "1"]) == 0
    tried = capsys.readouterr().out
    other = 4 if "| 1       | 2 " in tried else 2
    text = foretold()
    assert text.startswith("1 trial done, 4 to go")
    assert f"next: trial 2: rfs.temperature={other}" in text
    assert "(rfs-2/simple)" in text
    assert "kept" in text
    assert main([*command, "--trials", "5"]) == 0
    capsys.readouterr()
    assert foretold() == f"2 trials done, 0 to go, kept in {next((tmp_path / 'runs' / 'tuning').iterdir())}\n"
