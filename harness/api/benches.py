"""A bench, and the results of earlier ones, from Python."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.results import Results, results_of
from harness.bench.notation import from_text, kind_of
from harness.common.errors import UnknownName
from harness.contract.plan import BenchPlan

if TYPE_CHECKING:
    import pandas as pd

Names = str | Iterable[str]

_TEXT = (
    "bench dataset partial method preset changed backbone weights head seeds failure marks interval note relation "
    "published published_ci95 published_verdict published_source"
)
_WHOLE = "n_way k_shot n_query least_way least_shot peak_memory_bytes"
_NUMBERS = (
    "images_seen flops fit_seconds dirichlet accuracy half_width df difference difference_half_width t_p holm_t_p "
    "wilcoxon_p holm_wilcoxon_p equivalence_margin equivalence_p holm_equivalence_p"
)
# The columns of ``load_results`` → their dtypes, whatever benches a run folder holds.
COLUMNS = (
    dict.fromkeys(_TEXT.split(), "string")
    | dict.fromkeys(_WHOLE.split(), "Int64")
    | dict.fromkeys(_NUMBERS.split(), "float64")
)


def run_bench(
    methods: Names = (),
    dataset: Names = "glyphs",
    *,
    plan: str | Path | None = None,
    output: str | Path = "runs",
    data_root: str | Path | None = None,
    executor: str = "local",
    at_once: int | str = 1,
    progress: bool = True,
    **settings: Any,
) -> Results:
    """Train and score methods on the same splits and episodes, as ``harness bench`` does.

        harness.bench(["skd", "rfs"], "CIFAR-FS", seeds=range(3), set={"rfs.epochs": 30}, baseline="rfs/simple")

    Args:
        methods: NAME, NAME:PRESET or LABEL=NAME:PRESET; none: skd, rfs and protonet.
        dataset: one, or several, a table each.
        plan: a plan file (TOML), which the other arguments override.
        output: the run folder; what it holds already is not done again.
        data_root: the folder of prepared datasets. None: $HARNESS_DATA, else the user's own.
        executor: local, inline or ray.
        at_once: how many stages run side by side, or "auto".
        progress: whether bars and lines go to standard error.
        settings: flags of ``harness bench`` by name: seeds, shots, way, episodes, baseline, budget, set, …
    Raises:
        HarnessError: something does not exist, or does not fit the data. A stage that fails is a failed row, no error.
    """
    from harness.bench.bench import bench
    from harness.bench.plan import load_plan
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.arguments import data_root as chosen_root
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor

    asked = {"methods": _names(methods), "dataset": _names(dataset), **settings}
    given = {name: value for name, value in asked.items() if not (plan is not None and value in ((), None))}
    chosen = load_plan(Path(plan) if plan is not None else None, {name: _plain(name, v) for name, v in given.items()})
    catalogue, folder = Catalogue.discover(), Path(output)
    root = chosen_root(Path(data_root) if data_root is not None else None)
    with Display(catalogue) if progress else nullcontext(lambda event: None) as observe:
        workers = make_executor(executor, catalogue, at_once)
        try:
            record = bench(chosen, catalogue, workers, folder, root, observe)
        finally:
            workers.close()
    return results_of(folder, record, catalogue, baseline=chosen.baseline)


def open_results(folder: str | Path = "runs", bench: str = "last", baseline: str | None = None) -> Results:
    """The results of a bench that was run before.

    Args:
        folder: the run folder.
        bench: its ID, or "last".
        baseline: a row, for paired differences from it. None: the bench's own, if it has one.
    Raises:
        RunsError: there is no such bench.
    """
    from harness.catalogue.catalogue import Catalogue
    from harness.runs import find_bench

    record = find_bench(Path(folder), bench)
    return results_of(Path(folder), record, Catalogue.discover(), baseline=baseline)


def load_results(folder: str | Path = "runs", bench: str = "all", baseline: str | None = None) -> pd.DataFrame:
    """The accuracies of every bench in a run folder, a line for each row, setting and interval.

    Args:
        folder: the run folder.
        bench: the ID of one, "last" or "all".
        baseline: a row, for paired differences from it.
    Returns:
        The columns of ``harness.api.benches.COLUMNS``, with their dtypes, whatever the benches are: who (``bench``,
        ``dataset``, ``method``, …), where (``n_way``, ``k_shot``, ``interval``: closed, open or class), ``accuracy``
        and ``half_width`` as fractions, costs, and with a baseline ``difference``, ``t_p``, ``holm_t_p`` and others;
        what a line has none of is missing. docs/reports.md says what each is.
    Raises:
        RunsError: there is no such bench.
        UnknownName: a bench has no such row.
    """
    from harness.reports.build import build_report
    from harness.reports.formats.values import frame
    from harness.runs import find_benches

    folder = Path(folder)
    lines = frame(build_report([(folder, record) for record in find_benches(folder, bench)], baseline=baseline))
    return lines.reindex(columns=[*COLUMNS]).astype(COLUMNS)


def _names(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _plain(name: str, value: Any) -> Any:
    """A setting as a plan file would hold it: ranges as lists, ``seeds="0-2"`` as the command line reads it."""
    if name not in BenchPlan.model_fields:
        raise UnknownName("setting of a bench", name, BenchPlan.model_fields, "Settings")
    if isinstance(value, str) and kind_of(name) in ("numbers", "names", "budget"):
        return from_text(name, value)
    return tuple(value) if isinstance(value, range) else value
