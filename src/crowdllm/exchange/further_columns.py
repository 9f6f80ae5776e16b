"""Find out what the further columns of a long table belong to: the people, the problems, or neither.

Shapes: R rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.errors import ConfigError
from crowdllm.exchange.deciding import MOST_LEVELS
from crowdllm.exchange.demographics import is_weight
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.ordered import by_strength
from crowdllm.exchange.tables_guess import TEXTS, distinct_words


@dataclass
class Further:
    """What the further columns say, by id.

    profile: per column its settings; values: its value per participant. weights: per participant. text: per problem.
    attributes: per column its value per problem.
    """

    profile: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    weight_name: str = ""
    text: dict[str, str] = field(default_factory=dict)
    text_name: str = ""
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """In words."""
        out = [f"profile: {', '.join(self.profile)}"] if self.profile else []
        out += [f"survey weights: {self.weight_name}"] if self.weight_name else []
        out += [f"text of the problems: {self.text_name}"] if self.text_name else []
        return out + ([f"attributes of the problems: {', '.join(self.attributes)}"] if self.attributes else [])


def sort_further(
    table: pd.DataFrame, rest: Mapping[str, Cells], text: str, given: Mapping[str, Any], ledger: Ledger
) -> Further:
    """The columns in `rest` (cells of the rows of `table`) by what they belong to; others are noted as left out.

    Raises ConfigError where the mapping wants a profile column, weight or text that differs within a person or problem.
    """
    out = Further()
    weight, tables = str(given.get("weight", "")), given.get("columns", {})
    for name, cells in rest.items():
        use = str(tables.get(name, {}).get("use", "")) or ("weight" if name == weight else "")
        by_person, by_problem = per_id(table["participant"], cells), per_id(table["problem"], cells)
        wanted = by_problem if use == "problem" or (name == text and not use) else by_person
        if wanted is None and (use in ("profile", "weight", "problem") or given.get("text") == name):
            raise ConfigError(
                f"column {name!r} differs within one person (or problem), and cannot be its {use or 'text'}"
            )
        if use in ("skip", "text") or len(distinct_words(cells)) < 2:
            why = "as the mapping says" if use else "it says the same in all rows"
            ledger.note("column left out", name, why, len(cells))
        elif name == text and by_problem:
            out.text, out.text_name = by_problem, name
        elif by_person and use in ("", "profile", "weight") and (use or not by_problem or name != text):
            _person_column(out, name, by_person, use, bool(weight), tables.get(name, {}), ledger)
        elif by_problem is not None:
            if not out.text and name.casefold() in TEXTS:
                out.text, out.text_name = by_problem, name
            else:
                out.attributes[name] = by_problem
        else:
            ledger.note("column left out", name, "it differs within people and within problems", len(cells))
    return out


def per_id(ids_R: pd.Series[Any], cells_R: Cells) -> dict[str, str] | None:
    """The value of each id where all its rows (that say anything) say the same; else None."""
    pairs = pd.DataFrame({"id": ids_R.to_numpy(dtype=object), "value": cells_R}, dtype=object)
    pairs = pairs[pairs["value"] != ""].drop_duplicates()
    if pairs["id"].duplicated().any():
        return None
    return dict(zip(pairs["id"], pairs["value"], strict=True))


def _person_column(
    out: Further,
    name: str,
    values: dict[str, str],
    use: str,
    has_weight: bool,
    own: Mapping[str, Any],
    ledger: Ledger,
) -> None:
    words = list(dict.fromkeys(values.values()))
    numbers = all(plain_number(word) is not None for word in words)
    if use == "weight" or (not use and not has_weight and not out.weights and numbers and is_weight(name)):
        if not numbers or any((plain_number(word) or 0) <= 0 for word in words):
            raise ConfigError(
                f"column {name!r}: survey weights must be numbers above 0; --map {name}=skip leaves it out"
            )
        out.weights, out.weight_name = values, name
        return
    kind = str(own.get("kind", "")) or ("numeric" if numbers and len(words) > 2 else "")
    if kind != "numeric" and len(words) > MOST_LEVELS and not use:
        ledger.note("column left out", name, f"describes people by {len(words):,} different words", len(values))
        return
    if kind == "numeric" and not numbers:
        raise ConfigError(f"column {name!r} has words, and cannot be a numeric profile column")
    levels = tuple(str(level) for level in own.get("levels", ())) or by_strength(words)
    if kind == "numeric":
        out.profile[name] = {"kind": "numeric"}
    elif kind == "categorical" or levels is None or len(levels) < len(words):
        out.profile[name] = {"kind": "categorical", "levels": sorted(words)}
    else:
        out.profile[name] = {"kind": "ordinal", "levels": list(levels)}
    out.values[name] = values
