"""What one studio works on: a folder with its models, studies, problems and choices of people.

Everything a page shows or changes goes through here, so nothing of it needs a browser:

    workspace = Workspace(Path("crowdllm-studio"))
    crowd = workspace.open("my-model")                    # a fitted model, or a study to fit on
    problem = workspace.add_problem(crowd.id, text="Free museums on Sundays.", reference=...)
    workspace.answer(problem).value_GM                    # as the page shows it

Models, crowds and answers are computed once and kept in memory as long as nothing that they depend on has changed.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from crowdllm.belief.checkpoint import META, TENSORS, check_fits, load_model, read_meta
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.data.study_toml import option_fault
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError
from crowdllm.experiments.sources import Opened, open_study
from crowdllm.responses.protocol import ResponseType
from crowdllm.simulation.run import read_run_meta
from crowdllm.studio.calibration import load_reach
from crowdllm.studio.crowd import Answer, Crowd, Who, ask_crowd, recruit_crowd
from crowdllm.studio.interval import AnswerInterval, answer_interval
from crowdllm.studio.new_reference import NewReference, items_with_reference
from crowdllm.studio.store import Entry, NoEntryError, Store

PROBLEM, AUDIENCE, MODEL, STUDY, IMPORT, FIT = "problem", "choice of people", "model", "study", "import", "fit"
DATABASE = "studio.sqlite"
PEOPLE, SEED = 10_000, 0
MOST_TEXT, MOST_NAME, MOST_OPTIONS = 200_000, 200, 200
KEPT_MODELS, KEPT_CROWDS, KEPT_ITEMS, KEPT_ANSWERS = 4, 8, 500, 500
T = TypeVar("T")


@dataclass(frozen=True)
class FittedCrowd:
    """A model that can be asked. study: where its training study is, "" where that is not known.

    training: the profiles of the people it was fitted on, None where the study is not at hand.
    """

    id: str
    name: str
    path: Path
    hash: str
    model: CrowdModel
    card: dict[str, Any]
    study: Opened | None = None

    @property
    def kind(self) -> ResponseType:
        return self.model.response_type

    @property
    def training(self) -> Profiles | None:
        return None if self.study is None else self.study.study.profiles


@dataclass
class _Kept:
    """The most recently used results. One thread at a time computes; the others of the same wish wait for it."""

    most: int
    held: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self.lock:
            if key not in self.held:
                self.held[key] = make()
                while len(self.held) > self.most:
                    self.held.popitem(last=False)
            self.held.move_to_end(key)
            out: T = self.held[key]
            return out


class Workspace:
    """See the module. Any number of threads may use one; several on the same folder share what is kept there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.folder / DATABASE)
        self._models, self._crowds = _Kept(KEPT_MODELS), _Kept(KEPT_CROWDS)
        self._items, self._answers = _Kept(KEPT_ITEMS), _Kept(KEPT_ANSWERS)
        self._studies = _Kept(KEPT_MODELS)

    # --- models and studies --------------------------------------------------------------------------------------

    def open(self, text: str) -> Entry:
        """Take in a fitted model or a study (a folder, or the name of a data set).

        Raises CrowdLLMError, with the findings of a study, for what is neither.
        """
        folder = Path(text)
        if folder.is_dir() and ((folder / TENSORS).is_file() or (folder / META).is_file()):
            if read_run_meta(folder) is not None:
                raise CrowdLLMError(f"{text} holds a simulated crowd: open the model it was made with, or a study")
            return self.add_model(folder)
        return self.add_study(text)

    def add_model(self, folder: Path, study: str = "", name: str = "") -> Entry:
        """Take in a fitted model; study: where its training study is, if that is known."""
        meta, path = read_meta(folder), folder.resolve()
        title = str((meta.get("study") or {}).get("title") or path.name)
        known = {entry.id: entry.body for entry in self.store.all(MODEL)}
        identity = _identity(path)
        study = study or str(known.get(identity, {}).get("study", ""))
        return self.store.add(MODEL, {"path": str(path), "name": name or title, "study": study}, identity)

    def add_study(self, text: str) -> Entry:
        """Take in a study."""
        opened = open_study(text)
        source = str(opened.folder.resolve()) if opened.folder is not None else text
        body = {"source": source, "name": opened.study.title or opened.name}
        return self.store.add(STUDY, body, _identity(source))

    def study(self, source: str) -> Opened:
        """The study of this folder or data set; read again when its files change."""
        folder = Path(source)
        stamp = max((p.stat().st_mtime_ns for p in folder.iterdir()), default=0) if folder.is_dir() else 0
        return self._studies.get((source, stamp), lambda: open_study(source))

    def crowds(self) -> list[Entry]:
        """The models that were taken in and are still there, the newest first."""
        return [e for e in reversed(self.store.all(MODEL)) if (Path(e.body["path"]) / META).is_file()]

    def crowd(self, identity: str) -> FittedCrowd:
        """A model, loaded. Raises NoEntryError, and CrowdLLMError for one that is damaged."""
        entry = self.store.get(identity, MODEL)
        path = Path(entry.body["path"])
        if not (path / META).is_file():
            raise NoEntryError(f"the model in {path} is not there any more: fit it again, or open another one")
        stamp = (path / META).stat().st_mtime_ns
        return self._models.get((identity, stamp, entry.revision), lambda: self._load(entry, path))

    def _load(self, entry: Entry, path: Path) -> FittedCrowd:
        meta, model = read_meta(path), load_model(path)
        study = self._training(str(entry.body["study"]), model)
        return FittedCrowd(
            entry.id, str(entry.body["name"]), path, str(meta["model_hash"]), model, meta.get("study") or {}, study
        )

    def _training(self, source: str, model: CrowdModel) -> Opened | None:
        """The training study, if it is there and still the one that the model was fitted on."""
        if not source:
            return None
        try:
            opened = self.study(source)
            check_fits(model, opened.study)
        except (CrowdLLMError, OSError):
            return None
        return opened if len(opened.study.profiles) == model.generator.people else None

    # --- problems ------------------------------------------------------------------------------------------------

    def problems(self) -> list[Entry]:
        """The list of problems, the oldest first."""
        return self.store.all(PROBLEM)

    def add_problem(
        self,
        crowd: str,
        text: str,
        options: Sequence[str] = (),
        context: str = "",
        requirements: str = "",
        reference: NewReference | None = None,
    ) -> Entry:
        """Put a problem on the list; raises as `problem_body` does."""
        return self.store.add(PROBLEM, self.problem_body(crowd, text, options, context, requirements, reference))

    def problem_body(
        self,
        crowd: str,
        text: str,
        options: Sequence[str] = (),
        context: str = "",
        requirements: str = "",
        reference: NewReference | None = None,
    ) -> dict[str, Any]:
        """What is kept of a problem; raises ConfigError for one that the crowd's scale cannot answer."""
        kind = self.crowd(crowd).kind
        if not text.strip():
            raise ConfigError("the problem has no text: write what people are asked")
        if len(text) > MOST_TEXT:
            raise ConfigError(f"the problem has {len(text):,} characters, and at most {MOST_TEXT:,} are possible")
        options = [option.strip() for option in options if option.strip()] if kind.has_options else []
        check_options(kind, options)
        return {
            "crowd": crowd,
            "text": text,
            "options": options,
            "context": context.strip(),
            "requirements": requirements.strip(),
            "reference": None if reference is None else reference.to_dict(),
        }

    def set_reference(self, problem: Entry, reference: NewReference) -> Entry:
        """Keep what was typed or asked with the problem as it is now, whoever changed it meanwhile."""
        while True:
            saved = self.store.save(problem, problem.body | {"reference": reference.to_dict()})
            if saved is not None:
                return saved
            problem = self.store.get(problem.id, PROBLEM)

    def items(self, problem: Entry) -> Items:
        """The problem as its model sees it; raises MismatchError where a reference is needed and not there."""
        crowd = self.crowd(problem.body["crowd"])
        key = (crowd.id, crowd.hash, problem.id, _digest(problem.body))
        return self._items.get(
            key, lambda: items_with_reference(crowd.model, as_problems(problem), reference_of(problem))
        )

    # --- people and answers --------------------------------------------------------------------------------------

    def who(self, audience: str, crowd: FittedCrowd) -> Who:
        """The choice of people of this id, "" for everybody. Raises MismatchError for another model's columns."""
        if not audience:
            return Who()
        entry = self.store.get(audience, AUDIENCE)
        who = who_from(entry.body)
        columns = {column.name for column in crowd.model.encoder.columns}
        foreign = [name for name in (*who.where, *who.margins) if name not in columns]
        if foreign:
            raise MismatchError(
                f"the choice {who.name!r} is about {', '.join(foreign)}, which the people of {crowd.name!r} do not have"
            )
        return who

    def recruits(self, crowd: FittedCrowd, who: Who, people: int = PEOPLE, seed: int = SEED) -> Crowd:
        """People of a choice, recruited once."""
        key = (crowd.id, crowd.hash, _digest(who_to(who) | {"name": ""}), people, seed)
        return self._crowds.get(key, lambda: recruit_crowd(crowd.model, people, seed, who))

    def warm(self) -> None:
        """Load the newest model with all it needs and recruit its usual crowd: the first answer need not wait."""
        try:
            for entry in self.crowds()[:1]:
                crowd = self.crowd(entry.id)
                crowd.model.embedder.embed(["The first text loads what reads texts."])
                ask_crowd(crowd.model, crowd.model.items, self.recruits(crowd, Who()))
        except CrowdLLMError:  # a page that needs the model will say what is wrong with it
            return

    def answer(self, problem: Entry, audience: str = "", people: int = PEOPLE, seed: int = SEED) -> Answer:
        """How a crowd answers a problem of the list."""
        crowd = self.crowd(problem.body["crowd"])
        who = self.who(audience, crowd)
        key = (crowd.id, crowd.hash, problem.id, _digest(problem.body), _digest(who_to(who)), people, seed)
        return self._answers.get(
            key, lambda: ask_crowd(crowd.model, self.items(problem), self.recruits(crowd, who, people, seed))
        )

    def interval(self, problem: Entry, answer: Answer, everybody: bool = True) -> AnswerInterval:
        """How sure an answer is. everybody: whether no choice of people was made."""
        crowd = self.crowd(problem.body["crowd"])
        return answer_interval(answer, crowd.kind, load_reach(crowd.path, crowd.hash), everybody)


