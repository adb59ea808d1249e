"""Archives of runs, for the tests of export and import."""

from __future__ import annotations

from harness.reports.build import build_report
from harness.runs import load_benches
from harness.runs.exporting import export_runs
from tests.helpers.reports import CATALOGUE


def export(bench, archive, **what):
    export_runs(bench.output, load_benches(bench.output), archive, **what)
    return archive


def reports(folder):
    built = build_report([(folder, record) for record in load_benches(folder)])
    return {name: CATALOGUE.reporter(name).render(built) for name in ("markdown", "csv", "json", "html", "latex")}
