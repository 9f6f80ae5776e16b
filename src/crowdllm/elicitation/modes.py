"""The ways to ask an LLM for references, and what each asks: which prompts, how many draws, with which settings.

| mode | prompt | draws | temperature | what the reference is |
|---|---|---|---|---|
| decision | zero-shot | 1 | 0 | the paper's reference decision |
| samples | zero-shot | K = 8 | 1 | K draws; at temperature 0.5 their majority is self-consistency |
| options | zero-shot, answers scored | 1 | | the probability of each level or option |
| distribution | distribution | 1 | 0 | the LLM's own estimate of how a crowd would spread |
| persona | multi-persona | N = 8 personas | 0 | one answer per invented person |

At temperature 0 all draws of one prompt are the same answer, so it is asked for once, and said so.

Shapes: T problems, K draws (or personas).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from crowdllm.data.problems import Problems, widest
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.llm.prompts import (
    DEFAULTS,
    Template,
    again,
    distribution_prompts,
    multi_persona_prompts,
    option_score_prompts,
    zero_shot_prompts,
)
from crowdllm.llm.prompts.distribution import crowd_instructions, parse_distribution
from crowdllm.llm.prompts.fence import altered
from crowdllm.llm.protocol import Backend, Prompt, Request, Sampling
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.responses.protocol import Array, ResponseType

Wanted = tuple[Prompt, int]
"""A prompt and the number of a draw of it."""
Slot = tuple[int, int]
"""A problem and the number of a draw, as positions in `Reference.values_TKD`."""
MOST_DRAWS = 10_000


@dataclass(frozen=True)
class Mode:
    """One way to ask. template: the kind of prompt; draws, temperature: unless said otherwise."""

    name: str
    template: str
    draws: int
    temperature: float
    meaning: str


MODES = {
    mode.name: mode
    for mode in (
        Mode("decision", "zero-shot", 1, 0.0, "one answer"),
        Mode("samples", "zero-shot", 8, 1.0, "several answers, each drawn anew"),
        Mode("options", "zero-shot", 1, 1.0, "the probability of each level or option"),
        Mode("distribution", "distribution", 1, 0.0, "the LLM's own estimate of how a crowd would answer"),
        Mode("persona", "multi-persona", 8, 0.0, "one answer per invented person"),
    )
}


@dataclass(frozen=True)
class Elicitation:
    """What is wished for; None leaves it to the mode. personas: how many people are invented (mode persona)."""

    mode: str = "samples"
    draws: int | None = None
    temperature: float | None = None
    personas: int | None = None
    seed: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that is asked, in which form answers are read, and where each is laid.

    draws: K, the width of the reference. wanted: per prompt and draw number the (problem, draw) slots it fills.
    personas: the K people of mode persona. notes: what the user should know, one line each.
    """

    mode: Mode
    problems: Problems
    response_type: ResponseType
    draws: int
    sampling: Sampling
    wanted: Mapping[Wanted, tuple[Slot, ...]]
    templates: Mapping[str, Template]
    personas: Profiles | None = None
    notes: tuple[str, ...] = ()

    @property
    def template(self) -> Template:
        return self.templates[self.mode.template]

    def read(self, text: str, prompt: Prompt) -> Array:
        """The response in an answer, or the distribution in one; raises UnparsableAnswerError."""
        if self.mode.name == "distribution":
            return parse_distribution(text, self.response_type, prompt.options)
        return self.response_type.parse(text, prompt.options)

    def again(self, prompt: Prompt) -> Prompt:
        """The prompt with its answer format repeated."""
        kind = self.response_type
        if self.mode.name == "distribution":
            return again(prompt, crowd_instructions(kind, prompt.options), self.templates["again"])
        return again(prompt, kind.instructions(prompt.options), self.templates["again"])


def make_plan(
    problems: Problems,
    response_type: ResponseType,
    wish: Elicitation,
    context: str = "",
    requirements: str = "",
    people: Profiles | None = None,
    templates: Mapping[str, Template] | None = None,
) -> Plan:
    """What is asked about these problems; nothing is asked yet. people: see `elicit_references`.

    Raises UnknownNameError for an unknown mode, ConfigError for settings that contradict each other, MismatchError for
    a mode that this response type has no prompt for.
    """
    if wish.mode not in MODES:
        raise UnknownNameError("mode", wish.mode, MODES)
    mode = MODES[wish.mode]
    draws, temperature, notes = _numbers(mode, wish)
    words = templates or DEFAULTS
    personas = _personas(people, draws, wish.seed) if mode.name == "persona" else None
    prompts = _prompts(mode, problems, response_type, context, requirements, people, personas, words)
    wanted: dict[Wanted, tuple[Slot, ...]] = {}
    for k, of_draw in enumerate(prompts if personas is not None else prompts * draws):
        for t, prompt in enumerate(of_draw):
            # at temperature 0 personas who are described in the same words give the same answer
            asked = (prompt, 0) if personas is not None and temperature == 0 else (prompt, k)
            wanted[asked] = (*wanted.get(asked, ()), (t, k))
    if personas is not None and len(wanted) < draws * len(problems):
        notes.append(f"{draws} personas in {len(wanted) // max(len(problems), 1)} different descriptions")
    marked = altered([*map(str, problems.texts), *(option for options in problems.options for option in options)])
    if marked:
        notes.append(f"{marked:,} texts hold control characters or chat markers, which are broken up in the prompts")
    tokens = wish.max_tokens or _tokens(mode, response_type, problems)
    sampling = Sampling(temperature, tokens, scores=mode.name == "options")
    return Plan(mode, problems, response_type, draws, sampling, wanted, words, personas, tuple(notes))


