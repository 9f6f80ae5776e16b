"""Text that no spreadsheet takes for a formula.

A cell that begins with = + - @ (or a tab or line break before one of them) is a formula to Excel, LibreOffice and
Google Sheets when they open a CSV, and may send data away or start programs. Such a text gets an apostrophe in front,
as a person would type it; a plain number, such as -3, is no formula and stays. In .xlsx files the cell itself says that
it is text, so nothing is put in front there.
"""

from __future__ import annotations

import re

import pandas as pd

from crowdllm.data.tables import plain_number

_FORMULA = re.compile(r"[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def is_dangerous(text: str) -> bool:
    """Whether a spreadsheet might take a text for a formula: also after blanks, and with full-width signs."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    return _FORMULA.match(text) is not None and plain_number(text) is None


def defused(text: str) -> str:
    """The text with an apostrophe in front where it is dangerous."""
    return f"'{text}" if is_dangerous(text) else text


def defuse(frame: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The frame with its texts and column names defused, and the texts that were changed."""
    changed: set[str] = set()

    def one(text: object) -> object:
        if isinstance(text, str) and is_dangerous(text):
            changed.add(text)
            return f"'{text}"
        return text

    out = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            words = [one(word) for word in column.cat.categories]
            if len(set(words)) == len(words):
                column = column.cat.rename_categories(words)
            else:  # an apostrophe made two of them the same
                column = column.astype(object).map(one, na_action="ignore")
        elif not pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            column = column.astype(object).map(one, na_action="ignore")
        out[one(str(name))] = column
    return pd.DataFrame(out), changed


def defused_note(changed: set[str]) -> tuple[str, ...]:
    """What to say of it, if anything was changed."""
    if not changed:
        return ()
    shown = ", ".join(repr(text[:40]) for text in sorted(changed)[:3]) + (", …" if len(changed) > 3 else "")
    return (f"an apostrophe is put before {len(changed):,} text(s) that a spreadsheet would run as a formula: {shown}",)
