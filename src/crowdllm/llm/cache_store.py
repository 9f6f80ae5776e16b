"""The file in which answers are kept: SQLite, shared by threads and processes, every answer committed on its own.

Tables: `questions` (key -> whose answers, with which settings, to what), `texts` (key, draw -> text) and `shares`
(key -> the probability of each answer, what was unseen). The key is the SHA-256 of the question, so that a question
that differs in one letter, or in the temperature, has its own answers. Neither keys of servers nor headers, addresses
or times are kept.

Written ahead (WAL) and synchronised at checkpoints: what is committed survives the end of the process at any moment,
also by kill -9. The file must lie on a local disk.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path

from crowdllm.errors import CrowdLLMError
from crowdllm.llm.protocol import Prompt, Sampling
from crowdllm.llm.whole_text import whole_text

APPLICATION = 0x43524C43
VERSION = 1
LOCK_SECONDS = 60.0
ROWS_A_STATEMENT, KEYS_A_STATEMENT = 64, 500
_SCHEMA = f"""
CREATE TABLE questions (key TEXT PRIMARY KEY, identity TEXT NOT NULL, sampling TEXT NOT NULL, system TEXT NOT NULL,
    text TEXT NOT NULL, answers TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE texts (key TEXT NOT NULL, draw INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (key, draw))
    WITHOUT ROWID;
CREATE TABLE shares (key TEXT PRIMARY KEY, shares TEXT NOT NULL, unseen REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


class CacheError(CrowdLLMError):
    """A cache file that cannot be used."""


@dataclass(frozen=True)
class Question:
    """What was asked of whom: all that an answer depends on, but the number of the draw."""

    identity: str
    sampling: Sampling
    system: str
    text: str
    answers: tuple[str, ...]

    @property
    def settings(self) -> str:
        return settings_text(self.sampling)

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        parts = [self.identity, self.settings, self.system, self.text, list(self.answers)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """What is known of a question: texts by draw, and shares where scores were asked for."""

    texts: dict[int, str] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    unseen: float = 0.0


@lru_cache(maxsize=64)
def settings_text(sampling: Sampling) -> str:
    """A sampling as JSON, the same for 1 and 1.0."""
    exact = {f.name for f in fields(Sampling) if type(f.default) is not float}
    values = asdict(sampling).items()
    return json.dumps({name: v if name in exact else float(v) for name, v in values}, sort_keys=True)


def _list(values: Sequence[object]) -> str:
    return json.dumps(list(values))


def question(identity: str, sampling: Sampling, prompt: Prompt) -> Question:
    return Question(
        identity,
        sampling,
        whole_text(prompt.system),
        whole_text(prompt.text),
        tuple(whole_text(a) for a in prompt.answers),
    )


class Store:
    """An open cache file. Raises CacheError for a file that is none, is broken, or is from a newer version."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        if self.path.is_dir():
            raise CacheError(f"{self.path} is a folder: name a file for the cache")
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def get(self, keys: Sequence[str]) -> dict[str, Kept]:
        """What is kept for each of these; keys for which nothing is are left out."""
        found: dict[str, Kept] = {}
        with self._told(), self._lock:
            for start in range(0, len(keys), KEYS_A_STATEMENT):
                found |= self.held(keys[start : start + KEYS_A_STATEMENT])
        return found

    def held(self, keys: Sequence[str]) -> dict[str, Kept]:
        """Like `get` for a few keys, within a transaction."""
        marks = ", ".join("?" * len(keys))
        found: dict[str, Kept] = {}
        for key, draw, text in self._db.execute(f"SELECT key, draw, text FROM texts WHERE key IN ({marks})", keys):
            found.setdefault(key, Kept({})).texts[draw] = text
        for key, shares, unseen in self._db.execute(f"SELECT * FROM shares WHERE key IN ({marks})", keys):
            found[key] = Kept(found.get(key, Kept()).texts, tuple(json.loads(shares)), unseen)
        return found

    def put(self, entries: Sequence[tuple[Question, Kept]]) -> list[Kept]:
        """Commit what is new of these, together; for each, what is in the file then for its draws and shares.

        Where another process was first, its answers stay, and are given back.
        """
        expected = sum(len(kept.texts) + bool(kept.shares) for _, kept in entries)
        with self.transaction():
            if self.insert_all(entries) == expected:
                return [kept for _, kept in entries]
            return [self.held([asked.key])[asked.key] for asked, _ in entries]

    def insert_all(self, entries: Sequence[tuple[Question, Kept]]) -> int:
        """Within a transaction: add what is not there yet; how many texts and shares that were.

        A statement for all rows of a table, since each one may wait for other threads.
        """
        questions = {asked.key: asked for asked, _ in entries}
        rows = [(key, q.identity, q.settings, q.system, q.text, _list(q.answers)) for key, q in questions.items()]
        self._insert("questions", rows)
        texts = [(asked.key, draw, whole_text(text)) for asked, kept in entries for draw, text in kept.texts.items()]
        shares = [(asked.key, _list(kept.shares), kept.unseen) for asked, kept in entries if kept.shares]
        return self._insert("texts", texts) + self._insert("shares", shares)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> int:
        added = 0
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            marks = ", ".join([f"({', '.join('?' * len(part[0]))})"] * len(part))
            values = [value for row in part for value in row]
            added += self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES {marks}", values).rowcount
        return added

    def has_shares(self, identity: str) -> bool:
        """Whether probabilities of answers are kept for this LLM."""
        ask = "SELECT 1 FROM questions JOIN shares USING (key) WHERE identity = ? LIMIT 1"
        with self._told(), self._lock:
            return self._db.execute(ask, (identity,)).fetchone() is not None

    def entries(self) -> Iterator[tuple[Question, Kept]]:
        """Every question in the order of keys, with all its answers in the order of draws."""
        with self._told(), self._lock:
            keys = [key for (key,) in self._db.execute("SELECT key FROM questions ORDER BY key")]
        for key in keys:
            with self._told(), self._lock:
                row = self._db.execute("SELECT * FROM questions WHERE key = ?", (key,)).fetchone()
                _, identity, settings, system, text, answers = row
                asked = Question(identity, Sampling(**json.loads(settings)), system, text, tuple(json.loads(answers)))
                kept = self.held([key]).get(key, Kept())
            yield asked, Kept(dict(sorted(kept.texts.items())), kept.shares, kept.unseen)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is inserted inside."""
        with self._told(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        """Make the tables of a new file, or check that those of an old one are ours. A foreign file is not touched."""
        self._db.execute("BEGIN")  # one view of the file, also while another process makes its tables
        ours = self._recognised()
        self._db.execute("COMMIT")
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # another process is making the file just now
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self._db.execute("PRAGMA synchronous = NORMAL")
        if not ours:
            self._db.execute("BEGIN IMMEDIATE")
            if not self._recognised():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
            self._db.execute("COMMIT")

    def _recognised(self) -> bool:
        """False for an empty file; raises CacheError for one that is something else."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION and version > VERSION:
            raise CacheError(f"the cache {self.path} is from a newer crowdllm: upgrade, or name another file")
        if application != APPLICATION and (application or version or tables):
            raise CacheError(f"{self.path} is a database of another program: name another file for the cache")
        return bool(application == APPLICATION)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite or the disk complains of, in words."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise CacheError(
                f"the cache {self.path} cannot be used: {error}. If it is broken, move it away; an export of it can be "
                "imported into a new one"
            ) from error
