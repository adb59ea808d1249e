"""Figures of a report, for papers and for the html page: accuracies, differences, costs, learning curves.

Colours are Okabe and Ito's, which people with any colour vision tell apart; what a colour says, a shape says too.
Matplotlib is loaded when the first figure is drawn; nothing global is changed.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.common.fonts import Fonts, fonts_for
from harness.reports.figures.cost import cost
from harness.reports.figures.drawing import (
    COLOURS,
    GREY,
    INK,
    INTERVALS,
    PAPER,
    ROW,
    Plot,
    legend,
    looks_of,
    panels,
    style,
    whisker,
    whole_epochs,
)
from harness.reports.words import SIGNIFICANT, p_value

if TYPE_CHECKING:
    from harness.reports.model import Report, Row, Table

ENDINGS = (".png", ".svg", ".pdf")
# What a history holds beside losses, under these names or with a prefix: that of a head, or of losses that take turns.
OTHER_METRICS = ("phase", "epoch", "images_per_second", "learning_rate", "val_accuracy", "val_loss", "top1", "top5")


def fonts(table: Table) -> Fonts:
    """The fonts for the names in a table's figures."""
    of_losses = (name for row in table.rows for name in losses(row))
    return fonts_for("".join([*(row.name for row in table.rows), *of_losses, table.baseline or ""]))


def plots(table: Table, ink: str = INK, paper: str = PAPER) -> list[Plot]:
    """The figures of a table, those that its rows have numbers for."""
    drawn, families = [], fonts(table).families
    for draw in (accuracy, differences, cost, learning_curves, validation_curves):
        with style(ink, paper, families=families):
            if (plot := draw(table)) is not None:
                drawn.append(replace(plot, families=families))
    return drawn


def save_plots(report: Report, folder: Path) -> list[Path]:
    """Write every figure of a report into ``folder`` as PNG (300 dpi), SVG and PDF. Returns the files."""
    from harness.common.files import atomic_write

    written = []
    names: dict[str, int] = {}
    for table in report.tables:
        stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in table.dataset)
        names[stem] = names.get(stem, 0) + 1
        stem += f"-{names[stem]}" if names[stem] > 1 else ""  # the same dataset in two benches
        for plot in plots(table):
            for ending in ENDINGS:
                path = folder / f"{stem}-{plot.name}{ending}"
                atomic_write(path, partial(_write, plot, ending[1:]))
                written.append(path)
    return written


def _write(plot: Plot, form: str, file: IO[bytes]) -> None:
    file.write(rendered(plot, form))


def rendered(plot: Plot, form: str, text_as_text: bool = False) -> bytes:
    """The figure as a file of ``form`` (png, svg, pdf): the same figure, the same bytes."""
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    file = io.BytesIO()
    with style(text_as_text=text_as_text, families=plot.families):
        plot.figure.savefig(file, format=form, dpi=300, metadata=undated)
    return file.getvalue()


# ── the figures ───────────────────────────────────────────────────────────────────────────────────


def accuracy(table: Table) -> Plot | None:
    """A dot for each row, setting and interval; whiskers are 95 % intervals."""
    rows = [row for row in table.rows if row.cells]
    if not rows:
        return None
    figure, axes = panels(rows, table.specs, 3 * ROW / 2)
    for spec, panel in zip(table.specs, axes, strict=True):
        for y, row in enumerate(rows):
            intervals = row.cells[spec].intervals if spec in row.cells else {}
            for i, (name, (colour, marker, _)) in enumerate(INTERVALS.items()):
                if (interval := intervals.get(name)) is not None:
                    whisker(panel, y + 0.24 * (i - 1), interval, GREY if row.floor else colour, marker)
        low, high = panel.get_xlim()
        panel.set_xlim(max(low, -1), min(high, 101))
        panel.set_xlabel("accuracy (%)")
    legend(figure, [(colour, marker, colour, text) for colour, marker, text in INTERVALS.values()], columns=3)
    caption = (
        "Accuracy of each row, with 95 % intervals for three questions: this very test set, new images of its classes, "
        "new classes. Floors in grey."
    )
    return Plot("accuracy", caption, figure)


