"""Recognise personal data by a column's name and by what its cells look like, and keep it out of the study.

Kinds: e-mail and IP addresses, coordinates, names, phone numbers, postal addresses, platform identifiers (Prolific,
MTurk, Qualtrics, ...), payment and completion codes, bank accounts. What is recognised is left out whole; where only
a few cells of a column look so, those are blotted out. Ids of people are replaced by p1, p2, ... unless they are
plainly harmless (such as 17 or user_17).

Shapes: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.exchange.protocol import LeftOut

LOOKED_AT = 5_000
"""Distinct cells of a column that are looked at, and characters of each."""
LOOKED_INTO = 400
SHARE = 0.2
"""From this share of a column's distinct cells on, all of it is left out."""

NAMES: tuple[tuple[str, str], ...] = (
    ("e-mail addresses", r"e[-_ ]?mail|emailaddress|recipientemail|mailaddress|paypal"),
    ("IP addresses", r"(?:^|[^a-z])ip(?:[^a-z]|$)|ip[-_ ]?addr\w*|ipaddress|ipv[46]"),
    (
        "coordinates",
        r"(?:^|[^a-z])(?:lat|lon|lng)(?:[^a-z]|$)|^long$|latitude|longitude|\bgps|geo[-_ ]?(?:point|location"
        r"|code|trace"
        r"|shape|ip)|coordinate",
    ),
    (
        "payment or completion codes",
        r"completion[-_ ]?(?:code|url)|survey[-_ ]?code|(?:m?turk|prolific|payment|reward|voucher|redeem|coupon"
        r"|random"
        r"|gift)[-_ ]?code|mturkcode|\biban\b|\bbic\b|bank[-_ ]?account|account[-_ ]?n(?:o|um|r)|credit[-_ ]?card"
        r"|bonus[-_ ]?code|token$|^token",
    ),
    (
        "platform identifiers",
        r"prolific|(?:^|[^a-z])pid$|worker[-_ ]?id|assignment[-_ ]?id|(?:^|[^a-z])hit[-_ ]?id|hittypeid"
        r"|response[-_ ]?id|session[-_ ]?id|study[-_ ]?id|submission[-_ ]?id|panel(?:ist)?[-_ ]?id|respondent[-_ ]?id"
        r"|participant[-_ ]?id|recipient|external[-_ ]?(?:data[-_ ]?)?reference|(?:^|[^a-z])(?:mturk|amt|uuid"
        r"|guid|psid"
        r"|cookie|device[-_ ]?id|subscriberid|sim[-_ ]?serial|instance[-_ ]?id|deviceid|user[-_ ]?agent|fingerprint)"
        r"|refurl|referrer|simserial|phonenumber|^_uuid|^instanceid|^rid$|^gc$|^transaction[-_ ]?id|^mid$",
    ),
    (
        "phone numbers",
        r"(?:^|[^a-z])(?:tele)?phone(?:[^a-z]|$)|phone[-_ ]?(?:number|no|nr)"
        r"|mobile(?:[-_ ]?(?:number|no|nr|phone))?$|telephone|(?:^|[^a-z])tel$",
    ),
    (
        "names",
        r"(?:first|last|sur|full|user|family|given|nick|maiden|recipientfirst|recipientlast)[-_ ]?name|^name$"
        r"|^your[-_ ]name|^vorname|^nachname|^signature",
    ),
    (
        "postal addresses",
        r"(?:home|street|postal|mailing)[-_ ]?address|^address|^street|zip[-_ ]?code|^zip$|post(?:al)?[-_ ]?code",
    ),
    ("dates of birth", r"birth[-_ ]?(?:day|date)|date[-_ ]?of[-_ ]?birth|^dob$"),
    ("identity numbers", r"(?:^|[^a-z])ssn(?:[^a-z]|$)|social[-_ ]?security|passport|national[-_ ]?id|tax[-_ ]?id"),
)
QUESTIONS = re.compile(
    r"\b(?:e-?mail address|your e-?mail|phone number|your (?:full|first|last) name|home address|street address"
    r"|(?:what is|what['’]s|enter|provide|state|give|type|write)[^.?]{0,30} your name"
    r"|(?:prolific|worker|mturk|turk) id|zip code|post ?code|completion code|date of birth|paypal|ip address)",
    re.IGNORECASE,
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_AFTER = "(?![0-9A-Za-z])"
_BEFORE = "(?<![0-9A-Za-z])"
_HEX, _DEGREES = "[0-9A-Fa-f]", r"[-+]?[0-9]{1,3}\.[0-9]{3,15}"
_UUID = rf"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"
_IPV6 = rf"(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}", rf"(?:{_HEX}{{1,4}}:){{1,6}}(?::{_HEX}{{1,4}}){{1,6}}"
CONTENTS: tuple[tuple[str, str, re.Pattern[str]], ...] = (  # what it is, a sign that it needs, what it looks like
    ("e-mail addresses", "@", re.compile(r"[^\s@<>,;\"]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")),
    ("IP addresses", ".", re.compile(rf"(?<![0-9.]){_BYTE}(?:\.{_BYTE}){{3}}(?![0-9.])")),
    ("IP addresses", ":", re.compile(rf"(?<![0-9A-Za-z:])(?:{_IPV6[0]}|{_IPV6[1]}){_AFTER}")),
    ("coordinates", ".", re.compile(rf"(?<![0-9.]){_DEGREES}[,; ]\s?{_DEGREES}(?![0-9])")),
    ("platform identifiers", "", re.compile(rf"{_BEFORE}[0-9a-f]{{24}}{_AFTER}")),  # Prolific
    ("platform identifiers", "A", re.compile(rf"{_BEFORE}A(?=[A-Z]*[0-9])(?=[0-9]*[A-Z])[0-9A-Z]{{11,14}}{_AFTER}")),
    ("platform identifiers", "3", re.compile(rf"{_BEFORE}3(?=[0-9]*[A-Z])[0-9A-Z]{{29}}{_AFTER}")),  # both: MTurk
    ("platform identifiers", "R_", re.compile(rf"{_BEFORE}R_[0-9A-Za-z]{{13,17}}{_AFTER}")),  # Qualtrics
    ("platform identifiers", "-", re.compile(rf"{_BEFORE}{_UUID}{_AFTER}")),
    ("phone numbers", "+", re.compile(r"(?<![0-9A-Za-z+.])\+[1-9](?:[ .()/-]{0,2}[0-9]){7,13}(?![0-9.])")),
    ("phone numbers", "", re.compile(r"(?<![0-9A-Za-z])\(?[0-9]{3}\)?[ .-][0-9]{3}[.-][0-9]{4}(?![0-9])")),
    (
        "bank accounts",
        "",
        re.compile(rf"{_BEFORE}[A-Z]{{2}}[0-9]{{2}}(?: ?[0-9A-Z]{{4}}){{3,7}}(?: ?[0-9A-Z]{{1,4}})?{_AFTER}"),
    ),
)
_NAMES = tuple((what, re.compile(pattern, re.IGNORECASE)) for what, pattern in NAMES)
_CODE = re.compile(r"[A-Z0-9]{6,16}")
_HARMLESS = re.compile(r"(?:[A-Za-z]{0,12}[-_ #.]?)?[0-9]{1,7}|[A-Za-z]{1,3}")


@dataclass(frozen=True)
class Screened:
    """The columns that remain, with single cells blotted out; and what was left out."""

    columns: dict[str, Cells]
    left_out: tuple[LeftOut, ...]


def screen(columns: Mapping[str, Cells], keep: Sequence[str] = ()) -> Screened:
    """The columns without personal data.

    keep: columns that stay whole whatever they look like, such as the one of participant ids (see `pseudonyms`).
    """
    pairs = _coordinate_pairs({name: cells for name, cells in columns.items() if name not in keep})
    out: dict[str, Cells] = {}
    left: list[LeftOut] = []
    for name, cells in columns.items():
        if name in keep:
            out[name] = cells
            continue
        what, how = personal_name(name), "by name"
        if not what or not any(cells):
            what, how = pairs.get(name, "") or personal_content(cells), "by content"
        if what:
            left.append(LeftOut(name, what, how, _filled(cells)))
            continue
        out[name], found = blot(cells)
        left += [LeftOut(name, f"{kind} in single cells", "by content", count) for kind, count in found.items()]
    return Screened(out, tuple(left))


def personal_name(column: str, text: str = "") -> str:
    """What personal data a column of this name (or question of this text) holds, "" for none."""
    if len(column.split()) > 4:  # a whole question as the name
        column, text = "", column
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.strip()[:LOOKED_INTO])
    for what, pattern in _NAMES:
        if pattern.search(snake) or pattern.search(column[:LOOKED_INTO]):
            return what
    asked = QUESTIONS.search(text[:LOOKED_INTO])
    return f"answers to a question for the {asked.group().lower()}" if asked else ""


