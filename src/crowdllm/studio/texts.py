"""Show untrusted text as text: what cannot be seen becomes a symbol or a code, and no cell becomes a formula.

HTML is escaped by the templates; this is about what escaping leaves: control characters (a browser drops NUL), changes
of direction that would turn the rest of a line around, halves of characters that no file can hold, and cells that a
spreadsheet would take for a formula.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from crowdllm.data.tables import plain_number

KEPT = "\n\u200c\u200d"
"""Line breaks, and the joiners that Persian words and many emoji are made with."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠", "|", "%")
SHORT = 160


def shown(text: object) -> str:
    """The text with every character visible: ␀ for NUL, \\u202e for a change of direction."""
    return "".join(c if c in KEPT else _visible(c) for c in str(text))


def _visible(character: str) -> str:
    kind, code = unicodedata.category(character), ord(character)
    if kind == "Cc" and code < 0x20:
        return chr(0x2400 + code)
    if kind in ("Cc", "Cf", "Cs", "Co"):
        return "␡" if code == 0x7F else character.encode("unicode_escape").decode("ascii")
    return character


def short(text: object, most: int = SHORT) -> str:
    """One line of at most so many characters, as `shown`."""
    line = " ".join(str(text).split())
    return shown(line if len(line) <= most else line[: most - 1].rstrip() + "…")


def short_path(text: object) -> str:
    """A path from the current folder or the home folder on, else its last two parts."""
    path = Path(str(text))
    for start, sign in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(start) and path != start:
            return short(f"{sign}{path.relative_to(start)}")
    return short(path if len(path.parts) < 3 else f"…/{path.parts[-2]}/{path.parts[-1]}")


def defused(text: str) -> str:
    """The cell as text for a spreadsheet: an apostrophe in front of what would be a formula; numbers stay numbers."""
    return f"'{text}" if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take the cell for a formula."""
    return text.lstrip(" \n\u00a0").startswith(FORMULA) and plain_number(text.strip()) is None


def clean(text: str, most: int) -> str:
    """A form's text as it is kept: line ends made the same, half characters replaced, at most so many characters.

    Raises ValueError for a longer one: nothing is cut.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")
    if len(text) > most:
        raise ValueError(f"{len(text):,} characters, and at most {most:,} are possible")
    return text
