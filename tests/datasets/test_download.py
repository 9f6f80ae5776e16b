"""Files come from the mirror, the cache or a server, and are what was published or an error says so."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crowdllm.datasets import download
from crowdllm.datasets.download import SourceFile, fetch, fetch_file, github, is_local
from crowdllm.errors import DataUnavailableError

CONTENT = b"a,b\n1,2\n"
HASH = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CROWDLLM_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "cache_dir", lambda: tmp_path / "cache")
    logging.getLogger("pooch").setLevel(logging.ERROR)
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "table.csv").write_bytes(CONTENT)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def mirror_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    (folder / "group").mkdir(parents=True)
    (folder / "group" / "table.csv").write_bytes(CONTENT)
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(folder))
    return folder


def test_a_file_is_taken_from_the_mirror(mirror_folder: Path) -> None:
    assert fetch("group/table.csv", "http://unused.invalid/", HASH) == mirror_folder / "group" / "table.csv"
    assert is_local(SourceFile("group/table.csv", "http://unused.invalid/", HASH))


def test_a_file_absent_from_the_mirror_is_named_with_what_to_do(mirror_folder: Path) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        fetch("group/other.csv", "http://example.invalid/other.csv", HASH)
    for part in (
        "group/other.csv",
        str(mirror_folder),
        "CROWDLLM_DATA_DIR",
        "http://example.invalid/other.csv",
        "unset",
    ):
        assert part in str(caught.value)
    assert not is_local(SourceFile("group/other.csv", ""))


def test_a_mirror_file_with_another_checksum_names_both(mirror_folder: Path) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        fetch("group/table.csv", "http://example.invalid/table.csv", WRONG)
    assert HASH in str(caught.value)
    assert WRONG in str(caught.value)


def test_a_mirror_file_of_unknown_checksum_is_taken_as_it_is(mirror_folder: Path) -> None:
    assert fetch("group/table.csv", "http://unused.invalid/", None).read_bytes() == CONTENT


def test_a_packed_file_of_unknown_checksum_may_lie_unpacked_in_the_mirror(mirror_folder: Path) -> None:
    file = SourceFile("group/table.csv.gz", "http://unused.invalid/")
    assert is_local(file)
    assert fetch_file(file).name == "table.csv"


def test_a_download_is_checked_and_kept(cache: Path, server: str) -> None:
    file = SourceFile("group/table.csv", f"{server}/table.csv", HASH)
    assert not is_local(file)
    assert fetch_file(file) == cache / "group" / "table.csv"
    assert (cache / "group" / "table.csv").read_bytes() == CONTENT
    assert is_local(file)


def test_a_kept_file_needs_no_connection(cache: Path) -> None:
    (cache / "group").mkdir(parents=True)
    (cache / "group" / "table.csv").write_bytes(CONTENT)
    assert fetch("group/table.csv", "http://example.invalid/table.csv", HASH).read_bytes() == CONTENT


def test_a_download_with_another_checksum_is_refused_and_not_kept(cache: Path, server: str) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        fetch("group/table.csv", f"{server}/table.csv", WRONG)
    for part in (f"{server}/table.csv", HASH, WRONG, "CROWDLLM_DATA_DIR"):
        assert part in str(caught.value)
    assert not (cache / "group" / "table.csv").exists()


def test_an_address_that_is_gone_is_named(cache: Path, server: str) -> None:
    with pytest.raises(DataUnavailableError, match="404") as caught:
        fetch("group/gone.csv", f"{server}/gone.csv", None)
    assert f"{server}/gone.csv" in str(caught.value)


def test_no_connection_names_the_address_and_the_mirror_variable(cache: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataUnavailableError) as caught:
        fetch("group/table.csv", f"http://127.0.0.1:{port}/table.csv", HASH)
    for part in (f"http://127.0.0.1:{port}/table.csv", "CROWDLLM_DATA_DIR", "group/table.csv"):
        assert part in str(caught.value)


def test_a_repository_address_names_the_commit() -> None:
    assert github("owner/name", "abc", "d/e.csv") == "https://raw.githubusercontent.com/owner/name/abc/d/e.csv"