def personal_content(cells_N: Cells) -> str:
    """What personal data at least a fifth of the distinct cells consist of, "" for none."""
    words = _some_distinct(cells_N)
    if not words:
        return ""
    for what, sign, pattern in CONTENTS:
        hits = sum(sign in word and _mostly(pattern, word) for word in words)
        if hits and hits >= SHARE * len(words):
            return what
    return "payment or completion codes" if _are_codes(words, _filled(cells_N)) else ""


def blot(cells_N: Cells) -> tuple[Cells, dict[str, int]]:
    """The cells with addresses and the like replaced by words such as [e-mail addresses left out], and how many."""
    code_N, cells_U = pd.factorize(cells_N)
    found: dict[str, int] = {}
    count_U = np.bincount(code_N, minlength=len(cells_U))
    changed = np.array(cells_U, dtype=object)
    for u, cell in enumerate(changed.tolist()):
        if len(cell) < 7:
            continue
        clean, kinds = blot_text(cell)
        for kind in kinds:
            found[kind] = found.get(kind, 0) + int(count_U[u])
        if kinds:
            changed[u] = clean
    return (changed[code_N] if found else cells_N), found


def blot_text(text: str) -> tuple[str, list[str]]:
    """A text with personal data replaced, and the kinds that were found."""
    kinds = []
    for what, sign, pattern in CONTENTS:
        text, hits = pattern.subn(f"[{what} left out]", text) if sign in text else (text, 0)
        kinds += [what] if hits and what not in kinds else []
    return text, kinds


