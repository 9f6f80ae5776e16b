"""Label Studio's labelling configuration (XML): the controls, their options, and what each task shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from crowdllm.exchange.limits import XmlEvents

CHOICES, RATING, NUMBER, PAIRWISE, TEXTAREA = "choices", "rating", "number", "pairwise", "textarea"
RANKER = "ranker"


@dataclass
class Control:
    """One control of the label config."""

    name: str
    kind: str
    several: bool = False
    options: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    shows: str = ""
    dynamic: str = ""


class Config(XmlEvents):
    """The controls of a label config, and which field of a task each object shows."""

    def __init__(self) -> None:
        self.controls: dict[str, Control] = {}
        self.shown: dict[str, str] = {}
        self._open: Control | None = None
        self.aliases: dict[tuple[str, str], str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kind = tag.lower()
        name = attributes.get("name", "")
        if kind in (CHOICES, RATING, NUMBER, PAIRWISE, TEXTAREA, RANKER):
            self._open = Control(name, kind, attributes.get("choice", "").startswith("multiple"))
            self._open.shows = attributes.get("toName", "").split(",")[0]
            self._open.dynamic = attributes.get("value", "").removeprefix("$")
            self._open.low, self._open.high = _number(attributes.get("min")), _number(attributes.get("max"))
            if kind == RATING:
                self._open.high = _number(attributes.get("maxRating")) or 5.0
            self.controls[name] = self._open
        elif kind == "choice" and self._open is not None and attributes.get("value"):
            self._open.options.append(attributes.get("alias") or attributes["value"])
        elif name and attributes.get("value", "").startswith("$"):
            self.shown[name] = attributes["value"][1:]

    def lists_of(self, control: Control) -> str:
        """The field of a task that lists the options of a control, "" where all tasks have the same."""
        return control.dynamic or (self.shown.get(control.shows, "") if control.kind == RANKER else "")

    def end(self, tag: str) -> None:
        if self._open is not None and tag.lower() == self._open.kind:
            self._open = None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None
