"""From the files that people have to the prepared form: ``harness data prepare NAME --source PATH``.

    source ─ recognised form ─► images ─ decode ─► spool ─ match with the split ─► ordered, fingerprinted, renamed

A ``DatasetSpec.prepare`` takes a ``PrepareRequest`` and returns the folder that it made. Dataset plugins call
``prepare_dataset`` with their class list and forms, and have all that is here.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.common.text import shortened
from harness.datasets.prepared import store
from harness.datasets.prepared.fingerprints import canonical_order
from harness.datasets.preparing.downloads import Remote, fetch
from harness.datasets.preparing.forms import Form, FormRequest, Reading
from harness.datasets.preparing.matching import Match, match, shortcomings
from harness.datasets.preparing.sources.archives import look_inside, open_source
from harness.datasets.preparing.spool import Handling, Progress, Spool

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec, SplitName
    from harness.datasets.preparing.classes import ClassList

SWAPPED = "blue, green, red in the source (--bgr), put in order"


def _ignore_message(message: str) -> None:
    pass


@dataclass(frozen=True)
class PrepareRequest:
    """What the command line asks for."""

    root: Path  # the folder with prepared datasets
    source: Path | None = None  # a folder or an archive; None with ``download``
    download: bool = False
    replace: bool = False  # prepare again what is there
    swap_channels: bool = False  # the source's arrays hold blue, green, red
    skip_damaged: bool = False  # leave out images that cannot be read
    say: Callable[[str], None] = _ignore_message  # a line for the user
    progress: Progress | None = None


def prepare_dataset(
    spec: DatasetSpec,
    classes: ClassList,
    forms: Sequence[Form],
    request: PrepareRequest,
    remotes: Sequence[Remote] = (),
) -> Path:
    """The prepared dataset's folder, made from ``request.source`` unless it is there already.

    Args:
        classes: the published split.
        forms: in which the dataset is known, tried in turn.
        remotes: the files that ``--download`` fetches.
    Raises:
        DataError: no source, a source of no known form, damaged or of another dataset. Nothing is left behind.
    """
    folder, source = request.root / spec.name, request.source
    fetched = request.root / ".downloads" / spec.name
    if store.is_prepared(folder) and not request.replace:
        _refuse_other_request(spec, folder, request)
    elif request.download:
        _download(spec, remotes, fetched, request)
    place = fetched if request.download else source
    if place is None:
        raise DataError(f"{spec.name}: give the files with --source PATH. {spec.obtain}")

    def write(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as scratch:
            _write(spec, classes, forms, request, place, folder, Path(scratch))

    waiting = f"another process is preparing {spec.name}: waiting for it"
    store.build(request.root, spec.name, write, replace=request.replace, waiting=lambda: request.say(waiting))
    shutil.rmtree(fetched, ignore_errors=True)
    with contextlib.suppress(OSError):  # other datasets' downloads may be there
        fetched.parent.rmdir()
    return folder


def _download(spec: DatasetSpec, remotes: Sequence[Remote], folder: Path, request: PrepareRequest) -> None:
    if not remotes:
        raise DataError(f"{spec.name} has no public source to download from. {spec.obtain}")
    waiting = f"another process is fetching {spec.name}: waiting for it"
    try:
        with store.locked(request.root, f"downloads-{spec.name}", lambda: request.say(waiting)):
            fetch(remotes, folder, request.say, request.progress)
    except DataError as error:
        by_hand = " ".join(remote.url for remote in remotes)
        command = f"harness data prepare {spec.name} --source FOLDER --data-root {request.root}"
        raise DataError(f"{error}. Or fetch by hand into a FOLDER: {by_hand} and run: {command}") from None


def _write(
    spec: DatasetSpec,
    classes: ClassList,
    forms: Sequence[Form],
    request: PrepareRequest,
    source_path: Path,
    folder: Path,
    scratch: Path,
) -> None:
    form_request = FormRequest(spec.name, classes, spec.image_size, spec.channels, scratch)
    reading = recognise(source_path, form_request, forms, spec)
    if request.swap_channels and not reading.arrays:
        raise DataError(
            f"{source_path}: --bgr is for arrays, in pickles and .npz files; here are {reading.form}, and image files "
            "say themselves which channel is which: run it without --bgr"
        )
    request.say(f"{spec.name}: {reading.images:,} images from {reading.form}")
    spool = Spool(scratch, spec.image_size, spec.channels)
    spool.fill(reading, request.progress, Handling(request.swap_channels, request.skip_damaged))
    matched = match(spool, classes, spec.name)
    notes, details = shortcomings(matched, classes, spec.counts)
    notes += (*reading.notes, *left_out(spool))
    for line in (*reading.remarks, *details, *notes):
        request.say(f"{spec.name}: {line}")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = {
        "source": str(source_path.resolve()),
        "form": reading.form,
        "classes": f"recognised by {matched.named_by}",
        "made": now,
        **({"channels": SWAPPED} if request.swap_channels else {}),
    }
    splits = write_splits(folder, spool, matched, classes)
    store.write_index(folder, store.Index(spec.name, splits, notes, origin))


def recognise(path: Path, form_request: FormRequest, forms: Sequence[Form], spec: DatasetSpec) -> Reading:
    """The source as the first of ``forms`` that knows it; archives inside it are opened only where none does.

    Raises DataError where none of the forms knows it.
    """
    source = open_source(path, form_request.scratch)
    inside = look_inside(source, form_request.scratch)
    for place in (source, inside) if inside.files != source.files else (source,):
        for form in forms:
            reading = form(place, form_request)
            if reading is not None:
                return reading
    known_forms = (
        f"{len(inside.files):,} files, such as {', '.join(map(shortened, sorted(inside.files)[:3]))}"
        if inside.files
        else "it is empty"
    )
    raise DataError(f"{path}: none of the forms in which {spec.name} is known ({known_forms}). {spec.obtain}")


def left_out(spool: Spool) -> tuple[str, ...]:
    """What every table must say of the damaged images that were left out: a note, or none."""
    count = len(spool.damaged)
    return (f"{count:,} damaged {'image' if count == 1 else 'images'} left out",) if count else ()


def write_splits(folder: Path, spool: Spool, matched: Match, classes: ClassList) -> dict[SplitName, store.SplitRecord]:
    """Write the images of each split in canonical order."""
    order = canonical_order(matched.labels, spool.digests)  # (N,)
    labels = matched.labels[order]
    place = {listed_class: number for number, listed_class in enumerate(classes.classes)}
    records: dict[SplitName, store.SplitRecord] = {}
    for split, members in matched.classes.items():
        numbers = np.array([place[listed_class] for listed_class in members])  # ascending: the list's order
        chosen = np.isin(labels, numbers)
        rows = order[chosen]
        new_labels = np.searchsorted(numbers, labels[chosen])
        records[split] = store.write_split(
            folder,
            split,
            [listed_class.name for listed_class in members],
            new_labels,
            spool.digests[rows],
            spool.blocks(rows),
            spool.shape,
        )
    return records


def _refuse_other_request(spec: DatasetSpec, folder: Path, request: PrepareRequest) -> None:
    origin, source = store.read_index(folder).origin, request.source
    before = origin.get("source", "")
    if source is not None and before and before != str(source.resolve()):
        raise DataError(
            f"{spec.name} is already prepared in {folder}, from {before}: add --replace to prepare it from {source}"
        )
    if request.swap_channels and origin.get("channels") != SWAPPED:
        raise DataError(
            f"{spec.name} is already prepared in {folder}, without --bgr: add --replace to prepare it with --bgr"
        )
