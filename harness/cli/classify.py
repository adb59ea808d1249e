"""``harness classify``: name new images from a few examples of each class, by a trained stage."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import Runs
from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "html")


def classify(
    runs: Runs,
    support: Annotated[Path, typer.Option(help="Folder with a folder of example images for each class.")],
    query: Annotated[Path, typer.Option(help="Folder of the images to name.")],
    row: Annotated[str | None, typer.Option(help="Row of the table: rfs/simple. Default: the only one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Training seed of the row. Default: the first.")] = None,
    classifier: Annotated[str | None, typer.Option(help="In place of the row's own head.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="table, csv, or html: a page of images.")] = None,
    to: Annotated[Path | None, typer.Option("-o", help="File to write: .csv or .html.")] = None,
    bench: Annotated[str, typer.Option(help="ID of the bench, or 'last'.")] = "last",
    dataset: Annotated[str | None, typer.Option(help="Dataset of the bench. Default: its first.")] = None,
    device: Annotated[str, typer.Option(help="What computes: auto, cpu, cuda, cuda:1.")] = "auto",
) -> int:
    """Name new images from a few examples of each class, with probabilities, by a trained stage of a run folder.

    The examples lie in a folder for each class; images of any size and format are taken. The data that the stage was
    trained on need not be here.
    """
    from harness.common.files import write_text
    from harness.inference.learners import load_learner

    chosen = format_ or {".csv": "csv", ".html": "html"}.get(to.suffix if to else "", "table")
    if chosen not in FORMATS:
        raise UnknownName("format", chosen, FORMATS, "Formats")
    learner = load_learner(runs, row, seed, bench=bench, dataset=dataset, device=device)
    answers = learner.classify(support, query, classifier)
    if chosen == "html":
        text = _page(answers, query, f"{learner.name}, seed {learner.seed}")
    else:
        text = _csv(answers) if chosen == "csv" else _table(answers)
    if to is None:
        typer.echo(text, nl=False)
        return 0
    try:
        write_text(to, text)
    except OSError as error:
        raise HarnessError(f"cannot write {to}: {error.strerror}") from None
    return 0


def _table(answers: pd.DataFrame) -> str:
    from tabulate import tabulate

    rows = [
        (a.image, a.answer, f"{a.probability:.3f}") for a in answers.rename(columns={"class": "answer"}).itertuples()
    ]
    return tabulate(rows, headers=("image", "class", "probability"), tablefmt="simple", disable_numparse=True) + "\n"


def _csv(answers: pd.DataFrame) -> str:
    """With a quote before what a spreadsheet would take for a formula."""
    safe = answers.assign(**{name: [_harmless(text) for text in answers[name]] for name in ("image", "class")}).rename(
        columns=_harmless
    )
    return str(safe.to_csv(index=False, float_format="%.6g"))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _page(answers: pd.DataFrame, query: Path, who: str) -> str:
    """A page that shows each image beside its class; it needs nothing but itself."""
    figures = "".join(
        f'<figure><img alt="" src="{_thumbnail(query / str(line["image"]))}"><figcaption>{escape(str(line["class"]))} '
        f"<small>{line['probability']:.2f}</small><br><small>{escape(str(line['image']))}</small></figcaption></figure>"
        for line in answers.to_dict("records")
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width"><title>harness classify</title>'
        "<style>:root{color-scheme:light dark;font:16px/1.4 system-ui,sans-serif}"
        "main{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:9rem}img{width:9rem;height:9rem;"
        "object-fit:contain;image-rendering:pixelated}figcaption{overflow-wrap:anywhere}</style>"
        f"<h1>{len(answers):,} images named by {escape(who)}</h1><main>{figures}</main></html>\n"
    )


def _thumbnail(path: Path) -> str:
    """A data address of the image, 144 pixels at most."""
    import base64
    import io

    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((144, 144))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
