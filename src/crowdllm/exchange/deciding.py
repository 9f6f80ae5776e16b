"""Decide what each question of a survey becomes: a problem (on which scale), a profile column, a weight, or a note.

What the user's mapping says counts most, then what the file itself says, then a guess by name, wording and options.

Shapes: N respondents, M levels or options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.errors import ConfigError
from crowdllm.exchange.demographics import describes_people, is_tools_own, is_weight
from crowdllm.exchange.ordered import by_strength, low_to_high, says_no_answer
from crowdllm.exchange.personal import personal_name
from crowdllm.exchange.survey import Item

SETTINGS = ("type", "levels", "low", "high", "budget")
MOST_LEVELS = 30
"""A profile column with more different words than this is left out, and said to be."""


@dataclass(frozen=True)
class Decision:
    """What an item becomes.

    use: problem, profile, weight, text (an open answer, kept beside the study), personal or skip.
    response: of a problem, its settings as under `[response]` in study.toml. options: of types that have them.
    kind, levels: of a profile column. why: of what is skipped, in words.
    """

    use: str
    response: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    kind: str = ""
    levels: tuple[str, ...] = ()
    why: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """The decision as a table of the mapping."""
        if self.use == "problem":
            shown = {key: self.response[key] for key in SETTINGS if key in self.response}
            return {"use": "problem", **shown}
        if self.use == "profile":
            return {"use": "profile", "kind": self.kind} | (
                {"levels": list(self.levels)} if self.kind == "ordinal" else {}
            )
        return {"use": "skip" if self.use == "personal" else self.use}


def decide(item: Item, given: Mapping[str, Any], weight: str = "") -> Decision:
    """What an item becomes.

    given: the mapping's table of this item. weight: the item named as the survey weight.

    Raises ConfigError where the mapping asks for what this item cannot be.
    """
    use = str(given.get("use", "")) or ("weight" if weight and weight in (item.id, *item.columns) else item.use)
    if not use and "type" in given:
        use = "problem"
    if not use:
        use, why = _guess_use(item, bool(weight))
        if use in ("skip", "personal", "text", "weight"):
            return Decision(use, why=why)
    if use == "profile":
        return _profile(item, given)
    if use == "problem":
        return _problem(item, given)
    return Decision(use, why="as the mapping says" if given.get("use") else "")


def _guess_use(item: Item, has_weight: bool) -> tuple[str, str]:
    """The use of an item of which nothing is known, and why, for what is skipped."""
    name = item.id
    if item.kind in ("number", "text") and not has_weight and is_weight(name, item.text):
        return "weight", ""
    personal = personal_name(name, item.text)
    if personal and item.kind in ("text", "number"):
        return "personal", personal
    if describes_people(name, item.text) and item.kind in ("single", "scale", "number", "text"):
        if item.kind != "text" or 0 < len(_words(item.cells_N)) <= MOST_LEVELS:
            return "profile", ""
        return "text", ""
    if item.kind == "text":
        return "text", ""
    if is_tools_own(name) and item.kind == "number":
        return "skip", "written down by the tool itself"
    return "problem", ""


def _order(item: Item) -> tuple[str, ...] | None:
    """The options from low to high, None where no order can be told; words in no order are sorted by strength."""
    return low_to_high(item.options) if item.options else by_strength(_words(item.cells_N))


def _told(options: Sequence[str]) -> tuple[str, ...]:
    """The options in their own order, without those that say "no answer"."""
    return tuple(option for option in options if not says_no_answer(option))


def _words(cells_N: Cells) -> list[str]:
    return [str(cell) for cell in pd.unique(pd.Series(cells_N, dtype=object)) if str(cell).strip()]


# --- profile columns --------------------------------------------------------------------------------------


def _profile(item: Item, given: Mapping[str, Any]) -> Decision:
    kind, levels = str(given.get("kind", "")), _texts(given.get("levels"))
    if item.kind in ("multiple", "ranking", "points"):
        raise ConfigError(f"{item.id!r} has several answers per person, and cannot be a profile column")
    words = list(item.options) or _words(item.cells_N)
    if not kind:
        numbers = not item.options and len(words) != 2 and all(plain_number(w) is not None for w in words)
        kind = "ordinal" if levels else "numeric" if numbers and (words or item.kind == "number") else ""
    if kind == "numeric":
        return Decision("profile", kind="numeric")
    if len(words) > MOST_LEVELS and not given.get("use"):
        why = f"describes people by {len(words)} different words, too many for levels"
        return Decision("skip", why=why)
    ordered = levels or _order(item) or (_told(item.options) if item.ordered else ())
    if kind == "ordinal" and not ordered:
        raise ConfigError(f"{item.id!r}: an ordinal profile column needs its levels, from low to high")
    if kind == "categorical" or not ordered or len(ordered) < 2:
        return Decision("profile", kind="categorical", levels=tuple(sorted(words)))
    return Decision("profile", kind="ordinal", levels=tuple(ordered))


# --- problems ---------------------------------------------------------------------------------------------


def _problem(item: Item, given: Mapping[str, Any]) -> Decision:
    asked = str(given.get("type", ""))
    kind = asked or _usual_type(item, given)
    several = {"multiple": "ballot", "ranking": "ranking", "points": "points"}
    if kind in several.values() and several.get(item.kind) != kind:
        raise ConfigError(f"{item.id!r} has one answer per person, and cannot be of type {kind!r}")
    if item.kind in several and several[item.kind] != kind:
        raise ConfigError(f"{item.id!r} has several answers per person, and cannot be of type {kind!r}")
    if kind == "continuous":
        return Decision("problem", _range(item, given))
    if kind == "ordinal":
        return _ordinal(item, given)
    options = _texts(given.get("options")) or item.options or tuple(_words(item.cells_N))
    if not options or (kind == "choice" and len(options) > 1_000):
        return Decision("skip", why=f"has {len(options):,} options")
    if kind == "choice":
        return Decision("problem", {"type": "choice"}, options)
    if kind == "ballot":
        least, most = item.picks or (0, 0)
        most = min(most or len(options), len(options))
        return Decision("problem", {"type": "ballot", "min_picks": min(least, most), "max_picks": most}, options)
    if kind == "points":
        budget = int(given.get("budget", 0) or item.budget)
        return Decision("problem", {"type": "points", "budget": budget}, options)
    return Decision("problem", {"type": "ranking"}, options)


def _usual_type(item: Item, given: Mapping[str, Any]) -> str:
    if "levels" in given:
        return "ordinal"
    if item.kind in ("number", "text"):
        return "continuous" if item.kind == "number" else "choice"
    if item.kind == "single":
        return "ordinal" if item.ordered or low_to_high(item.options) else "choice"
    return {"scale": "ordinal", "multiple": "ballot", "ranking": "ranking", "points": "points"}[item.kind]


def _range(item: Item, given: Mapping[str, Any]) -> dict[str, Any]:
    low, high = given.get("low", item.low), given.get("high", item.high)
    out: dict[str, Any] = {"type": "continuous"}
    out |= {} if low is None else {"low": float(low)}
    return out | ({} if high is None else {"high": float(high)})


def _ordinal(item: Item, given: Mapping[str, Any]) -> Decision:
    """Levels from low to high: as given, as the file orders them, or by their words."""
    levels = _texts(given.get("levels"))
    if not levels:
        words = item.options or tuple(sorted(_words(item.cells_N), key=lambda w: (plain_number(w) or 0, w)))
        levels = _order(item) or _told(words)
    if len(levels) < 2:
        return Decision("skip", why="has fewer than two levels")
    response: dict[str, Any] = {"type": "ordinal", "levels": list(levels)}
    if any(item.ends):
        turned = bool(item.options) and levels[0] != next(w for w in item.options if not says_no_answer(w))
        response["ends"] = list(item.ends[::-1] if turned and levels[-1] == item.options[0] else item.ends)
    return Decision("problem", response)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in values or ())
