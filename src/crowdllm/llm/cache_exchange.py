"""Move kept answers between caches as a file of JSON lines, so that a study can be shipped with its answers.

Row 1 says what the file is and how many rows follow; every other row is one answer with all that it depends on:

    {"answer": "Rating: 4", "answers": [...], "draw": 0, "identity": ..., "sampling": {...}, "system": "", "text": ...}

or, where probabilities were asked for, "shares" and "unseen" in place of "answer" and "draw". The same cache gives the
same file, byte for byte. Importing takes all of a file or nothing: every fault is told with its row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from crowdllm.errors import Finding, StudyError
from crowdllm.llm.cache_store import Kept, Question, Store
from crowdllm.llm.protocol import Sampling
from crowdllm.llm.whole_text import whole_text

FORMAT = "crowdllm llm answers"
MOST_BYTES_A_ROW = 8_000_000
MOST_FINDINGS = 50
_QUESTION = ("answers", "identity", "sampling", "system", "text")


@dataclass(frozen=True)
class Imported:
    """How many rows were new to the cache, and how many it held already."""

    added: int
    known: int


def export_cache(path: str | Path, file: str | Path) -> int:
    """Write all answers of the cache `path` to `file`; how many. Raises CacheError, or OSError for `file`."""
    if not Path(path).is_file():
        raise StudyError([Finding("error", "no such cache", str(path))])
    store = Store(path)
    fresh = Path(file).with_name(Path(file).name + ".part")
    try:
        rows = [json.dumps(row, sort_keys=True) for asked, kept in store.entries() for row in _rows(asked, kept)]
    finally:
        store.close()
    with fresh.open("w", encoding="utf-8", newline="\n") as out:
        out.write(json.dumps({"format": FORMAT, "rows": len(rows), "version": 1}) + "\n")
        out.writelines(f"{row}\n" for row in rows)
    fresh.replace(file)
    return len(rows)


def import_cache(path: str | Path, file: str | Path) -> Imported:
    """Add the answers of an exported file to the cache `path`, which is made where there is none.

    Raises StudyError with the row of every fault (the first fifty): no JSON, a field that is missing, unknown or of the
    wrong type, an answer that stands in the file twice, one that differs from what the cache holds, rows that are
    missing at the end. Then nothing was added.
    """
    name = Path(file).name
    findings: list[Finding] = []
    store = Store(path)
    try:
        with Path(file).open("rb") as source, store.transaction():
            added, known = _take(source, store, findings, name)
            if findings:
                raise _Faulty
    except _Faulty:
        raise StudyError(findings) from None
    except OSError as error:
        raise StudyError([Finding("error", f"cannot be read: {error.strerror or error}", str(file))]) from None
    finally:
        store.close()
    return Imported(added, known)


class _Faulty(Exception):
    """Something was found wrong: undo what was inserted."""


def _rows(asked: Question, kept: Kept) -> Iterator[dict[str, Any]]:
    same = {
        "answers": list(asked.answers),
        "identity": asked.identity,
        "sampling": json.loads(asked.settings),
        "system": asked.system,
        "text": asked.text,
    }
    for draw, text in kept.texts.items():
        yield same | {"draw": draw, "answer": text}
    if kept.shares:
        yield same | {"shares": list(kept.shares), "unseen": kept.unseen}


def _take(source: BinaryIO, store: Store, findings: list[Finding], name: str) -> tuple[int, int]:
    """Insert every row that is right; how many were new and known. What is wrong goes to `findings`."""
    seen: set[tuple[str, int | None]] = set()
    expected, number, added = None, 0, 0
    while line := source.readline(MOST_BYTES_A_ROW + 1):
        number += 1
        try:
            row = _parsed(line)
            if number == 1:
                expected = _header(row)
                continue
            asked, kept = _checked(row)
            place = (asked.key, *(kept.texts or [None]))
            if place in seen:
                raise ValueError("this answer stands in the file twice")
            seen.add(place)
            held = store.held([asked.key]).get(asked.key, Kept())
            if any(held.texts.get(k, text) != text for k, text in kept.texts.items()) or (
                kept.shares and held.shares and (held.shares, held.unseen) != (kept.shares, kept.unseen)
            ):
                raise ValueError("the cache holds another answer to this question and draw")
            added += store.insert_all([(asked, kept)])
        except ValueError as error:
            findings.append(Finding("error", str(error), name, number))
            if number == 1 or len(findings) == MOST_FINDINGS or len(line) > MOST_BYTES_A_ROW:
                return 0, 0
    if expected is None:
        findings.append(Finding("error", "an empty file", name))
    elif expected != number - 1:
        message = f"{number - 1:,} rows follow the first, which promises {expected:,}: a part is missing"
        findings.append(Finding("error", message, name, number))
    return added, len(seen) - added


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > MOST_BYTES_A_ROW:
        raise ValueError(f"a row of more than {MOST_BYTES_A_ROW:,} bytes")
    if not line.endswith(b"\n"):
        raise ValueError("the last row has no end: a part of the file is missing")
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError("no JSON that can be read: too deep") from None
    if not isinstance(row, dict):
        raise ValueError("no JSON object")
    return row


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a field stands twice in one object")
    return dict(pairs)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _header(row: dict[str, Any]) -> int:
    rows = row.get("rows")
    if row.get("format") != FORMAT or type(rows) is not int:
        raise ValueError(f'no export of answers: its first row has "format": "{FORMAT}" and "rows"')
    if row.get("version") != 1:
        raise ValueError(f"version {row.get('version')!r} of the format; version 1 can be read")
    return rows


def _checked(row: dict[str, Any]) -> tuple[Question, Kept]:
    """Raises ValueError for anything that `_rows` would not have written."""
    kind = ("shares", "unseen") if "shares" in row else ("answer", "draw")
    allowed = {*_QUESTION, *kind}
    if set(row) != allowed:
        wrong = sorted(set(row) ^ allowed)
        raise ValueError(f"fields missing or unknown: {', '.join(map(repr, wrong[:5]))}")
    for name in ("identity", "system", "text", *(("answer",) if kind[0] == "answer" else ())):
        _text(row[name], name)
    if not isinstance(row["answers"], list):
        raise ValueError("answers must be a list of texts")
    answers = tuple(_text(answer, "answers") for answer in row["answers"])
    asked = Question(row["identity"], _sampling(row["sampling"]), row["system"], row["text"], answers)
    if kind[0] == "answer":
        if type(row["draw"]) is not int or not 0 <= row["draw"] < 2**31:
            raise ValueError("draw must be a whole number from 0")
        return asked, Kept({row["draw"]: row["answer"]})
    shares, unseen = row["shares"], row["unseen"]
    if not isinstance(shares, list) or len(shares) != len(answers) or not all(map(_is_share, [*shares, unseen])):
        raise ValueError("shares must be one number from 0 to 1 for each of the answers, and unseen one")
    if not abs(math.fsum(shares) - 1) <= 1e-6:
        raise ValueError("shares must add up to 1")
    return asked, Kept({}, tuple(float(share) for share in shares), float(unseen))


def _sampling(found: Any) -> Sampling:
    names = {f.name: f.default for f in fields(Sampling)}
    if not isinstance(found, dict) or set(found) != set(names):
        raise ValueError(f"sampling must have exactly {', '.join(names)}")
    for name, default in names.items():
        value = found[name]
        right = isinstance(value, int | float) and not isinstance(value, bool) if type(default) is float else None
        if not (type(value) is type(default) if right is None else right):
            raise ValueError(f"sampling: {name} must be like {default!r}")
    return Sampling(**found)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or whole_text(value) != value:
        raise ValueError(f"{name} must be text")
    return value


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