def check_options(kind: ResponseType, options: Sequence[str]) -> None:
    """Raise ConfigError for options that a problem of this type cannot have."""
    if not kind.has_options:
        return
    least = max(2, int(getattr(kind, "min_picks", 0)))
    if len(options) < least:
        raise ConfigError(f"the problem has {len(options)} options, and needs at least {least}: write one in each line")
    if len(options) > MOST_OPTIONS:
        raise ConfigError(f"the problem has {len(options)} options, and at most {MOST_OPTIONS} are possible")
    fault = option_fault(options)
    if fault:
        raise ConfigError(fault)


def as_problems(problem: Entry) -> Problems:
    """The problem as the library knows problems; its id is the entry's, which its noise depends on."""
    body = problem.body
    return Problems(
        np.array([problem.id], dtype=object), np.array([body["text"]], dtype=object), (tuple(body["options"]),)
    )


def wording(body: dict[str, Any]) -> str:
    """What a reference is given for: the same as long as the question is."""
    return _digest({name: body[name] for name in ("text", "options", "context", "requirements")})


def reference_of(problem: Entry) -> NewReference | None:
    """The problem's reference, None where there is none, or only one of an earlier wording."""
    given = problem.body["reference"]
    return NewReference.from_dict(given) if given and given["wording"] == wording(problem.body) else None


def who_to(who: Who) -> dict[str, Any]:
    """A choice of people as plain JSON."""
    return {
        "name": who.name,
        "where": {name: [list(v) if isinstance(v, tuple) else v for v in values] for name, values in who.where.items()},
        "margins": {name: dict(shares) for name, shares in who.margins.items()},
    }


def who_from(body: dict[str, Any]) -> Who:
    """Back from `who_to`; infinite ends of ranges are written as null."""
    where: dict[str, Any] = {}
    for name, values in body["where"].items():
        where[name] = [
            (-np.inf if v[0] is None else v[0], np.inf if v[1] is None else v[1]) if isinstance(v, list) else v
            for v in values
        ]
    return Who(body["name"], where, body["margins"])


def training_study(crowd: FittedCrowd) -> Study | None:
    """The study that the crowd was fitted on, where it is at hand."""
    return None if crowd.study is None else crowd.study.study


def _identity(path: Path | str) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
