"""Read Pabulib files (.pb): participatory budgeting, with ballots of every type.

    vote_type    becomes
    approval     one problem; a ballot of min_length to max_length projects
    choose-1     one problem; a choice of one project
    ordinal      one problem; a ranking of the best so many
    cumulative   one problem; points that add up to max_sum_points
    scoring      a problem per project; its score, on the scale from min_points to max_points

What is known of voters becomes their profile; voter ids are replaced. Cost, category and the like of a project stand in
its text, as they do for voters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.tables import Cells, plain_number
from crowdllm.datasets.pabulib import Pabulib, parse_pabulib
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, read_text
from crowdllm.exchange.personal import pseudonyms
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.simulated_rows import MARKED, refuse_simulated
from crowdllm.exchange.survey import Item, Survey, distinct_options

TYPES = ("approval", "choose-1", "ordinal", "cumulative", "scoring")
ABOUT = ("district", "category", "target", "cost")
VOTE_COLUMNS = ("voter_id", "vote", "points")
MOST_PROJECTS, MOST_VOTES = 5_000, 2_000_000
MOST_LEVELS = 11


def sniff(files: Sequence[Glance]) -> int:
    if len(files) != 1 or files[0].is_folder:
        return NO
    lines = [line.strip().upper() for line in files[0].text.splitlines()[:3]]
    if "META" in lines[:2] and "KEY;VALUE" in lines:
        return SURE
    return LIKELY if files[0].suffix == ".pb" else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in one .pb file; raises CrowdLLMError for what is none."""
    if len(files) != 1:
        raise CrowdLLMError(f"a Pabulib file holds one vote; import each of these {len(files)} by itself")
    path = files[0]
    text = read_text(path, options.max_megabytes)
    if text.count("\n") > MOST_VOTES:
        raise DamagedFileError(path, f"has more than {MOST_VOTES:,} lines")
    return _imported(parse_pabulib(text, path.name), path, options)


def _imported(file: Pabulib, path: Path, options: ReadOptions) -> Imported:
    ledger = Ledger()
    kind = file.meta.get("vote_type", "").lower()
    if kind not in TYPES:
        raise DamagedFileError(path, f"has the vote_type {kind!r}", f"known are {', '.join(TYPES)}")
    refuse_simulated({name: _cells(file.votes.column(name)) for name in MARKED if name in file.votes.header}, path.name)
    if "vote" not in file.votes.header or "project_id" not in file.projects.header:
        raise DamagedFileError(path, "has no column 'vote' under VOTES, or no 'project_id' under PROJECTS")
    projects = _projects(file, path)
    ledger.understood.append(
        f"{kind} ballots of {len(file.votes.rows):,} voters on {len(projects):,} projects"
        + (f", budget {file.meta['budget']}" if file.meta.get("budget") else "")
    )
    picks, points = _votes(file, projects, path, ledger)
    place = short(", ".join(file.meta[k] for k in ("unit", "instance") if file.meta.get(k)), 120)
    title = short(file.meta.get("description", "") or place or path.stem, 200)
    items = _asked(kind, file, projects, picks, points, place or path.stem, ledger)
    people, left = pseudonyms(_voter_ids(file, path), "voter_id")
    ledger.left_out += left
    _account_for_meta(file, ledger)
    survey = Survey(
        title,
        (*items, *_profile(file, options, ledger)),
        people,
        _context(file),
        "Which of these projects should be funded?" if kind != "scoring" else "How much do you want this project?",
        tuple(short(f"{k}: {file.meta[k]}", 300) for k in ("description", "comment") if file.meta.get(k)),
    )
    return imported_survey(survey, options, ledger)


def _context(file: Pabulib) -> str:
    where = ", ".join(file.meta[k] for k in ("unit", "country") if file.meta.get(k))
    money = " ".join(file.meta[k] for k in ("budget", "currency") if file.meta.get(k)) if "budget" in file.meta else ""
    text = f"Participatory budgeting{f' in {where}' if where else ''}: people vote on projects."
    text += f" A budget of {money} is to be spent." if money else ""
    return short(text, 400)


# --- projects ---------------------------------------------------------------------------------------------


def _projects(file: Pabulib, path: Path) -> dict[str, str]:
    """The text of every project by its id, in the order of the file; no two texts are alike."""
    ids = file.projects.column("project_id")
    twice = [i for i, n in Counter(ids).items() if n > 1 or not i]
    if twice:
        raise DamagedFileError(path, f"project_id {twice[0]!r} is empty or comes twice")
    if len(ids) > MOST_PROJECTS:
        raise DamagedFileError(path, f"has {len(ids):,} projects; at most {MOST_PROJECTS:,} are read")
    texts = []
    for row, (identity, name) in enumerate(zip(ids, file.projects.column("name"), strict=True)):
        about = [f"{label} {cell}" for label in ABOUT if (cell := _cell(file, row, label))]
        texts.append(short(f"{name or f'project {identity}'}" + (f" ({', '.join(about)})" if about else ""), 500))
    return dict(zip(ids, distinct_options(texts), strict=True))