def pseudonyms(cells_N: Cells, column: str = "") -> tuple[Cells, tuple[LeftOut, ...]]:
    """Ids for people in the place of those in a file: p1, p2, ... in order of appearance.

    Ids that are plainly harmless (all of them numbers, or a word and a number, in a column whose name is no platform's)
    stay. An empty cell stays empty.
    """
    code_N, cells_U = pd.factorize(cells_N)
    words = [str(cell) for cell in cells_U if str(cell).strip()]
    what = personal_name(column) if column.strip().casefold() not in ("participant_id", "respondent_id") else ""
    if not what and all(_HARMLESS.fullmatch(word.strip()) for word in words):
        return cells_N, ()
    width = len(str(max(len(words), 1)))
    numbers = iter(range(1, len(words) + 1))
    new_U = np.array([f"p{next(numbers):0{width}d}" if str(cell).strip() else "" for cell in cells_U], dtype=object)
    how = "by name" if what else "by content"
    left = LeftOut(column, "identifiers of people, replaced by p1, p2, …", how, _filled(cells_N))
    return new_U[code_N] if len(new_U) else cells_N, (left,)


def numbered_people(count: int) -> Cells:
    """p1, p2, ... for rows that name nobody."""
    width = len(str(max(count, 1)))
    return np.array([f"p{i + 1:0{width}d}" for i in range(count)], dtype=object)


def _some_distinct(cells_N: Cells) -> list[str]:
    cells_U = pd.unique(pd.Series(cells_N, dtype=object))
    words = [str(cell).strip()[:LOOKED_INTO] for cell in cells_U[: LOOKED_AT + 1]]
    return [word for word in words if word][:LOOKED_AT]


def _mostly(pattern: re.Pattern[str], word: str) -> bool:
    """Whether at least half of a cell looks so; a sentence with an address in it is blotted instead."""
    found = pattern.search(word)
    return found is not None and 2 * (found.end() - found.start()) >= len(word)


def _filled(cells_N: Cells) -> int:
    return int((cells_N != "").sum()) if len(cells_N) else 0


def _are_codes(words: Sequence[str], filled: int) -> bool:
    """Whether (nearly) every person has a code of their own, of one length, with letters and digits mixed."""
    if len(words) < 3 or len(words) < min(0.9 * filled, LOOKED_AT) or len({len(word) for word in words}) > 1:
        return False
    mixed = sum(bool(_CODE.fullmatch(word)) and _changes(word) >= 2 for word in words)
    return mixed >= 0.8 * len(words)


def _changes(word: str) -> int:
    """How often letters and digits take turns."""
    return sum(a.isdigit() != b.isdigit() for a, b in pairwise(word))


def _coordinate_pairs(columns: Mapping[str, Cells]) -> dict[str, str]:
    """Neighbouring columns of numbers with many digits that can be latitude and longitude."""
    names = list(columns)
    out: dict[str, str] = {}
    for first, second in pairwise(names):
        near = _coordinates(columns[first], 90) and _coordinates(columns[second], 180)
        if near or (_coordinates(columns[first], 180) and _coordinates(columns[second], 90)):
            out[first] = out[second] = "coordinates"
    return out


def _coordinates(cells_N: Cells, most: float) -> bool:
    words = _some_distinct(cells_N[:LOOKED_AT])
    if len(words) < 3:
        return False
    fine = [word for word in words if re.fullmatch(r"-?[0-9]{1,3}\.[0-9]{5,15}", word)]
    numbers = [abs(n) for n in map(plain_number, words) if n is not None]
    return len(fine) >= 0.9 * len(words) and max(numbers) <= most and sum(numbers) / len(numbers) > 10
