"""plugins/features and harness export: what leaves the harness comes back with the same accuracies, or is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness_features import FEATURES

from harness.bench.entries import entries
from harness.bench.export import feature_table, write_features
from harness.common.errors import HarnessError
from harness.contract.plan import BenchPlan
from harness.datasets.prepared.fingerprints import image_digests
from harness.runs import StageFolder
from harness.testing import check_method, tiny_dataset

HEAD = {"classifier": "nearest-centroid", "transform": "l2"}
ENDINGS = (".npz", ".safetensors", ".parquet")


@pytest.fixture
def accuracies(run_bench, tmp_path):
    """The accuracies of a bench's only stage on 20 episodes, or why it failed."""

    def run(method, file=None, **values):
        settings = {"features.file": str(file)} if file else {}
        record = run_bench(methods=(method,), set=settings, **{**HEAD, **values})
        (stage,) = record.tables[0].stages
        if stage.failure:
            return stage.failure
        return StageFolder(tmp_path / "runs" / stage.folder).load_score(stage.scores[0]).score.accuracies

    return run


@pytest.fixture
def table(run_bench, catalogue, tmp_path):
    """The features of an untrained backbone."""
    record = run_bench(methods=("untrained",), **HEAD)
    return feature_table(record, catalogue, tmp_path / "runs", tmp_path / "data", "untrained", 0)


@pytest.fixture
def save(tmp_path, table, monkeypatch):
    """Save arrays beside the table's embeddings."""

    def write(name="elsewhere.npz", **arrays):
        np.savez(tmp_path / name, **{"embeddings": table.embeddings, **arrays})
        return tmp_path / name

    monkeypatch.chdir(tmp_path)
    return write


# ── there and back ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_exported_has_the_accuracies_of_the_stage(accuracies, table, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    write_features(tmp_path / f"file{ending}", table)
    before = accuracies("untrained")
    assert before.std() > 0
    np.testing.assert_array_equal(accuracies("features", tmp_path / f"file{ending}"), before)


def test_the_export_holds_each_image_of_the_split_in_its_order(table, tiny):
    assert table.embeddings.shape == (len(tiny.test), 64)
    assert table.embeddings.dtype == np.float32
    np.testing.assert_array_equal(table.hashes, image_digests(tiny.test.images))
    np.testing.assert_array_equal(table.labels, [tiny.test.class_names[label] for label in tiny.test.labels])
    np.testing.assert_array_equal(table.rows, np.arange(len(tiny.test)))


def test_labels_rows_and_hashes_each_say_which_image_a_row_is_of(accuracies, save, table, tiny, rng):
    before = accuracies("untrained")
    order = rng.permutation(len(table.rows))
    turned = table.embeddings[order]
    words = np.array([digest.tobytes().hex() for digest in table.hashes[order]])
    for file in (
        save(labels=table.labels),
        save("numbers.npz", labels=tiny.test.labels + 100),
        save("rows.npz", embeddings=turned, rows=order),
        save("hashes.npz", embeddings=turned, hashes=table.hashes[order]),
        save("words.npz", embeddings=turned, hashes=words),
        save("halves.npz", embeddings=turned.astype(np.float64), rows=order, split="test", labels=table.labels[order]),
    ):
        np.testing.assert_allclose(accuracies("features", file), before, atol=1e-12)


def test_heads_that_ask_for_the_base_classes_need_their_hashes(accuracies, run_bench, catalogue, table, save, tmp_path):
    record = run_bench(methods=("untrained",), **HEAD)
    train = feature_table(record, catalogue, tmp_path / "runs", tmp_path / "data", "untrained", 0, "train")
    both = {name: np.concatenate([getattr(table, name), getattr(train, name)]) for name in ("embeddings", "hashes")}
    before = accuracies("untrained", transform="centre+l2")
    np.testing.assert_allclose(accuracies("features", save(**both), transform="centre+l2"), before, atol=1e-12)
    assert "images of other splits" in accuracies("features", save(labels=table.labels), transform="centre+l2")


def test_another_content_under_the_same_name_is_another_result(accuracies, save, table):
    before = accuracies("features", save(labels=table.labels))
    turned = accuracies("features", save(embeddings=table.embeddings[::-1], labels=table.labels))
    assert not np.array_equal(before, turned)