def _cell(file: Pabulib, row: int, column: str) -> str:
    if column not in file.projects.header:
        return ""
    cells, at = file.projects.rows[row], file.projects.header.index(column)
    return cells[at].strip() if at < len(cells) else ""


# --- votes ------------------------------------------------------------------------------------------------


def _votes(
    file: Pabulib, projects: dict[str, str], path: Path, ledger: Ledger
) -> tuple[list[list[int] | None], list[list[str]]]:
    """Per voter the positions of the projects named (None where the vote cannot be read), and the points given."""
    position = {identity: m for m, identity in enumerate(projects)}
    picks: list[list[int] | None] = []
    bad: list[str] = []
    for cell in file.votes.column("vote"):
        named = [part.strip() for part in cell.split(",") if part.strip()]
        known = [position[part] for part in named if part in position]
        fault = len(known) < len(named) or len(set(known)) < len(known)
        picks.append(None if fault else known)
        bad += [cell] if fault else []
    if bad:
        text = f"votes that name a project twice, or one that does not exist, such as {short(bad[0], 60)!r}"
        ledger.note("answers left out", "vote", text, len(bad))
    if len(bad) == len(picks):
        raise DamagedFileError(path, "holds no vote that names projects of its own")
    return picks, [[p.strip() for p in cell.split(",")] for cell in file.votes.column("points")]


def _voter_ids(file: Pabulib, path: Path) -> Cells:
    ids = file.votes.column("voter_id") if "voter_id" in file.votes.header else []
    if not ids:
        return np.array([str(n + 1) for n in range(len(file.votes.rows))], dtype=object)
    twice = [(i, n) for i, n in Counter(ids).items() if n > 1 or not i]
    if twice:
        raise DamagedFileError(path, f"voter_id {short(twice[0][0], 40)!r} is empty or comes twice")
    return np.array(ids, dtype=object)


def _asked(
    kind: str, file: Pabulib, projects: dict[str, str], picks: list[list[int] | None], points: list[list[str]],
    title: str, ledger: Ledger,
) -> tuple[Item, ...]:  # fmt: skip
    options = tuple(projects.values())
    text = "Which of these projects should be funded?" + (f" ({title})" if title else "")
    if kind == "scoring":
        return _scores(file, projects, picks, points, ledger)
    if kind == "choose-1":
        cells = _cells([options[p[0]] if p is not None and len(p) == 1 else "" for p in picks])
        _count_odd("votes for other than one project", sum(p is not None and len(p) != 1 for p in picks), ledger)
        return (Item("vote", text, "single", options, cells, ordered=False, use="problem"),)
    if kind == "ordinal":
        cells = _cells(["|".join(f"#{m + 1}" for m in p or ()) for p in picks])
        return (Item("vote", text, "ranking", options, cells, use="problem"),)
    if kind == "cumulative":
        return (_spread_points(file, options, picks, points, text, ledger),)
    limits = _limits(file, options, picks, ledger)
    cells = _cells(["" if p is None else "|".join(f"#{m + 1}" for m in sorted(p)) or "|" for p in picks])
    return (Item("vote", text, "multiple", options, cells, picks=limits, use="problem"),)


def _cells(texts: Sequence[str]) -> Cells:
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out


def _count_odd(what: str, count: int, ledger: Ledger) -> None:
    if count:
        ledger.note("answers left out", "vote", what, count)


def _whole(file: Pabulib, key: str) -> int | None:
    """A number of META, None where it is not there (or none)."""
    value = plain_number(file.meta.get(key, ""))
    return int(value) if value is not None and value == int(value) and abs(value) < 1e9 else None


def _limits(file: Pabulib, options: Sequence[str], picks: list[list[int] | None], ledger: Ledger) -> tuple[int, int]:
    """How many may be picked: as META says, and widened to what people did."""
    lengths = [len(p) for p in picks if p is not None]
    least = min(_whole(file, "min_length") or 0, len(options))
    most = min(_whole(file, "max_length") or len(options), len(options))
    outside = sum(not least <= n <= most for n in lengths)
    if outside:
        ledger.note("changed", "vote", f"limits of {least} to {most} projects widened to what voters did", outside)
    return max(min(least, min(lengths)), 0), max(most, max(lengths), 1)


def _spread_points(
    file: Pabulib, options: tuple[str, ...], picks: list[list[int] | None], points: list[list[str]], text: str,
    ledger: Ledger,
) -> Item:  # fmt: skip
    """Cumulative ballots: whole points that add up to the budget; others are counted and left out."""
    spread: list[dict[int, int] | None] = [_points_of(p, given) for p, given in zip(picks, points, strict=True)]
    budget = _whole(file, "max_sum_points") or 0
    sums = Counter(sum(s.values()) for s in spread if s)
    if not budget and sums:
        budget = sums.most_common(1)[0][0]
        ledger.note("guessed", "vote", f"points add up to {budget}, as most voters' do")
    unread = sum(s is None and p is not None for s, p in zip(spread, picks, strict=True))
    _count_odd("votes whose points are no whole numbers from 0, or not one for each project", unread, ledger)
    short_of = sum(bool(s) and sum(s.values()) != budget for s in spread if s)
    _count_odd(f"votes whose points do not add up to {budget}", short_of, ledger)
    cells = [
        "|".join(f"#{m + 1}={n}" for m, n in sorted(s.items()) if n) if s and sum(s.values()) == budget else ""
        for s in spread
    ]
    return Item("vote", text, "points", options, _cells(cells), budget=budget, use="problem")