def differences(table: Table) -> Plot | None:
    """Each row minus the baseline, paired by episode, around a zero line."""
    rows = [row for row in table.rows if any(cell.compared for cell in row.cells.values())]
    if not rows:
        return None
    specs = [spec for spec in table.specs if any(spec in row.cells and row.cells[spec].compared for row in rows)]
    figure, axes = panels(rows, specs, ROW, right=0.55)
    for spec, panel in zip(specs, axes, strict=True):
        panel.axvline(0, lw=0.9, color=panel.xaxis.label.get_color())
        for y, row in enumerate(rows):
            compared = row.cells[spec].compared if spec in row.cells else None
            if compared is None:
                continue
            colour = GREY if row.floor else COLOURS[0]
            hollow = compared.holm_t_p is None or compared.holm_t_p >= SIGNIFICANT
            whisker(panel, y, compared.found.difference, colour, "o", hollow=hollow)
            panel.text(1.03, y, p_value(compared.holm_t_p), transform=panel.get_yaxis_transform(), va="center", size=8)
        panel.text(1.03, -0.85, "p", transform=panel.get_yaxis_transform(), va="center", size=8, style="italic")
        panel.set_xlabel(f"difference from {table.baseline} (points)")
    legend(
        figure,
        [(COLOURS[0], "o", COLOURS[0], "p < 0.05"), (COLOURS[0], "o", figure.get_facecolor(), "p ≥ 0.05")],
        columns=2,
    )
    caption = (
        f"Paired differences from {table.baseline} on open episodes, in points, with 95 % intervals; p-values of "
        "paired t-tests, adjusted by Holm for all tests of the table (intervals are not), hollow where p ≥ 0.05; none "
        "of floors, in grey."
    )
    return Plot("differences", caption, figure)


def learning_curves(table: Table) -> Plot | None:
    """Training losses by epoch, a panel a row: losses of different methods share no scale."""
    from matplotlib.figure import Figure

    rows = [row for row in table.rows if losses(row)]
    if not rows:
        return None
    n = min(3, len(rows))
    height = math.ceil(len(rows) / n)
    figure = Figure(figsize=(0.3 + 2.4 * n, 0.2 + 1.9 * height), layout="constrained")
    axes = figure.subplots(height, n, squeeze=False).ravel()
    for panel, row in zip(axes, rows, strict=False):
        for i, name in enumerate(losses(row)):
            for history in row.history:
                epochs = [epoch for epoch, line in enumerate(history, 1) if name in line]
                values = [line[name] for line in history if name in line]
                panel.plot(
                    epochs,
                    values,
                    color=COLOURS[i % len(COLOURS)],
                    lw=1.6 if name == "loss" else 0.9,
                    ls="-" if name == "loss" else (0, (5, 1 + i)),
                    label=name if history is row.history[0] else None,
                )
        panel.set_title(row.name)
        lowest, highest = panel.dataLim.intervaly
        panel.set_ylim(min(0, lowest), highest * (1.05 + 0.16 * len(losses(row))))  # room for the legend
        whole_epochs(panel)
        panel.legend(loc="upper right", handlelength=1.6)
    for panel in axes[len(rows) :]:
        panel.set_visible(False)
    for panel in axes[max(0, len(rows) - n) : len(rows)]:
        panel.set_xlabel("epoch")
    return Plot("learning-curves", "Training losses by epoch, a line a seed; scales differ between panels.", figure)


def validation_curves(table: Table) -> Plot | None:
    """Accuracy on validation episodes by epoch, for the rows that select their weights on it."""
    from matplotlib.figure import Figure

    rows = [row for row in table.rows if any("val_accuracy" in line for history in row.history for line in history)]
    if not rows:
        return None
    figure = Figure(figsize=(4.6, 2.8 + 0.2 * math.ceil(len(rows) / 3)), layout="constrained")
    panel = figure.subplots()
    looks = looks_of(rows)
    for row in rows:
        for history in row.history:
            points = [(i, 100 * line["val_accuracy"]) for i, line in enumerate(history, 1) if "val_accuracy" in line]
            panel.plot(*zip(*points, strict=True), color=looks[row.name][0], marker=looks[row.name][1], ms=3, lw=1)
    panel.set(xlabel="epoch", ylabel="validation accuracy (%)")
    whole_epochs(panel)
    panel.grid(axis="y")
    legend(figure, [(*looks[row.name], looks[row.name][0], row.name) for row in rows], columns=min(3, len(rows)))
    return Plot("validation-curves", "Accuracy on validation episodes by epoch, a line a seed.", figure)


def losses(row: Row) -> list[str]:
    """The names of the losses in a row's history; none where it has a single epoch."""
    if max(map(len, row.history), default=0) < 2:
        return []
    names = dict.fromkeys(name for history in row.history for line in history for name in line)
    return [name for name in names if not any(name == other or name.endswith(f"_{other}") for other in OTHER_METRICS)]
