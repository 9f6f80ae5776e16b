"""Make the LLM backend that a user names, with a cache around it, so that no completed call is ever repeated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crowdllm.elicitation.modes import Plan, requests
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.experiments.sources import Opened
from crowdllm.llm import BACKENDS
from crowdllm.llm.cache import CachedBackend, export_cache, import_cache
from crowdllm.llm.made_up import made_up_answers
from crowdllm.llm.protocol import Backend, Request
from crowdllm.llm.recorded import RecordedBackend
from crowdllm.llm.scripted import ScriptedBackend
from crowdllm.llm.usage import Price
from crowdllm.registry import lookup

CACHE_FILE = "llm-cache.sqlite"
PAID = ("openai",)
CACHED = ("openai", "transformers", "tuned")


@dataclass(frozen=True)
class LLM:
    """What a user says about an LLM. The limits are for servers; None leaves them to the backend."""

    backend: str
    model: str = ""
    base_url: str = ""
    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float | None = None

    @property
    def paid(self) -> bool:
        """Whether its calls may cost money."""
        return self.backend in PAID

    @property
    def keeps_answers(self) -> bool:
        """Whether its answers are worth keeping where the user says nothing."""
        return self.backend in CACHED

    @property
    def makes_up(self) -> bool:
        """Whether there is no LLM at all."""
        return self.backend == "scripted" and not self.model

    def check(self) -> None:
        """Raises for an unknown backend, a model that is missing, and settings that this backend has no use for."""
        if not self.backend:
            raise ConfigError(f"say who answers: --backend {', '.join(BACKENDS)}")
        if self.backend not in BACKENDS:
            raise UnknownNameError("backend", self.backend, BACKENDS)
        if not self.model.strip() and self.backend != "scripted":
            what = "a recorded table, --model FILE.csv" if self.backend == "recorded" else "a model, --model NAME"
            raise ConfigError(f"the backend {self.backend!r} needs {what}")
        if not self.paid:
            given = [name for name, value in self._server_settings().items() if value is not None]
            if given:
                option = given[0].replace("_", "-")
                raise ConfigError(f"--{option} goes with --backend openai; the backend {self.backend!r} has no server")

    def _server_settings(self) -> dict[str, float | str | None]:
        return {
            "base_url": self.base_url or None,
            "concurrency": self.concurrency,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "timeout": self.timeout,
        }


def open_backend(llm: LLM, plan: Plan, price: Price | None, max_cost: float | None) -> Backend:
    """The backend itself, not yet asked anything. Raises CrowdLLMError for what cannot be used."""
    if llm.backend == "scripted":
        return _scripted(llm, plan)
    if llm.backend == "recorded":
        return RecordedBackend.read(llm.model)
    cls = lookup(BACKENDS, llm.backend, "backend")
    if llm.backend not in PAID:
        made: Backend = cls(llm.model)
        return made
    settings = {name: value for name, value in llm._server_settings().items() if value is not None}
    paid: Backend = cls(llm.model, price=price, max_cost=max_cost, **settings)
    return paid


def _scripted(llm: LLM, plan: Plan) -> ScriptedBackend:
    """Made-up answers, or those of a recorded table, named after its content."""
    if not llm.model:
        made_up = made_up_answers(plan.response_type, plan.mode.name == "distribution")
        return ScriptedBackend(made_up, "made up")
    table = RecordedBackend.read(llm.model)
    in_turn = {problem: tuple(filter(None, texts)) for problem, texts in table.texts.items()}
    return ScriptedBackend(in_turn, f"{Path(llm.model).name}@{content_hash(llm.model)}")


def content_hash(path: str) -> str:
    """Of a file, short: a table that was changed is another source."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def slug(model: str) -> str:
    """A model's name (or a file's) as part of a file name: without folder, in letters, digits, dots and dashes."""
    name = Path(model.replace("\\", "/")).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(".csv").removesuffix(".parquet")).strip("-.") or "llm"


def cache_path(opened: Opened) -> Path:
    """Where answers are kept unless the user says otherwise: in the study's folder, else in the user's cache."""
    if opened.folder is not None:
        return opened.folder / ".crowdllm" / CACHE_FILE
    from platformdirs import user_cache_path

    return user_cache_path("crowdllm") / "llm-cache" / f"{opened.dataset}.sqlite"


@contextmanager
def keeping(backend: Backend, path: Path | None) -> Iterator[Backend]:
    """The backend with the file of kept answers around it, closed at the end; the bare backend for None."""
    if path is None:
        yield backend
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    around = CachedBackend(backend, path)
    try:
        yield around
    finally:
        around.close()


def left_to_ask(backend: Backend, plan: Plan, path: Path | None) -> list[Request]:
    """What of the plan is not kept yet; nothing is asked, and no file is made."""
    wanted = requests(plan.wanted)
    if path is None or not path.is_file():
        return wanted
    around = CachedBackend(backend, path)
    try:
        return around.missing(wanted, plan.sampling)
    finally:
        around.close()


def move_answers(path: Path, export: Path | None, import_: Path | None) -> str:
    """Write the kept answers to a file, or take them from one; what was done, in words."""
    if export is not None and import_ is not None:
        raise ConfigError("--export-cache and --import-cache go one after the other: give one of the two")
    if export is not None:
        return f"wrote {export_cache(path, export):,} answers to {export}"
    assert import_ is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = import_cache(path, import_)
    return f"took {taken.added:,} answers into {path}; {taken.known:,} more were there already"
