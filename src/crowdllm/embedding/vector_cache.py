"""What a sentence model made of each text, kept on disk, so that no text goes through it twice on one machine.

One SQLite file, `embeddings.sqlite` in the user's cache folder, shared by processes. A row is a key and some numbers;
the key is the SHA-256 of the model (`model_identity`), of how it is read, and of the text, which is not kept itself.
A vector of three times 384 numbers takes 4.6 kB; the file may be deleted at any time.

`CROWDLLM_EMBEDDING_CACHE` names another file, or is `off`. A file that cannot be read or written is warned about once
and does without: vectors are then made anew.

Shapes: L depths, H width of the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VARIABLE = "CROWDLLM_EMBEDDING_CACHE"
LOCK_SECONDS, KEYS_A_STATEMENT = 60.0, 500
HASHED_WHOLE = 1 << 24  # bytes of a model's file beyond which its size and date stand for its content
Vectors = NDArray[np.float32]


def cache_file() -> Path | None:
    """Where vectors are kept; None where the cache is switched off."""
    given = os.environ.get(VARIABLE, "").strip()
    if given.casefold() == "off":
        return None
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("crowdllm") / "embeddings.sqlite"


@dataclass(frozen=True)
class VectorCache:
    """The kept vectors of one model, read in one way. file: None keeps nothing.

    reading: what else a vector depends on, in words.
    """

    file: Path | None
    identity: str
    reading: str
    depths: int

    def key(self, text: str) -> bytes:
        parts = [self.identity, self.reading, text]
        return hashlib.sha256(json.dumps(parts).encode()).digest()

    def get(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """(L, H) of those of the texts that are kept."""
        found: dict[str, Vectors] = {}
        with self._connection() as connection:
            if connection is None:
                return found
            for start in range(0, len(texts), KEYS_A_STATEMENT):
                keys = {self.key(text): text for text in texts[start : start + KEYS_A_STATEMENT]}
                marks = ",".join("?" * len(keys))
                rows = connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", list(keys))
                for key, blob in rows:
                    if len(blob) and len(blob) % (4 * self.depths) == 0:
                        found[keys[key]] = np.frombuffer(blob, dtype="<f4").reshape(self.depths, -1)
        return found

    def put(self, vectors: Mapping[str, Vectors]) -> None:
        """Keep these; what another process kept meanwhile stays."""
        rows = [(self.key(text), np.ascontiguousarray(v, dtype="<f4").tobytes()) for text, v in vectors.items()]
        with self._connection() as connection:
            if connection is not None:
                with connection:
                    connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        """The open file, closed again afterwards: nothing is shared with a forked process. None without a file."""
        try:
            connection = None if self.file is None else _open(self.file)
        except (sqlite3.Error, OSError) as error:
            _warn(self.file, error)
            connection = None
        if connection is None:
            yield None
            return
        try:
            with closing(connection):
                yield connection
        except sqlite3.Error as error:
            _warn(self.file, error)


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=LOCK_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


_warned: set[Path | None] = set()


def _warn(file: Path | None, error: Exception) -> None:
    if file not in _warned:
        _warned.add(file)
        message = f"the embedding cache {file} cannot be used ({error}); set {VARIABLE} to another file, or to off"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def model_identity(name: str) -> str | None:
    """What tells this model from any other, without loading it; None where that cannot be known.

    A folder's is its path with its files: the content of the small ones, size and date of the large ones. A model of
    the Hugging Face hub is known by the commit that was downloaded. Both include the versions of the packages and the
    kind of processor, with which the last digits change.
    """
    folder = Path(name)
    if folder.is_dir():
        content = _folder_digest(folder)
    else:
        commit = _hub_commit(name)
        if commit is None:
            return None
        content = commit
    packages = [(package, _version(package)) for package in ("sentence-transformers", "transformers", "torch")]
    return json.dumps([str(folder.resolve()) if folder.is_dir() else name, content, packages, _processor()])


def _processor() -> str:
    """What a sentence model runs on when nobody says otherwise."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        about = path.stat()
        digest.update(json.dumps([path.relative_to(folder).as_posix(), about.st_size]).encode())
        digest.update(path.read_bytes() if about.st_size <= HASHED_WHOLE else str(about.st_mtime_ns).encode())
    return digest.hexdigest()


def _hub_commit(name: str) -> str | None:
    """The commit of a downloaded model, from the folder its files lie in."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    for repository in (name, f"sentence-transformers/{name}"):
        try:
            found = try_to_load_from_cache(repository, "config.json")
        except ValueError:  # no name of a model
            continue
        if isinstance(found, str):
            return Path(found).parent.name
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
