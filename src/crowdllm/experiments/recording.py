"""Write references as a recorded table with an account beside it, and read the account back.

NAME.csv holds what was read: `problem`, `decision` or `k1`..`kK` (as table cells of the response type), `p1`..`pM`
(shares). NAME.json says how it was asked for: mode, model, K, temperature, the prompt template and its hash, parse
rate, usage, cost, version and date, and the texts of the answers that could not be read. It holds no key, no address.

Shapes: T problems, K draws, M levels or options.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm import __version__
from crowdllm.data.problems import Problems
from crowdllm.data.tables import csv_bytes, number_text
from crowdllm.elicitation.modes import MODES, Plan
from crowdllm.errors import ConfigError, Finding, StudyError
from crowdllm.llm.protocol import Usage
from crowdllm.llm.usage import Price, add
from crowdllm.reference import Reference, Unread
from crowdllm.responses.protocol import ResponseType

FORM = 1
SECONDS_BETWEEN_NOTES = 5.0


@dataclass(frozen=True)
class Spent:
    """What the asking took. usage: of this run; before: of earlier runs of the same recording.

    known: answers that were kept from before. asked_again: draws whose first answer could not be read.
    """

    usage: Usage
    before: Usage = field(default_factory=Usage)
    price: Price | None = None
    asked_again: int = 0
    known: int = 0

    def lines(self) -> list[str]:
        """In words; nothing where no call was made and nothing was known."""
        u = self.usage
        spent = "" if self.price is None else f", cost {self.price.of(u):.4f}"
        used = (
            f"this run: {u.calls:,} calls, {u.prompt_tokens:,} input and {u.completion_tokens:,} output tokens{spent}"
        )
        used += f" ({u.estimated:,} calls estimated)" if u.estimated else ""
        known = f"{self.known:,} answers were kept from before and cost nothing"
        return ([used] if u.calls else []) + ([known] if self.known else [])


class SpendingLog:
    """The usage of a recording that is not finished, in a file beside its place: a stopped run is not forgotten.

    Written every few seconds and when the asking ends in any way but a kill; `before` is what earlier runs used.
    """

    def __init__(self, table: Path, settings: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.path = table.with_name(f".{table.stem}.spent.json")
        self._recording = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._clock, self._written = clock, clock()
        account = read_account(table) if table.exists() else None
        self.before = add(self._held(), Usage(**account["usage"]) if account else Usage())

    def note(self, usage: Usage, now: bool = False) -> None:
        """The usage of this run so far; written at once, or when the last time is long enough ago."""
        if (now or self._clock() - self._written > SECONDS_BETWEEN_NOTES) and usage.calls:
            self._written = self._clock()
            held = {"recording": self._recording, "usage": asdict(add(self._first, usage))}
            _write(self.path, (json.dumps(held) + "\n").encode())

    def _held(self) -> Usage:
        """What stands in the file, if it is of this recording; damaged ones count as nothing."""
        self._first = Usage()
        try:
            held = json.loads(self.path.read_bytes())
            if held["recording"] == self._recording:
                self._first = Usage(**{name: int(value) for name, value in held["usage"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        return self._first

    def close(self) -> None:
        """Take the file away: the account of the finished recording holds its numbers."""
        self.path.unlink(missing_ok=True)


def settings_of(plan: Plan, identity: str) -> dict[str, Any]:
    """What decides the answers: a table made with other settings is another recording."""
    texts = sorted({prompt.text for prompt, _ in plan.wanted})
    return {
        "mode": plan.mode.name,
        "model": identity,
        "draws": plan.draws,
        "temperature": None if plan.sampling.scores else plan.sampling.temperature,
        "max_tokens": plan.sampling.max_tokens,
        "template": {
            "kind": plan.mode.template,
            "file": plan.template.source or "built in",
            "sha256": plan.template.sha256,
            "again_sha256": plan.templates["again"].sha256,
        },
        "prompts": {
            "number": len(texts),
            "sha256": hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest(),
        },
        "response": plan.response_type.to_dict(),
    }


def require_place(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError where a table stands that is not of these settings, so that no recording is overwritten."""
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"--out: references are written as a table NAME.csv, not {path.name!r}")
    if not path.exists():
        return
    held = read_account(path)
    if held is None:
        raise ConfigError(f"{path} exists and was not written by `crowdllm references`: give another --out")
    differ = [key for key in settings if held.get("settings", {}).get(key) != settings[key]]
    if differ:
        raise ConfigError(
            f"{path} holds references asked for in another way (it differs in {', '.join(differ)}): give another "
            "--out, or delete it"
        )


def write_recording(path: Path, plan: Plan, reference: Reference, settings: Mapping[str, Any], spent: Spent) -> Path:
    """Write table and account, each beside its place and then renamed; the account's path."""
    table = csv_bytes(table_columns(reference, plan.problems, plan.response_type))
    count, used = reference.asked, add(spent.before, spent.usage)
    account = {
        "crowdllm": __version__,
        "form": FORM,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "problems": len(plan.problems),
        "answers": count,
        "unparsable": reference.unparsable,
        "failed": reference.failed,
        "missing": reference.missing,
        "parse_rate": round(reference.parse_rate, 6) if count else None,
        "asked_again": spent.asked_again,
        "usage": asdict(used),
        "price_per_million_tokens": None if spent.price is None else asdict(spent.price),
        "cost": None if spent.price is None else spent.price.of(used),
        "personas": _personas(plan),
        "notes": [note for note in reference.note.split("; ") if note],
        "table_sha256": hashlib.sha256(table).hexdigest(),
        "unread": [asdict(entry) for entry in reference.unread],
    }
    place = account_path(path)
    _write(place, (json.dumps(account, indent=1) + "\n").encode())
    _write(path, table)
    return place


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.part")
    fresh.write_bytes(data)
    fresh.replace(path)


