"""Keep the studio's problems, choices of people, studies and models in one SQLite file, so that no change is lost.

Every entry has a revision that each change raises. A change names the revision that it was made from; where somebody
else (another tab, another studio on the same folder) changed the entry since, it is refused and the caller keeps
both. Each change is one transaction: a kill at any moment leaves the entry as it was or as it should be.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import CrowdLLMError

SECONDS_TO_WAIT = 30.0
TABLE = """
CREATE TABLE IF NOT EXISTS entries (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, revision INTEGER NOT NULL, made REAL NOT NULL, body TEXT NOT NULL
)
"""


class NoEntryError(CrowdLLMError):
    """There is no such entry (any more)."""


@dataclass(frozen=True)
class Entry:
    """One thing that is kept. body: plain JSON. made: seconds since 1970."""

    id: str
    kind: str
    revision: int
    made: float
    body: dict[str, Any]


class Store:
    """Entries in a file. Any number of threads and processes may use one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(TABLE)

    def add(self, kind: str, body: dict[str, Any], identity: str = "") -> Entry:
        """A new entry. identity: its id; where there is an entry of that id, its body is replaced."""
        entry = Entry(identity or secrets.token_hex(6), kind, 1, time.time(), body)
        row = (entry.id, kind, entry.revision, entry.made, _text(body))
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET body = excluded.body, revision = revision + 1 WHERE body != excluded.body",
                row,
            )
        return self.get(entry.id, kind) if identity else entry

    def get(self, identity: str, kind: str) -> Entry:
        """Raises NoEntryError where there is none of this kind."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM entries WHERE id = ? AND kind = ?", (identity, kind)).fetchall()
        if not rows:
            raise NoEntryError(f"there is no {kind} {identity!r} here (any more)")
        return _entry(rows[0])

    def all(self, kind: str) -> list[Entry]:
        """All entries of a kind, the oldest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM entries WHERE kind = ? ORDER BY made, id", (kind,)).fetchall()
        return [_entry(row) for row in rows]

    def save(self, entry: Entry, body: dict[str, Any]) -> Entry | None:
        """Change an entry that is still as `entry` says; None, with nothing changed, where it is not."""
        with self._connection() as connection:
            done = connection.execute(
                "UPDATE entries SET body = ?, revision = revision + 1 WHERE id = ? AND kind = ? AND revision = ?",
                (_text(body), entry.id, entry.kind, entry.revision),
            ).rowcount
        return Entry(entry.id, entry.kind, entry.revision + 1, entry.made, body) if done else None

    def remove(self, entry: Entry) -> bool:
        """Delete an entry that is still as `entry` says; whether it was."""
        with self._connection() as connection:
            return bool(
                connection.execute(
                    "DELETE FROM entries WHERE id = ? AND revision = ?", (entry.id, entry.revision)
                ).rowcount
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)


def _entry(row: tuple[str, str, int, float, str]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], json.loads(row[4]))
