"""Get a published file: from the mirror folder CROWDLLM_DATA_DIR, else from the cache, else from its source.

With CROWDLLM_DATA_DIR set, only that folder is looked at, under the same relative paths, and nothing is
downloaded. Otherwise the file is downloaded once into the user's cache folder. Where the source's SHA-256 is
known, the file must have it, in the mirror as well; where only a changed copy was ever at hand it is not
known, and then nothing is checked (and the data set's card says so).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from crowdllm.errors import DataUnavailableError

VARIABLE = "CROWDLLM_DATA_DIR"


@dataclass(frozen=True)
class SourceFile:
    """One published file.

    path: where it lies in a mirror folder and in the cache, with forward slashes.
    sha256: of the published file; None where it is not known.
    """

    path: str
    url: str
    sha256: str | None = None


def github(repository: str, commit: str, path: str) -> str:
    """The address of a file of a public repository at one commit, which never changes."""
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"


def data_dir() -> Path | None:
    """The mirror folder, or None when CROWDLLM_DATA_DIR is not set."""
    folder = os.environ.get(VARIABLE, "")
    return Path(folder) if folder else None


def cache_dir() -> Path:
    """Where downloads are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("crowdllm") / "datasets"


def is_local(file: SourceFile) -> bool:
    """Whether `fetch` would find the file without a download (its content is not looked at)."""
    mirror = data_dir()
    if mirror is None:
        return (cache_dir() / file.path).is_file()
    return _in_mirror(mirror, file.path, file.sha256).is_file()


def fetch(path: str, url: str, sha256: str | None) -> Path:
    """The file's place on this machine.

    path: relative, with forward slashes; url: its published source; sha256: hexadecimal, None if not known.
    A `.gz` without known checksum may lie unpacked in a mirror folder.

    Raises:
        DataUnavailableError: not in the mirror, not to be downloaded, or not the file that was published.
    """
    mirror = data_dir()
    return _download(path, url, sha256) if mirror is None else _from_mirror(mirror, path, url, sha256)


def fetch_file(file: SourceFile) -> Path:
    """`fetch` for a `SourceFile`."""
    return fetch(file.path, file.url, file.sha256)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _in_mirror(mirror: Path, path: str, sha256: str | None) -> Path:
    unpacked = mirror / path.removesuffix(".gz")
    return unpacked if sha256 is None and unpacked.is_file() else mirror / path


def _from_mirror(mirror: Path, path: str, url: str, sha256: str | None) -> Path:
    found = _in_mirror(mirror, path, sha256)
    if not found.is_file():
        raise DataUnavailableError(
            f"{path} is not in the data folder {mirror} ({VARIABLE}): put it there from {url}, or unset "
            f"{VARIABLE} to have it downloaded"
        )
    if sha256 is not None:
        _require_hash(found, sha256, f"replace it by the file from {url}")
    return found


def _download(path: str, url: str, sha256: str | None) -> Path:
    import pooch

    target = cache_dir() / path
    try:
        pooch.retrieve(
            url,
            known_hash=None if sha256 is None else f"sha256:{sha256}",
            fname=target.name,
            path=target.parent,
        )
    except (OSError, ValueError) as error:  # connection, HTTP status, disk; wrong hash, unusable address
        raise DataUnavailableError(
            f"{path} could not be downloaded from {url}: {error}. Try again with a connection, or set "
            f"{VARIABLE} to a folder that holds {path}"
        ) from error
    return target


def _require_hash(path: Path, sha256: str, remedy: str) -> None:
    actual = sha256_of(path)
    if actual != sha256:
        raise DataUnavailableError(
            f"{path} is not the published file: its SHA-256 is {actual}, the published one {sha256}; {remedy}"
        )
