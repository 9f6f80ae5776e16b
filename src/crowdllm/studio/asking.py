"""Ask an LLM for the reference of one problem: what it would cost first, then once, and never again for these words.

Answers are kept in a file of the studio's folder (`crowdllm.llm.cache`), so an answer that was paid for is not paid for
again, whoever asks: another tab, another problem of the same words, or the studio after a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crowdllm.data.profiles import Profiles
from crowdllm.elicitation.asking import ask
from crowdllm.elicitation.laying import lay
from crowdllm.elicitation.modes import MODES, Elicitation, Plan, make_plan, require_scores
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.experiments.asking_plan import plan_lines
from crowdllm.experiments.llm_backends import CACHE_FILE, LLM, keeping, left_to_ask, open_backend
from crowdllm.llm.prompts import Template, read_templates
from crowdllm.llm.protocol import Usage
from crowdllm.llm.usage import Price, add
from crowdllm.studio.new_reference import NewReference, expected, of_elicited
from crowdllm.studio.store import Entry
from crowdllm.studio.workspace import FittedCrowd, as_problems, wording

DESCRIBED = 300
"""So many recruits stand for the people in a prompt where the study is not at hand."""


@dataclass
class Asker:
    """The LLM that a studio asks. mode: how; "" is what each model was fitted with. spent: by this studio so far."""

    llm: LLM
    folder: Path
    price: Price | None = None
    max_cost: float | None = None
    mode: str = ""
    spent: Usage = field(default_factory=Usage)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.llm.check()

    @property
    def name(self) -> str:
        return "made up, no LLM" if self.llm.makes_up else self.llm.model or self.llm.backend

    @property
    def cache(self) -> Path:
        return self.folder / CACHE_FILE

    def lines(self, crowd: FittedCrowd, problem: Entry) -> list[str]:
        """What asking about a problem will take: prompts, calls, tokens, cost; nothing is asked."""
        plan = self._plan(crowd, problem)
        backend = open_backend(self.llm, plan, self.price, self._left())
        return plan_lines(plan, left_to_ask(backend, plan, self.cache), self.price, self.llm.paid)

    def ask(self, crowd: FittedCrowd, problem: Entry) -> NewReference:
        """Ask, or take what is kept. Raises CrowdLLMError for an unreadable answer, and at the limit of cost."""
        plan = self._plan(crowd, problem)
        with self.lock:  # a second click waits, and finds the answer kept
            backend = open_backend(self.llm, plan, self.price, self._left())
            used = Usage()
            with keeping(backend, self.cache) as kept:
                require_scores(plan, kept)

                def watch(tally: object) -> None:
                    nonlocal used
                    used = getattr(tally, "usage", used)

                try:
                    asked = ask(plan, kept, watch)
                finally:
                    self.spent = add(self.spent, used)
                known = getattr(kept, "hits", 0)
        reference = lay(plan, asked, self.name)
        return of_elicited(reference, wording(problem.body), self.name, self._account(plan, asked.usage, known))

    def _plan(self, crowd: FittedCrowd, problem: Entry) -> Plan:
        mode = self.mode or expected(crowd.model).mode
        body = problem.body
        return make_plan(
            as_problems(problem), crowd.kind, Elicitation(mode), body["context"], body["requirements"],
            described_people(crowd), _templates(crowd),
        )  # fmt: skip

    def _left(self) -> float | None:
        """What of the limit is not spent."""
        if self.max_cost is None or self.price is None:
            return self.max_cost
        return max(0.0, self.max_cost - self.price.of(self.spent))

    def _account(self, plan: Plan, usage: Usage, known: int) -> tuple[str, ...]:
        calls = f"{usage.calls:,} call{'' if usage.calls == 1 else 's'}"
        tokens = f"{calls}, {usage.prompt_tokens:,} input and {usage.completion_tokens:,} output tokens"
        cost = "" if self.price is None else f", cost {self.price.of(usage):.4f}"
        kept = (
            f"{known:,} {'answer was' if known == 1 else 'answers were'} kept from before and cost nothing"
            if known
            else ""
        )
        meaning = f"mode {plan.mode.name}: {MODES[plan.mode.name].meaning}"
        return tuple(filter(None, (meaning, tokens + cost if usage.calls else "", kept)))


def described_people(crowd: FittedCrowd) -> Profiles:
    """Whose mix of profiles a prompt describes: the training people, or recruits like them."""
    return crowd.training if crowd.training is not None else crowd.model.recruit(DESCRIBED, 0)


def _templates(crowd: FittedCrowd) -> Mapping[str, Template] | None:
    """The study's own prompts where there are any."""
    folder = None if crowd.study is None else crowd.study.folder
    return None if folder is None else read_templates(folder)


def make_asker(
    folder: Path,
    backend: str,
    model: str = "",
    base_url: str = "",
    mode: str = "",
    price_input: float | None = None,
    price_output: float | None = None,
    max_cost: float | None = None,
) -> Asker | None:
    """The LLM of these settings, None where no backend is named.

    Raises ConfigError for settings that contradict each other, UnknownNameError for an unknown backend or mode.
    """
    given: dict[str, str | float | None] = {"--model": model, "--base-url": base_url, "--mode": mode}
    given |= {"--price-input": price_input, "--price-output": price_output, "--max-cost": max_cost}
    if not backend:
        for option in (name for name, value in given.items() if value not in ("", None)):
            raise ConfigError(f"{option} is about an LLM: say which, with --backend")
        return None
    if backend == "recorded":
        raise ConfigError("the backend 'recorded' knows no new problem: use another, or type references in")
    if mode and mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    if (price_input is None) != (price_output is None):
        raise ConfigError("--price-input and --price-output go together: give both")
    if max_cost is not None and price_input is None:
        raise ConfigError("--max-cost needs --price-input and --price-output")
    price = None if price_input is None or price_output is None else Price(price_input, price_output)
    return Asker(LLM(backend, model, base_url), folder, price, max_cost, mode)
