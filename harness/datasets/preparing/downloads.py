"""Fetching a dataset's files: checked against their checksum, continued where a connection broke.

``$HARNESS_MIRROR`` (``http://host/path``) replaces the scheme and host of every address, for machines that reach
only a mirror.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.datasets.preparing.sources.files import CHUNK, check_space

TRIES = 4  # connections a file, before the user is asked to try again
PAUSE = 1.0  # seconds before the second try; doubled each time
TIMEOUT = 60.0  # seconds without a byte
BROKEN = (OSError, http.client.HTTPException)  # what a network does

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Remote:
    """A file on a public server."""

    url: str
    md5: str = ""
    record: str = ""  # where ``md5`` is empty: the Zenodo record that states it

    @property
    def name(self) -> str:
        return urllib.parse.unquote(self.url.rpartition("/")[2])


def zenodo(record: str, names: Iterable[str]) -> tuple[Remote, ...]:
    """Files of a Zenodo record, whose own list of them has the checksums."""
    return tuple(Remote(f"https://zenodo.org/record/{record}/files/{name}", record=record) for name in names)


def fetch(
    remotes: Iterable[Remote], folder: Path, say: Callable[[str], None], progress: Progress | None = None
) -> None:
    """Bring all files into ``folder``; those that are there and whole are not fetched again.

    Raises:
        DataError: no network, a broken connection (what came is kept, and continued from), a wrong checksum (what
            came is removed), no room on the disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}): choose another --data-root") from None
    checksums: dict[str, dict[str, str]] = {}
    for remote in remotes:
        expected = remote.md5
        if remote.record:
            if remote.record not in checksums:
                checksums[remote.record] = _zenodo_checksums(remote.record)
            expected = checksums[remote.record].get(remote.name, "")
            if not expected:
                raise DataError(f"Zenodo record {remote.record} lists no {remote.name} any more: fetch it elsewhere")
        if not (folder / remote.name).exists():
            say(f"fetching {_mirrored(remote.url)}")
            _fetch_one(remote, expected, folder, progress)


def _fetch_one(remote: Remote, md5: str, folder: Path, progress: Progress | None) -> None:
    part = folder / f"{remote.name}.part"
    for attempt in range(TRIES):
        try:
            _continue(remote.url, part, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == TRIES - 1:
                raise DataError(f"{_mirrored(remote.url)}: the server answers {error.code} {error.reason}") from None
        except BROKEN as error:
            if attempt == TRIES - 1:
                kept = part.stat().st_size if part.exists() else 0
                reason = getattr(error, "reason", None) or error
                raise DataError(
                    f"{_mirrored(remote.url)} cannot be fetched ({reason})"
                    + (f"; {kept / 1e6:,.1f} MB of it are kept and the same command continues from there" * bool(kept))
                ) from None
        time.sleep(PAUSE * 2**attempt)
    actual = _md5(part)
    if actual != md5:
        part.unlink()
        raise DataError(
            f"{_mirrored(remote.url)}: wrong checksum (md5 {actual}, expected {md5}), removed: run the same command "
            "again; if it happens again, the file has changed there and you need another copy of it"
        )
    os.replace(part, folder / remote.name)


def _continue(url: str, part: Path, progress: Progress | None) -> None:
    """Append to ``part`` what it still lacks; start anew where the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "fsl-harness"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(_mirrored(url), headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing lies behind what is here: it is whole, or not this file
            error.close()
            return
        error.close()
        raise
    with response, contextlib.ExitStack() as stack:
        continued = response.status == 206
        start = have if continued else 0
        total = start + int(response.headers.get("Content-Length") or 0)
        check_space(part.parent, total - start, url)
        file = stack.enter_context(part.open("ab" if continued else "wb"))
        done = start
        while chunk := response.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, max(total, done))
        if done < total:
            raise ConnectionError("the connection broke")


def _zenodo_checksums(record: str) -> dict[str, str]:
    """File name → md5, as the record's own page states them."""
    url = f"https://zenodo.org/api/records/{record}"
    try:
        with urllib.request.urlopen(_mirrored(url), timeout=TIMEOUT) as response:
            listed = json.loads(response.read(CHUNK))
        return {file["key"]: file["checksum"].removeprefix("md5:") for file in listed["files"]}
    except (*BROKEN, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{_mirrored(url)}, which has the checksums, cannot be read ({reason})") from None


def _mirrored(url: str) -> str:
    mirror = os.environ.get("HARNESS_MIRROR")
    if not mirror:
        return url
    return mirror.rstrip("/") + urllib.parse.urlsplit(url).path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
