"""One fitted model, one server and one browser for all tests of the studio, and pages that note what they ask for.

The server is the real one on a free port of the loopback interface; it ends with the tests. The browser is Debian's
Chromium; where there is none the tests that need it skip, unless CROWDLLM_NEEDS_BROWSER says that they must not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

import crowdllm
from crowdllm.experiments.demo import open_demo_study
from crowdllm.experiments.llm_backends import LLM
from crowdllm.experiments.sources import open_references
from crowdllm.studio.app import make_app, make_studio
from crowdllm.studio.asking import Asker
from crowdllm.studio.guard import Access
from crowdllm.studio.new_reference import NewReference
from crowdllm.studio.serve import serve
from crowdllm.studio.store import Entry
from crowdllm.studio.web import Studio
from crowdllm.studio.workspace import MODEL, PROBLEM, Workspace, wording

QUICK: dict[str, Any] = {
    "belief_width": 2,
    "max_epochs": 3,
    "prediction_draws": 32,
    "effect_variances": (0.3,),
    "embedding_penalties": (30.0, 30.0),
    "reference_penalties": (30.0,),
    "profile_penalties": (8.0,),
}
SHARES = (0.1, 0.2, 0.3, 0.25, 0.15)


@pytest.fixture(scope="session")
def quick_settings() -> dict[str, Any]:
    """Settings of a fit with nothing to choose between."""
    return QUICK


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the bundled example study, fitted quickly."""
    opened = open_demo_study()
    model = crowdllm.fit(opened.study, open_references(opened, None), **QUICK)
    return crowdllm.save_model(model, tmp_path_factory.mktemp("models") / "demo", opened.study)


@pytest.fixture
def workspace(tmp_path: Path, model_folder: Path) -> Workspace:
    """A studio's folder of one test, with the model in it."""
    work = Workspace(tmp_path / "studio")
    work.open(str(model_folder))
    return work


def add_problem(work: Workspace, text: str, reference: bool = True, **more: Any) -> Entry:
    """A problem on the list, with a reference that was typed in."""
    entry = work.add_problem(work.store.all(MODEL)[0].id, text, **more)
    if not reference:
        return entry
    return work.set_reference(entry, NewReference("typed in", wording(entry.body), SHARES, (), "distribution"))


@pytest.fixture(scope="session")
def ask() -> Callable[..., Entry]:
    """ask(workspace, text, reference=True, ...) -> a problem on the list."""
    return add_problem


@dataclass(frozen=True)
class Running:
    """A studio that answers requests."""

    access: Access
    studio: Studio

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.access.port}"

    @property
    def work(self) -> Workspace:
        return self.studio.workspace

    def client(self, **more: Any) -> httpx2.Client:
        """A client that has the token and says where it comes from, as a browser does."""
        headers = {"origin": self.base} | more.pop("headers", {})
        cookies = {self.access.cookie: self.access.token}
        return httpx2.Client(base_url=self.base, headers=headers, cookies=cookies, timeout=30, trust_env=False, **more)

    def problems(self) -> list[Entry]:
        return self.work.store.all(PROBLEM)


def running(studio: Studio) -> Iterator[Running]:
    """The studio on a free port, in a thread that ends with the test."""
    found: list[Access] = []
    up, done = threading.Event(), threading.Event()

    def ready(access: Access) -> None:
        found.append(access)
        up.set()

    def run() -> None:
        serve(lambda access, seen: make_app(studio, access, seen), 0, 0.0, lambda: not done.is_set(), ready)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(20)
    try:
        yield Running(found[0], studio)
    finally:
        done.set()
        thread.join(20)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Running]:
    """A studio on the example model, with made-up answers in place of an LLM's."""
    work = Workspace(tmp_path_factory.mktemp("studio"))
    work.open(str(model_folder))
    yield from running(make_studio(work, Asker(LLM("scripted"), work.folder)))


@pytest.fixture
def bare_server(tmp_path: Path) -> Iterator[Running]:
    """A studio with nothing in it and no LLM."""
    yield from running(make_studio(Workspace(tmp_path / "bare")))


@dataclass
class Browsing:
    """The browser, and all that its pages asked for or complained about since it was last looked at."""

    browser: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def open(self, server: Running, place: str = "/", width: int = 1280, scheme: str = "light", **more: Any) -> Any:
        """A page of this studio in a fresh profile, entered by the address with the token."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.goto(server.access.address)
        if place != "/":
            page.goto(server.base + place)
        return page

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def foreign(self, server: Running) -> list[str]:
        """What was asked of anybody but the studio."""
        return [url for url in self.asked if not url.startswith((server.base + "/", "data:", "blob:"))]

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.contexts.clear()
        self.asked.clear()
        self.complaints.clear()


@pytest.fixture
def browsing(chromium: Any, server: Running) -> Iterator[Browsing]:
    """The browser for one test; nothing foreign may have been asked for, and no script have failed, at its end."""
    held = Browsing(chromium)
    yield held
    foreign = [url for url in held.asked if not url.startswith("http://127.0.0.1:")]
    complaints = [text for text in held.complaints if "status of 4" not in text]
    held.close()
    assert not foreign
    assert not complaints