def requests(wanted: Mapping[Wanted, object]) -> list[Request]:
    """One request per prompt, with the numbers of its draws."""
    draws: dict[Prompt, list[int]] = {}
    for prompt, k in wanted:
        draws.setdefault(prompt, []).append(k)
    return [Request(prompt, tuple(numbers)) for prompt, numbers in draws.items()]


def require_scores(plan: Plan, backend: Backend) -> None:
    """Raise MismatchError where probabilities of answers are wanted of a backend that gives none."""
    if plan.sampling.scores and not backend.scores:
        raise MismatchError(
            f"the backend {backend.name!r} gives no probabilities of answers: use --mode samples (K draws) or "
            "--mode distribution (the LLM's own estimate), or a backend that gives them"
        )


def _numbers(mode: Mode, wish: Elicitation) -> tuple[int, float, list[str]]:
    """K, the temperature, and what to say about them."""
    named = {"draws": wish.draws, "personas": wish.personas, "max_tokens": wish.max_tokens}
    for name, value in named.items():
        if value is not None and (not 1 <= value <= 10**6 if name == "max_tokens" else not 1 <= value <= MOST_DRAWS):
            raise ConfigError(f"the number of {name} must be at least 1 and at most {MOST_DRAWS:,}, not {value}")
    if wish.temperature is not None and not (math.isfinite(wish.temperature) and wish.temperature >= 0):
        raise ConfigError(f"the temperature must be a number of at least 0, not {wish.temperature}")
    temperature = mode.temperature if wish.temperature is None else wish.temperature
    if mode.name == "persona":
        if wish.draws is not None:
            raise ConfigError("mode persona asks every persona once: say how many with --personas instead of -k")
        return wish.personas or mode.draws, temperature, []
    if wish.personas is not None:
        raise ConfigError(f"--personas goes with --mode persona, not {mode.name}")
    draws = wish.draws or mode.draws
    if mode.name == "options":
        if wish.temperature is not None:
            raise ConfigError("mode options takes the LLM's own probabilities: leave the temperature out")
        return 1, temperature, ["probabilities are asked for once per problem"] if draws > 1 else []
    if mode.name == "decision" and draws > 1 and temperature > 0:
        raise ConfigError(
            f"a decision is one answer: for {draws} draws at temperature {temperature:g} use --mode samples"
        )
    if temperature == 0 and draws > 1:
        return 1, 0.0, [f"at temperature 0 all {draws} draws are the same answer: it is asked for once"]
    return draws, temperature, []


def _personas(people: Profiles | None, count: int, seed: int) -> Profiles:
    """People drawn from the joint distribution of these profiles; nobody of them, and no id."""
    if people is None or not people.columns or not len(people):
        raise MismatchError(
            "mode persona describes people, and the study has no profiles: declare profile columns in study.toml, or "
            "use another mode"
        )
    return ProfileGenerator.fit(people, seed=seed).recruit(count, seed)


def _prompts(
    mode: Mode,
    problems: Problems,
    kind: ResponseType,
    context: str,
    requirements: str,
    people: Profiles | None,
    personas: Profiles | None,
    templates: Mapping[str, Template],
) -> list[list[Prompt]]:
    """Per persona (else once) the prompts in the order of the problems."""
    template = templates[mode.template]
    if personas is not None:
        return multi_persona_prompts(problems, kind, personas, context, requirements, template)
    if mode.name == "distribution":
        return [distribution_prompts(problems, kind, people, context, requirements, template)]
    make = option_score_prompts if mode.name == "options" else zero_shot_prompts
    return [make(problems, kind, context, requirements, template)]


def _tokens(mode: Mode, kind: ResponseType, problems: Problems) -> int:
    """Enough for an answer in the format asked for."""
    if mode.name == "distribution":
        options = max(problems.options, key=len, default=())
        return 64 + len(crowd_instructions(kind, options).rpartition("\n")[2])
    lists = kind.has_options and kind.kind != "choice"
    return max(Sampling().max_tokens, 32 + 10 * widest(problems, kind)) if lists else Sampling().max_tokens