def _personas(plan: Plan) -> list[dict[str, Any]] | None:
    """The invented people in the order of the draws, by column; None where there are none."""
    if plan.personas is None:
        return None
    frame = plan.personas.to_frame()
    records = [{str(c): v for c, v in zip(frame.columns, row, strict=True)} for row in frame.to_numpy(dtype=object)]
    return [{c: None if v is None or v != v else v for c, v in record.items()} for record in records]


def account_path(table: Path) -> Path:
    return table.with_suffix(".json")


def table_columns(reference: Reference, problems: Problems, kind: ResponseType) -> dict[str, list[str]]:
    """The columns of the recorded table; draws or shares that no problem has are left out."""
    columns = {"problem": [str(identity) for identity in reference.problem_ids]}
    values, shares = reference.values_TKD, reference.distribution_TM
    if not np.isnan(values).all() or shares is None:
        names = ["decision"] if values.shape[1] == 1 else [f"k{k + 1}" for k in range(values.shape[1])]
        for k, name in enumerate(names):
            columns[name] = [
                "" if np.isnan(value).any() else kind.write_cell(value, options) or "|"
                for value, options in zip(values[:, k], problems.options, strict=True)
            ]
    if shares is not None:
        counts = problems.option_counts if kind.has_options else np.full(len(problems), shares.shape[1])
        for m in range(int(counts.max(initial=0))):
            columns[f"p{m + 1}"] = [
                "" if m >= count else number_text(float(share))
                for share, count in zip(shares[:, m], counts, strict=True)
            ]
    return columns


def read_account(table: Path) -> dict[str, Any] | None:
    """The account beside a table; None where there is none. Raises StudyError for one that is damaged."""
    path = account_path(table)
    if not path.is_file():
        return None
    try:
        held = json.loads(path.read_bytes())
        _check(held)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        message = f"is no account of references ({reason}): delete it, and the table counts as written by hand"
        raise StudyError([Finding("error", message, str(path))]) from None
    return dict(held)


def _check(held: Any) -> None:
    if held["form"] != FORM or held["settings"]["mode"] not in MODES:
        raise ValueError("of another form")
    for entry in held["unread"]:
        if entry["outcome"] not in ("unparsable", "failed") or not isinstance(entry["draw"], int):
            raise ValueError("an entry of another form under 'unread'")
        if not all(isinstance(entry[key], str) for key in ("problem", "text", "again")):
            raise ValueError("an entry of another form under 'unread'")
    Usage(**{name: int(value) for name, value in held["usage"].items()})
    if not all(isinstance(held[key], int) for key in ("problems", "answers", "unparsable", "failed", "missing")):
        raise ValueError("counts of another form")
    if not isinstance(held["table_sha256"], str) or not isinstance(held["settings"]["model"], str):
        raise ValueError("of another form")


def with_account(reference: Reference, table: Path) -> Reference:
    """A reference read from a table, with the mode, the unparsable and the failed of the account beside it.

    Where the table was edited, or is read for other problems, the counts are those of what is there.
    """
    held = read_account(table)
    if held is None:
        return reference
    settings = held["settings"]
    edited = hashlib.sha256(table.read_bytes()).hexdigest() != held["table_sha256"]
    unread = tuple(Unread(**entry) for entry in held["unread"] if _still_unread(reference, entry))
    unparsable = sum(entry.outcome == "unparsable" for entry in unread)
    found = replace(
        reference,
        mode=settings["mode"],
        asked=reference.asked + len(unread),
        unparsable=reference.unparsable + unparsable,
        failed=len(unread) - unparsable,
        missing=max(reference.missing - len(unread), 0),
        unread=unread,
    )
    if not edited and len(reference.problem_ids) == held["problems"] and len(unread) == len(held["unread"]):
        found = replace(
            found,
            asked=int(held["answers"]),
            unparsable=int(held["unparsable"]),
            failed=int(held["failed"]),
            missing=int(held["missing"]),
        )
    notes = [f"model {settings['model']}", f"asked on {held.get('date', '?')}", *map(str, held.get("notes", []))]
    notes += ["edited since it was recorded"] if edited else []
    return replace(found, note="; ".join(notes))


def _still_unread(reference: Reference, entry: Mapping[str, Any]) -> bool:
    """Whether the table has nothing where this draw would stand (somebody may have filled it in)."""
    at = np.flatnonzero(reference.problem_ids == entry["problem"])
    if not len(at):
        return False
    if reference.distribution_TM is not None:
        return bool(np.isnan(reference.distribution_TM[at[0]]).any())
    draws = reference.values_TKD[at[0]]
    return entry["draw"] >= len(draws) or bool(np.isnan(draws[entry["draw"]]).any())
