"""Text that can be stored: halves of surrogate pairs, which JSON can write and no encoding takes, become U+FFFD."""

from __future__ import annotations


def whole_text(text: str) -> str:
    """The text itself wherever it can be written as UTF-8; NUL and other control characters stay."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
