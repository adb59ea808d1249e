"""harness/bench/recorded.py: stages are scored again as their run folder recorded them."""

from __future__ import annotations

import json

import pytest

from harness.common.errors import HarnessError, RunsError
from harness.execution.events import JobStarted
from harness.training.events import EpochDone
from tests.helpers.bench import happened, weights


@pytest.fixture
def old(run_bench, tmp_path):
    """A run folder as one would look that was made before rfs had the option ``momentum``, and had ``haste``."""
    record = run_bench()
    runs = tmp_path / "runs"
    (path,) = (runs / "benches").glob("*.json")
    text = path.read_text()
    for number, stage in enumerate(record.tables[0].stages):
        key = f"{number + 1:064x}"
        folder = f"stages/tiny/rfs-{stage.stage}-seed0-{key[:12]}"
        (runs / stage.folder).rename(runs / folder)
        text = text.replace(stage.folder, folder).replace(stage.key, key)
        change(runs / folder / "identity.json", lambda identity: as_it_was(identity["options"]))
    path.write_text(text)
    change(path, lambda bench: [as_it_was(stage["options"]) for stage in bench["tables"][0]["stages"]])
    return runs


def change(path, edit):
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def as_it_was(options):
    del options["momentum"]
    options["haste"] = 3


def test_stages_of_before_an_option_are_scored_again_and_not_trained(run_bench, old):
    before, events = weights(old), []
    record = run_bench(again=True, classifier="cosine", observe=events.append)
    stages = record.tables[0].stages
    assert [stage.failure for stage in stages] == [None, None]
    assert [stage.key for stage in stages] == [f"{1:064x}", f"{2:064x}"]
    assert stages[1].parents == (stages[0].key,)
    assert weights(old) == before
    assert len(happened(events, JobStarted)) == 2
    assert not happened(events, EpochDone)
    assert "momentum" not in stages[0].options


def test_they_get_the_accuracies_that_the_same_weights_have_today(run_bench, old, tmp_path):
    again = run_bench(again=True, shots=(1,))
    today = run_bench(output=tmp_path / "today", shots=(1,))
    assert means(tmp_path / "runs", again) == means(tmp_path / "today", today)


def means(runs, record):
    from harness.runs import StageFolder

    found = []
    for stage in record.tables[0].stages:
        kept = [StageFolder(runs / stage.folder).load_score(key) for key in stage.scores]
        found.append([score.score.accuracies.tolist() for score in kept])
    return found


def test_a_value_that_the_method_now_refuses_is_told(run_bench, old):
    (path,) = (old / "benches").glob("*.json")
    change(path, lambda bench: bench["tables"][0]["stages"][0]["options"].update(schedule="stairs"))
    with pytest.raises(HarnessError, match="rfs was trained with schedule = 'stairs', which rfs as it is installed"):
        run_bench(again=True)


def test_other_images_than_those_of_the_training_are_refused(run_bench, old):
    for path in old.glob("stages/*/*/identity.json"):
        change(path, lambda identity: identity.update(data="0" * 64))
    with pytest.raises(RunsError, match=r"was trained on other images of tiny.*fingerprint 0{12}, now train-8"):
        run_bench(again=True)


def test_a_stage_that_the_method_no_longer_has_is_a_failed_row(run_bench, old):
    (path,) = (old / "benches").glob("*.json")
    change(path, lambda bench: bench["tables"][0]["stages"][1].update(stage="encore"))
    one, two = run_bench(again=True, classifier="cosine").tables[0].stages
    assert one.failure is None
    assert "rfs as it is installed has no stage 'encore'" in two.failure


def test_a_record_that_names_a_folder_outside_is_refused(run_bench, old):
    (path,) = (old / "benches").glob("*.json")
    change(path, lambda bench: bench["tables"][0]["stages"][0].update(folder="stages/../../elsewhere"))
    with pytest.raises(RunsError, match="outside of it"):
        run_bench(again=True)