# ── what does not fit ─────────────────────────────────────────────────────────────────────────────


def swapped(labels):
    labels = labels.copy()
    labels[[5, 40]] = labels[[40, 5]]
    return labels


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: {}, "does not say of which images it is"),
        (
            lambda t: {"labels": t.labels[1:], "embeddings": t.embeddings[1:]},
            "209 embeddings of the test split, which",
        ),
        (lambda t: {"labels": swapped(t.labels)}, "2 'labels' are not those of the test split, first that of image 5"),
        (lambda t: {"labels": np.arange(210) // 30 % 5}, "'labels' have 5 numbers for the 7 classes"),
        (lambda t: {"labels": swapped(np.arange(210) // 30)}, "2 'labels' are not those of the test split"),
        (lambda t: {"rows": t.rows + 1}, "'rows' are not each number from 0 to 209 once: 0 is missing"),
        (lambda t: {"rows": t.rows, "split": "train"}, "has 0 embeddings of the test split, which has 210"),
        (lambda t: {"hashes": np.roll(t.hashes, 1, axis=1)}, "'hashes' are of 0 of the 210 images of the test split"),
    ],
)
def test_what_is_not_of_the_splits_images_is_one_line(accuracies, save, table, change, reason):
    failure = accuracies("features", save(**change(table)))
    assert isinstance(failure, str)
    assert reason in failure
    assert "elsewhere.npz" in failure
    assert "\n" not in failure


def test_views_have_no_embeddings(accuracies, save, table):
    assert "--views 1" in accuracies("features", save(hashes=table.hashes), views=3)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"embeddings": np.ones(3)}, r"'embeddings' are float64 \(3,\), not numbers"),
        ({"embeddings": np.full((2, 2), np.nan)}, "NaN or infinite, that in row 0 first"),
        ({"embeddings": np.ones((2, 2)), "labels": [1]}, r"2 embeddings, but 'labels' has the shape \(1,\)"),
        ({"embeddings": np.ones((2, 2)), "labels": [0.5, 1]}, "'labels' are float64"),
        ({"embeddings": np.ones((2, 2)), "rows": ["a", "b"]}, "'rows' are <U1"),
        ({"embeddings": np.ones((2, 2)), "hashes": ["ab", "zz"]}, "'hashes' are neither"),
        ({"vectors": np.ones((2, 2))}, "has no 'embeddings'; it has 'vectors'"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_before_the_bench(run_bench, tmp_path, arrays, reason):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(HarnessError, match=reason) as caught:
        run_bench(methods=("features",), set={"features.file": str(tmp_path / "x.npz")})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.npz", b"PK damaged", "cannot be read: it is no .npz"),
        ("x.safetensors", b"damaged", "cannot be read"),
        ("x.csv", b"1,2", "end in .npz, .safetensors, .parquet"),
        ("", b"", "features on tiny: which file"),
        ("absent.npz", None, "features.file = .* there is no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_before_the_bench(run_bench, tmp_path, name, content, reason):
    if name and content is not None:
        (tmp_path / name).write_bytes(content)
    settings = {"features.file": str(tmp_path / name)} if name else {}
    with pytest.raises(HarnessError, match=reason):
        run_bench(methods=("features",), set=settings)


# ── as a method ───────────────────────────────────────────────────────────────────────────────────


def test_it_keeps_the_contract(tmp_path, rng):
    test = tiny_dataset().test
    file = tmp_path / "tiny.npz"
    np.savez(file, embeddings=rng.normal(size=(len(test), 5)), hashes=image_digests(test.images))
    check_method(FEATURES, options={"file": str(file)})


def test_a_bench_of_all_methods_leaves_it_out(catalogue):
    labels = [entry.label for entry in entries(BenchPlan(methods=("all",), dataset=("tiny",)), "tiny", catalogue)]
    assert "rfs" in labels
    assert "features" not in labels


def test_the_readme_names_all_that_a_file_may_hold():
    text = (Path(__file__).parents[2] / "plugins" / "features" / "README.md").read_text(encoding="utf-8")
    for name in ("embeddings", "labels", "rows", "hashes", "split", *ENDINGS, *FEATURES.options.model_fields):
        assert f"`{name}`" in text
