"""What all pages share: the studio they show, templates that escape everything, and forms that are read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData, UploadFile

from crowdllm import __version__
from crowdllm.errors import ConfigError
from crowdllm.studio.asking import Asker
from crowdllm.studio.fits import Fits
from crowdllm.studio.texts import clean, short, short_path, shown
from crowdllm.studio.workspace import MOST_NAME, MOST_TEXT, Workspace

HERE = Path(__file__).parent
STATIC, TEMPLATES = HERE / "static", HERE / "templates"
MOST_FIELDS, MOST_FILES, MOST_PART = 5000, 8, 1_500_000
NOTICES = {
    "saved": "Saved.",
    "kept-both": "Somebody (another tab?) changed this meanwhile, so both are kept: this is yours, under a new entry.",
    "removed": "Deleted.",
    "changed": "Not deleted: it was changed meanwhile. Look at it again.",
    "asked": "The answer is kept; the same question is not paid for again.",
    "opened": "Opened.",
    "stopping": "The fit is being stopped.",
}


@dataclass(frozen=True)
class Studio:
    """Everything a page needs. asker: None where no LLM is configured."""

    workspace: Workspace
    fits: Fits
    asker: Asker | None
    templates: Environment


@dataclass(frozen=True)
class Posted:
    """A form that was sent."""

    data: FormData

    def text(self, name: str, most: int = MOST_NAME) -> str:
        """One field as text, "" where it is not there. Raises ConfigError for one that is too long."""
        value = self.data.get(name, "")
        try:
            return clean(value, most) if isinstance(value, str) else ""
        except ValueError as error:
            raise ConfigError(f"the field {name!r} has {error}") from None

    def texts(self, name: str, most: int = MOST_NAME) -> list[str]:
        """All fields of a name."""
        values = [value for value in self.data.getlist(name) if isinstance(value, str)]
        if any(len(value) > most for value in values):
            raise ConfigError(f"a field {name!r} is longer than {most:,} characters")
        return [clean(value, most + 1) for value in values]

    def long(self, name: str) -> str:
        """A field for a long text."""
        return self.text(name, MOST_TEXT)

    def number(self, name: str, default: int) -> int:
        """A whole number. Raises ConfigError for what is none."""
        text = self.text(name).strip()
        try:
            return int(text) if text else default
        except ValueError:
            raise ConfigError(f"the field {name!r} needs a whole number, not {text!r}") from None

    def files(self, name: str) -> list[UploadFile]:
        """The uploaded files. Raises ConfigError where there is none."""
        found = [v for v in self.data.getlist(name) if isinstance(v, UploadFile) and v.filename]
        if not found:
            raise ConfigError("no file was chosen")
        return found


async def read_form(request: Request) -> Posted:
    """The form in a request."""
    return Posted(await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_PART))


def studio_of(request: Request) -> Studio:
    """The studio that the application shows."""
    studio: Studio = request.app.state.studio
    return studio


Here = Annotated[Studio, Depends(studio_of)]
Sent = Annotated[Posted, Depends(read_form)]


def make_templates() -> Environment:
    """Jinja with autoescape for everything, an error for every misspelt name, and texts made visible."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "shown": shown,
        "short": short,
        "path": short_path,
        "number": number,
        "percent": lambda x: f"{x:.1f}",
    }
    made.globals |= {"version": __version__}
    return made


def number(value: float, digits: int = 4) -> str:
    """Short, and with a real minus sign left to the reader's font."""
    return "" if value != value else f"{value:.{digits}g}"


def page(studio: Studio, template: str, status: int = 200, notice: str = "", **context: Any) -> Response:
    """A page. notice: a key of NOTICES; other texts are never taken from an address."""
    html = studio.templates.get_template(template).render(
        notice=NOTICES.get(notice, ""), llm=None if studio.asker is None else studio.asker.name, **context
    )
    return HTMLResponse(html.encode("utf-8", "backslashreplace"), status)


def go(place: str) -> Response:
    """After a form: show another page, which a reload does not send again."""
    return RedirectResponse(place, 303)


def lines_of(text: str) -> list[str]:
    """The lines of a field that have something in them."""
    return [line.strip() for line in text.split("\n") if line.strip()]
