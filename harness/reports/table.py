"""Reports as text: markdown, csv, json, latex."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from harness.reports.report import Cell, Report, Row, Table
from harness.types import EpisodeSpec

SIGNIFICANT = 0.05


def markdown(report: Report) -> str:
    """A table a dataset; under each, differences from the baseline if there is one, and the conditions."""
    return "\n".join(_section(table) for table in report.tables)


def _section(table: Table) -> str:
    parts = [f"## {table.dataset}{''.join(f' ({note})' for note in table.notes)}\n"]
    parts.append(_grid(main_rows(table), "github"))
    failures = [f"- {row.name} failed: {row.failure}" for row in table.rows if row.failure]
    if failures:
        parts.append("\n".join(failures) + "\n")
    if difference_rows(table):
        parts.append(
            f"Paired differences from {table.baseline} on open episodes (no image twice), in points; p-values by Holm "
            "over all rows and settings; bold where p (t) < 0.05:\n"
        )
        parts.append(_grid(difference_rows(table), "github"))
    verdicts = published_rows(table)
    if verdicts:
        parts.append("Beside published numbers (percent):\n")
        parts.append(_grid(verdicts, "github"))
    parts.append("\n".join(f"- {line}" for line in conditions(table)) + "\n")
    return "\n".join(parts)


def main_rows(table: Table) -> list[dict[str, str]]:
    """The comparison table, a dictionary a row: accuracies in percent, ± the closed 95 % interval."""
    best = {spec: _best(table.rows, spec) for spec in table.specs}
    shown = []
    for row in table.rows:
        line = {"method": row.name, "backbone": row.backbone or "-", "head": row.head}
        for spec in table.specs:
            text = accuracy(row.cells.get(spec))
            line[str(spec)] = f"**{text}**" if row is best[spec] and len(table.rows) > 1 else text
        line |= {
            "images seen": f"{row.images_seen:,.0f}" if row.images_seen else "0",
            "training": duration(row.fit_seconds),
            "TFLOP": f"{row.flops / 1e12:,.1f}",
            "memory": f"{row.peak_memory_bytes / 2**20:,.0f} MiB" if row.peak_memory_bytes else "-",
        }
        shown.append(line)
    return shown


def _best(rows: Sequence[Row], spec: EpisodeSpec) -> Row | None:
    """The row with the highest mean accuracy on open episodes, or on closed ones where there are no open ones."""

    def mean(row: Row) -> float:
        intervals = row.cells[spec].intervals
        return intervals.get("open", intervals["closed"]).mean

    return max((row for row in rows if spec in row.cells), key=mean, default=None)


def accuracy(cell: Cell | None) -> str:
    """``72.40 ± 0.90``, in percent."""
    if cell is None:
        return "failed"
    closed = cell.intervals["closed"]
    return f"{100 * closed.mean:.2f} ± {100 * closed.half_width:.2f}"


def difference_rows(table: Table) -> list[dict[str, str]]:
    """A dictionary a row and setting: difference, its interval, p-values, wins, ties and losses."""
    lines = []
    for row in table.rows:
        for spec, cell in row.cells.items():
            if cell.compared is None:
                continue
            found = cell.compared.found
            text = f"{100 * found.difference.mean:+.2f} ± {100 * found.difference.half_width:.2f}"
            significant = cell.compared.holm_t_p < SIGNIFICANT
            lines.append({
                "method": row.name,
                "setting": str(spec),
                "difference": f"**{text}**" if significant else text,
                "p (t)": p_value(cell.compared.holm_t_p),
                "p (Wilcoxon)": p_value(cell.compared.holm_wilcoxon_p),
                "win / tie / loss": f"{found.wins} / {found.ties} / {found.losses}",
            })  # fmt: skip
    return lines


def published_rows(table: Table) -> list[dict[str, str]]:
    """A dictionary a row, setting and published number: both numbers and the verdict."""
    return [
        {
            "method": row.name,
            "setting": str(spec),
            "measured": accuracy(cell),
            "published": f"{100 * verdict.accuracy:.2f} ± {100 * verdict.ci95:.2f}",
            "verdict": verdict.text,
            "source": verdict.source,
        }
        for row in table.rows
        for spec, cell in row.cells.items()
        for verdict in cell.published
    ]


def p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def conditions(table: Table) -> list[str]:
    """What the numbers hold under, a line each."""
    plan = table.plan
    seeds = plan["seeds"]
    closed = [each for each in table.episodes if each["target"] == "closed"]
    opened = [each for each in table.episodes if each["target"] == "open"]
    lines = [
        f"accuracy in percent, mean ± closed 95 % interval (Student-t over {closed[0]['n']} episodes with replacement: "
        "this very test set; for new images or new classes see the open and class intervals of --format csv)",
        f"episodes: {', '.join(str(EpisodeSpec(each['n_way'], each['k_shot'])) for each in closed)}, "
        f"{plan['queries']} queries a class, episode seed {plan['episode_seed']}, the same for all rows",
        f"training seeds: {', '.join(map(str, seeds))}"
        + ("" if len(seeds) > 2 else " (under 3 seeds: these weights, not these methods)"),
        f"presets: {', '.join(dict.fromkeys(f'{row.label} {row.preset}' for row in table.rows if row.preset)) or '-'}",
        "images seen, training time and TFLOP include the stages a row was trained from; memory is the highest peak",
        f"data fingerprint {table.data_fingerprint[:16]}; episodes "
        + ", ".join(each["fingerprint"][:8] for each in closed)
        + (f"; open episodes {', '.join(str(each['n']) for each in opened)}" if opened else ""),
    ]
    if plan["train_on"] != "train":
        lines.append("trained on the training and validation classes")
    if plan["budget"]:
        lines.append(f"budget: {plan['budget']:,} images a stage")
    lines.append("; ".join(f"{name} {value}" for name, value in table.conditions.items()))
    for name, values in table.differing.items():
        lines.append(f"{name} differs: " + "; ".join(f"{value} ({', '.join(rows)})" for value, rows in values.items()))
    return lines


def _grid(rows: Sequence[dict[str, str]], style: str) -> str:
    if not rows:
        return "(no rows)\n"
    return tabulate(pd.DataFrame(rows), headers="keys", tablefmt=style, showindex=False, disable_numparse=True) + "\n"


# ── for programs ──────────────────────────────────────────────────────────────────────────────────


def frame(report: Report) -> pd.DataFrame:
    """One line for each row, setting and interval; accuracies as fractions."""
    lines = []
    for table in report.tables:
        for row in table.rows:
            about: dict[str, Any] = {
                "dataset": table.dataset, "partial": "; ".join(table.notes), "method": row.name, "preset": row.preset,
                "backbone": row.backbone, "head": row.head, "seeds": " ".join(map(str, row.seeds)),
                "images_seen": row.images_seen, "flops": row.flops, "fit_seconds": row.fit_seconds,
                "peak_memory_bytes": row.peak_memory_bytes, "failure": row.failure,
            }  # fmt: skip
            if row.failure:
                lines.append(about)
            lines.extend({**about, **_numbers(spec, cell, name)} for spec, cell in row.cells.items()
                         for name in cell.intervals)  # fmt: skip
    return pd.DataFrame(lines)


def _numbers(spec: EpisodeSpec, cell: Cell, name: str) -> dict[str, Any]:
    found = cell.intervals[name]
    numbers: dict[str, Any] = {
        "n_way": spec.n_way, "k_shot": spec.k_shot, "n_query": spec.n_query, "interval": name,
        "accuracy": found.mean, "half_width": found.half_width, "df": found.df, "note": found.note,
    }  # fmt: skip
    if cell.compared is not None:
        difference = cell.compared.found.difference
        numbers |= {
            "difference": difference.mean, "difference_half_width": difference.half_width,
            "holm_t_p": cell.compared.holm_t_p, "holm_wilcoxon_p": cell.compared.holm_wilcoxon_p,
        }  # fmt: skip
    return numbers


def csv(report: Report) -> str:
    return frame(report).to_csv(index=False)


def to_json(report: Report) -> str:
    """Every table with its rows, cells, conditions and plan; infinite and missing numbers as null."""
    return json.dumps(_plain(report), indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def latex(report: Report) -> str:
    """A booktabs table a dataset, its conditions as comments."""
    parts = []
    for table in report.tables:
        rows = [
            {name: value.replace("±", "$\\pm$") for name, value in _tex_bold(line).items()} for line in main_rows(table)
        ]
        text = tabulate(pd.DataFrame(rows), headers="keys", tablefmt="latex_raw", showindex=False)
        rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
        text = "\n".join(next(rules) if line == "\\hline" else line for line in text.splitlines())
        parts.append("\n".join([f"% {table.dataset}", *(f"% {line}" for line in conditions(table)), text, ""]))
    return "\n".join(parts)


def _tex_bold(line: dict[str, str]) -> dict[str, str]:
    return {
        name: f"\\textbf{{{value.strip('*')}}}" if value.startswith("**") else value.replace("_", "\\_")
        for name, value in line.items()
    }
