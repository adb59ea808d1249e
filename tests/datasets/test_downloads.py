"""Downloads are checked, continued and explained: against a server on this machine that also misbehaves."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli.main import main
from harness.common.errors import DataError
from harness.datasets.preparing import downloads
from harness.datasets.preparing.downloads import Remote, fetch, zenodo
from tests.helpers import data as make
from tests.helpers.data import left_behind

DATA = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.break_after: list[int] = []  # bytes after which each of the next connections breaks
        self.ranges = True
        self.requests: list[tuple[str, str]] = []  # path and Range header

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.requests.append((self.path, wanted))
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(data) > 0 and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        part = data[start:]
        if self.server.break_after:
            part = part[: self.server.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.files["/data.bin"] = DATA
        yield running
        running.shutdown()
        thread.join()


def get(server: Server, folder: Path, md5: str = MD5) -> None:
    fetch([Remote(f"{server.url}/data.bin", md5)], folder, lambda line: None)


def test_a_file_arrives_whole_and_is_fetched_once(server: Server, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    remote = Remote(f"{server.url}/data.bin", MD5)
    fetch([remote], tmp_path, lambda line: None, lambda done, total: steps.append((done, total)))
    fetch([remote], tmp_path, lambda line: None)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert len(server.requests) == 1
    assert steps[-1] == (len(DATA), len(DATA))


def test_a_connection_that_breaks_half_way_is_continued(server: Server, tmp_path: Path) -> None:
    server.break_after = [1_500_000, 700_000]
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert [wanted for _, wanted in server.requests] == ["", "bytes=1500000-", "bytes=2200000-"]


def test_a_connection_that_keeps_breaking_keeps_what_came(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000] * downloads.TRIES
    with pytest.raises(DataError, match=r"connection broke.*0\.4 MB of it are kept and the same command continues"):
        get(server, tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == DATA[:400_000]
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, [1_000_000]
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_wrong_checksum_is_told_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"wrong checksum .md5 {MD5}, expected 0000"):
        get(server, tmp_path, "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_belongs_to_another_file_is_noticed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="wrong checksum"):
        get(server, tmp_path)
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_part_that_is_complete_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA)
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_an_absent_file_is_told_with_the_servers_answer(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the server answers 404"):
        fetch([Remote(f"{server.url}/nothing", MD5)], tmp_path, lambda line: None)


def test_checksums_come_from_the_zenodo_record(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_MIRROR", server.url)
    server.files["/record/77/files/data.bin"] = DATA
    listed = {"files": [{"key": "data.bin", "checksum": f"md5:{MD5}"}]}
    server.files["/api/records/77"] = json.dumps(listed).encode()
    fetch(zenodo("77", ["data.bin"]), tmp_path, lambda line: None)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    with pytest.raises(DataError, match=r"record 77 lists no other\.bin"):
        fetch(zenodo("77", ["other.bin"]), tmp_path, lambda line: None)
    server.files["/api/records/77"] = b"<html>"
    with pytest.raises(DataError, match="which has the checksums, cannot be read"):
        fetch(zenodo("77", ["other.bin"]), tmp_path, lambda line: None)


def test_prepare_downloads_reads_and_tidies_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """miniImageNet, from a mirror that holds a small copy."""
    from harness.datasets.preparing.classes import published

    classes = published("miniImageNet", 600)
    source = tmp_path / "source"
    source.mkdir()
    make.mini_cache(source, make.make_images(classes, 1, 84), classes)
    listed = []
    for path in source.iterdir():
        server.files[f"/record/7978538/files/{path.name}"] = path.read_bytes()
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        listed.append({"key": path.name, "checksum": f"md5:{md5}"})
    server.files["/api/records/7978538"] = json.dumps({"files": listed}).encode()
    monkeypatch.setenv("HARNESS_MIRROR", server.url)
    server.break_after = [10_000_000, 200_000]
    command = ["data", "prepare", "miniImageNet", "--download", "--data-root", str(tmp_path / "root")]
    assert main(command) == 0
    assert left_behind(tmp_path / "root") == ["miniImageNet"]
    assert "partial data (100 of 60,000 images)" in capsys.readouterr().err


def test_without_a_network_one_line_says_what_to_fetch_and_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    monkeypatch.setenv("HARNESS_MIRROR", "http://127.0.0.1:9")  # the discard port: nothing listens
    assert main(["data", "prepare", "CIFAR-FS", "--download", "--data-root", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz" in lines[-1]
    assert "harness data prepare CIFAR-FS --source FOLDER" in lines[-1]
    assert "Traceback" not in "".join(lines)
    assert not (tmp_path / "CIFAR-FS").exists()