def _points_of(picked: list[int] | None, given: list[str]) -> dict[int, int] | None:
    if picked is None or len(picked) != len(given):
        return None
    numbers = [plain_number(cell) for cell in given]
    if any(n is None or n < 0 or n != int(n) or n > 1e9 for n in numbers):
        return None
    return {m: int(n) for m, n in zip(picked, numbers, strict=True) if n is not None}


def _scores(
    file: Pabulib, projects: dict[str, str], picks: list[list[int] | None], points: list[list[str]], ledger: Ledger
) -> tuple[Item, ...]:
    """Scoring ballots: an item per project; a project that a voter did not name has no score from that voter."""
    columns = np.full((len(projects), len(picks)), "", dtype=object)
    unread = 0
    for n, (picked, given) in enumerate(zip(picks, points, strict=True)):
        numbers = [plain_number(cell) for cell in given]
        if picked is None or not picked:
            continue
        if len(numbers) != len(picked) or None in numbers:
            unread += 1
            continue
        for m, cell in zip(picked, given, strict=True):
            columns[m, n] = cell
    _count_odd("votes without one score for each project named", unread, ledger)
    default = file.meta.get("default_score", "")
    if default:
        blank = int((columns == "").sum())
        text = f"projects that were not named count as not scored, not as {short(default, 20)}"
        ledger.note("not filled in", "default_score", text, blank)
    low: float | None = _whole(file, "min_points")
    high: float | None = _whole(file, "max_points")
    seen = [n for n in (plain_number(c) for c in columns.ravel().tolist() if c) if n is not None]
    low = min([n for n in (low, *seen) if n is not None], default=0)
    high = max([n for n in (high, *seen) if n is not None], default=0)
    whole = all(n == int(n) for n in seen) and high - low < MOST_LEVELS and high > low
    levels = tuple(str(v) for v in range(int(low), int(high) + 1)) if whole else ()
    items = []
    for (identity, text), cells in zip(projects.items(), columns, strict=True):
        common: dict[str, Any] = {"cells_N": _cells([_plain(c, whole) for c in cells]), "use": "problem"}
        if levels:
            items.append(Item(identity, text, "scale", levels, ordered=True, **common))
        else:
            items.append(Item(identity, text, "number", low=float(low), high=float(high), **common))
    return tuple(items)


def _plain(cell: str, whole: bool) -> str:
    """A score as its level is written: 3 for 3.0."""
    number = plain_number(cell)
    return str(int(number)) if whole and number is not None else cell


# --- voters -----------------------------------------------------------------------------------------------


def _profile(file: Pabulib, options: ReadOptions, ledger: Ledger) -> tuple[Item, ...]:
    """What the file says of voters; nothing where rows have more fields than the heading names."""
    names = [name for name in file.votes.header if name and name not in VOTE_COLUMNS]
    wide = sum(len(row) != len(file.votes.header) for row in file.votes.rows)
    named = options.mapping.get("columns", {})
    if wide:
        shown = ", ".join(names) or "none"
        text = (
            f"rows have another number of fields than the heading, so that it cannot be told which is which from "
            f"{shown}; name with --map COLUMN=profile those that you know to be right"
        )
        ledger.note("columns left out", "VOTES", text, wide)
        names = [name for name in names if named.get(name, {}).get("use") == "profile"]
    items = []
    for name in dict.fromkeys(names):
        cells = _cells(file.votes.column(name))
        words = sorted({c for c in cells.tolist() if c})
        number = bool(words) and all(plain_number(w) is not None for w in words)
        kind: Any = "number" if number and len(words) > 2 else "text"
        items.append(Item(name, name, kind, (), cells, use="profile"))
    return tuple(items)


def _account_for_meta(file: Pabulib, ledger: Ledger) -> None:
    """What META says that a study has no place for."""
    used = {"description", "comment", "unit", "instance", "country", "budget", "currency", "vote_type", "num_projects"}
    used |= {"num_votes", "min_length", "max_length", "max_sum_points", "min_points", "max_points", "default_score"}
    rest = {k: v for k, v in file.meta.items() if k not in used and v}
    if rest:
        ledger.note("not carried over", "META", short("; ".join(f"{k}: {v}" for k, v in rest.items()), 600), len(rest))
    said, found = file.meta.get("num_votes", ""), len(file.votes.rows)
    if said and plain_number(said) != found:
        ledger.note("differs", "num_votes", f"META says {short(said, 20)} votes; the file has {found:,}")


READER = Reader("pabulib", "Pabulib, ballots of participatory budgeting", sniff, read)
