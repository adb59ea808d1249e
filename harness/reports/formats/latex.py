"""Reports for papers: floats with booktabs tables that fit a column, or with ``wide`` a page of two columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from harness.reports.formats.conditions import conditions
from harness.reports.formats.differences import about_differences, difference_rows
from harness.reports.formats.markdown import (
    ABOUT_PUBLISHED,
    MARK,
    SAME,
    WORDS,
    Number,
    alignment,
    main_cells,
    mark_notes,
    published_rows,
    seed_rows,
    title,
)

if TYPE_CHECKING:
    from harness.reports.model import Report, Table, View

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "±": r"$\pm$",
    MARK: r"$\dagger$",
    SAME: r"$\ddagger$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "×": r"$\times$",
    "<": "$<$",
    ">": "$>$",
    '"': r"\symbol{34}",
    "|": "$|$",
}
SIGNS = {MARK: r"\dagger", SAME: r"\ddagger"}
NARROW = ("method", "setting", "difference", "p (t, Holm)", "relation")  # columns of differences that fit a column
FLOAT_PACKAGES = "% needs \\usepackage{booktabs} \\usepackage{graphicx}\n"
USE = "\\usepackage{{{}}}"
OPENERS = "[*"  # after \\ at the beginning of a row LaTeX would take them for its own

FLOAT = r"""\begin{{{float}}}[t]
\centering
\caption{{{caption}}}
\label{{{label}}}
\smallskip\small\setlength{{\tabcolsep}}{{4pt}}
\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%
{tabular}}}
{notes}\end{{{float}}}
"""


def latex(report: Report) -> str:
    """A float a table, shrunk only where it is wider than its column; conditions and failures are comments."""
    view = report.view
    packages = ["booktabs", "graphicx", *(["siunitx"] if view.numbers == "siunitx" else [])]
    needed = f"% needs {' '.join(USE.format(name) for name in packages)}\n"
    return needed + "\n".join(_section(table, view, i) for i, table in enumerate(report.tables))


def _section(table: Table, view: View, number: int) -> str:
    label = view.label or f"tab:{''.join(c if c.isascii() and c.isalnum() else '-' for c in table.dataset.lower())}"
    label += f"-{number + 1}" if number else ""
    said = [
        title(table),
        *conditions(table, view),
        *(f"{row.name} failed: {row.failure}" for row in table.rows if row.failure),
    ]
    notes = [escape(" ".join(line.split())) for line in mark_notes(table)]
    cells = main_cells(table, view, costly=False)
    main = _siunitx(cells) if view.numbers == "siunitx" else tabular(plain_cells(cells))
    parts = [comments(said), float_of(main, view, view.caption or _caption(table, view), label, notes)]
    if view.per_seed:
        caption = f"{escape(title(table))}: accuracy (\\%) of each seed, mean over closed episodes."
        parts.append(float_of(tabular(_escaped(seed_rows(table, view))), view, caption, f"{label}-seeds"))
    if table.baseline:
        parts.append(comments([about_differences(table)]))
        lines = difference_rows(table, digits=view.precision)
        if not view.wide:
            lines = [{name: text for name, text in line.items() if name in NARROW} for line in lines]
        caption = (
            f"{escape(title(table))}: paired differences from {escape(table.baseline)} on open episodes, in points."
        )
        parts.append(float_of(tabular(_escaped(lines)), view, caption, f"{label}-differences") if lines else "")
    if verdicts := published_rows(table):
        parts.append(comments([ABOUT_PUBLISHED]))
        caption = f"{escape(title(table))}: beside published numbers, accuracy (\\%)."
        parts.append(float_of(tabular(_escaped(verdicts)), view, caption, f"{label}-published"))
    return "".join(parts)


def _caption(table: Table, view: View) -> str:
    name = view.interval or "closed"
    about = {"closed": "this test set", "open": "new images of these classes", "class": "new classes"}[name]
    n = len(table.plan.seeds)
    marks = {
        "best": "Bold: the highest",
        "second": "underlined: the second highest",
        "same": "$\\ddagger$: not told apart from the best (paired $t$-tests, Holm)",
        "tiers": "rows that share a letter are not told apart (paired $t$-tests, Holm)",
    }
    said = "; ".join(text for mark, text in marks.items() if mark in view.mark)
    said = f" {said[:1].upper() + said[1:]}." if said else ""
    episodes = sorted(
        {episodes.n for episodes in table.episodes if episodes.target == ("closed", "open")[name != "closed"]}
    )
    return (
        f"{escape(title(table))}: accuracy (\\%) with 95\\,\\% intervals about {about}, over "
        f"{' or '.join(map(str, episodes)) or '0'} episodes and {n} training seed{'s' if n != 1 else ''}.{said}"
    )


def float_of(content: str, view: View, caption: str, label: str, notes: Sequence[str] = ()) -> str:
    """A float around a tabular, with notes below it. The caption, label and notes are LaTeX already."""
    return FLOAT.format(
        float="table*" if view.wide else "table",
        caption=caption,
        label=label,
        tabular=content,
        notes="".join(f"\\par{{\\footnotesize\\raggedright {note}\\par}}\n" for note in notes),
    )


def comments(lines: Sequence[str]) -> str:
    """Lines of text as comments of a LaTeX file."""
    return "".join(f"% {' '.join(line.split())}\n" for line in lines)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


def plain_cells(lines: Sequence[Mapping[str, str | Number]]) -> list[dict[str, str]]:
    """Cells in which numbers are ``\\textbf{72.40}`` with a smaller ± behind them, and their marks raised."""
    longest: dict[str, str] = {}  # marks of each column: all take as much room, so that digits stand below digits
    for line in lines:
        for name, cell in line.items():
            if isinstance(cell, Number):
                longest[name] = max(longest.get(name, ""), _raised(cell), key=len)

    def text(name: str, cell: str | Number) -> str:
        if not isinstance(cell, Number):
            return escape(cell)
        mean, raised = escape(cell.mean), _raised(cell)
        shown = f"\\textbf{{{mean}}}" if cell.best else f"\\underline{{{mean}}}" if cell.second else mean
        room = f"\\rlap{{{raised}}}\\hphantom{{{longest[name]}}}" if longest[name] else ""
        return shown + _half_width(cell) + room

    return [{name: text(name, cell) for name, cell in line.items()} for line in lines]


def _half_width(number: Number) -> str:
    return f"\\,{{\\scriptsize$\\pm$\\,{escape(number.half_width)}}}" if number.half_width else ""


def _raised(number: Number) -> str:
    letters = number.letters.replace("′", "'")
    raised = (f"\\mathrm{{{letters}}}" if letters else "") + "".join(SIGNS[sign] for sign in number.signs)
    return f"$^{{{raised}}}$" if raised else ""


def _siunitx(lines: Sequence[Mapping[str, str | Number]]) -> str:
    """A tabular whose means stand in S columns, aligned at the point; ± and marks have a column behind each."""
    if not lines:
        return tabular([])
    columns, headers, body = [], [], [[] for _ in lines]  # type: list[str], list[str], list[list[str]]
    for name in lines[0]:
        numbers = [line[name] for line in lines if isinstance(line[name], Number)]
        if not numbers:
            columns.append("l" if name in WORDS else "r")
            headers.append(f"{{{escape(name)}}}")
            for cells, line in zip(body, lines, strict=True):
                cells.append(escape(str(line[name])))
            continue
        whole, _, digits = max((number.mean for number in numbers if isinstance(number, Number)), key=len).partition(
            "."
        )
        columns.append(f"S[table-format={len(whole)}.{len(digits)}]@{{}}l")
        headers.append(f"\\multicolumn{{2}}{{c}}{{{escape(name)}}}")
        for cells, line in zip(body, lines, strict=True):
            cell = line[name]
            if isinstance(cell, Number) and cell.mean != "-":
                weight = "\\bfseries " if cell.best else ""
                mean = f"{{\\underline{{{cell.mean}}}}}" if cell.second else f"{weight}{cell.mean}"
                cells += [mean, _half_width(cell) + _raised(cell)]
            else:
                cells += [f"{{{escape(str(cell))}}}", ""]
    rows = [" & ".join(_row_start(cells)) + r" \\" for cells in body]
    begin = f"\\begin{{tabular}}{{@{{}}{''.join(columns)}@{{}}}}"
    lines_of_table = [begin, "\\toprule", " & ".join(headers) + r" \\", "\\midrule", *rows, "\\bottomrule"]
    return "\\sisetup{detect-weight=true}%\n" + "".join(f"{line}\n" for line in [*lines_of_table, "\\end{tabular}"])


# ── text ──────────────────────────────────────────────────────────────────────────────────────────


def _escaped(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{name: escape(value) for name, value in row.items()} for row in rows]


def _row_start(cells: Sequence[str]) -> list[str]:
    """The cells of a row, the first guarded where LaTeX would read it as an argument of the line break before it."""
    return [f"{{}}{cells[0]}" if cells[0][:1] in OPENERS and cells[0] else cells[0], *cells[1:]]


def tabular(rows: Sequence[Mapping[str, str]]) -> str:
    """A tabular of cells that are LaTeX already."""
    if not rows:
        return "(no rows)\n"
    names = [escape(name) for name in rows[0]]
    cells = [_row_start(list(row.values())) for row in rows]
    text = tabulate(cells, headers=names, tablefmt="latex_raw", colalign=alignment(rows), disable_numparse=True)
    rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
    lines = [next(rules) if line == "\\hline" else line for line in text.splitlines()]
    spec = "".join("l" if side == "left" else "r" for side in alignment(rows))
    lines[0] = f"\\begin{{tabular}}{{@{{}}{spec}@{{}}}}"
    return "".join(f"{line}\n" for line in lines)


def escape(text: str) -> str:
    """The text as LaTeX sets it: no command of it runs, and ``**bold**`` is bold."""
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        return f"\\textbf{{{escape(text[2:-2])}}}"
    sign = "$-$" if text[:1] == "-" and text[1:2].isdigit() else ""
    return sign + "".join(_letter(character) for character in text[1 if sign else 0 :])


def _letter(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    return character if character.isprintable() else " "
