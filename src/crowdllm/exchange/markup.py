"""Plain words from the HTML and piped text that questionnaires hold."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

_BLOCKS = frozenset(("br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "td"))
_HIDDEN = frozenset(("script", "style"))
MOST = 100_000


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in _HIDDEN
        if tag in _BLOCKS:
            self.words.append(" ")
        if tag == "img":
            alt = next((value for key, value in attrs if key == "alt" and value), "")
            self.words.append(f"[picture{': ' + alt if alt else ''}]")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(self.hidden - (tag in _HIDDEN), 0)
        if tag in _BLOCKS:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def plain_words(text: object) -> str:
    """A text without tags, entities and superfluous blanks; "" for what is no text."""
    if not isinstance(text, str):
        return "" if text is None or isinstance(text, (dict, list)) else str(text)
    text = text[:MOST]
    if "<" in text:
        parser = _Words()
        parser.feed(text)
        parser.close()
        text = "".join(parser.words)
    elif "&" in text:
        text = unescape(text)
    return " ".join(re.sub(r"[\ud800-\udfff]", "\ufffd", text).split())
