"""The plan of a simulation: what is simulated, and the parts that it is cut into.

A part is a range of participants with all their responses. Where the parts begin and end, and which problems are
decided together inside one, follows from the settings alone and never from workers, engines or machines, so that every
part is the same file wherever and whenever it is made.

Shapes: N participants, T problems, D response width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.profiles.participation import check_probability
from crowdllm.profiles.raking import Margins
from crowdllm.responses.protocol import ResponseType
from crowdllm.simulation.versions import versions

PART_ROWS = 1 << 23
"""The most numbers (responses times their width) that one part stores."""
PART_DECISIONS = 1 << 25
"""The most that one part decides where only a share of it is stored."""
PART_PEOPLE = 1 << 16
BLOCK_VALUES = 1 << 20
"""The most numbers that are decided at a time, and the most rows of one row group."""
DERIVED = {"problem_count", "people_per_part", "problems_per_block", "rows_per_group"}
WORDS = {
    "model_hash": "the model is another",
    "problems": "the problems are others",
    "features": "what the model sees of the problems differs (references, embedding)",
    "people": "the people simulated are others",
    "margins": "the target margins are others",
    "arithmetic": "the processor or its mathematics library rounds in another way",
}


TargetMargins = tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


def target_margins(margins: Margins | Sequence[Sequence[Any]]) -> TargetMargins:
    """Margins, in their order, as values that can be compared and hashed; also back from JSON's lists."""
    columns = margins.items() if isinstance(margins, Mapping) else margins
    pairs = ((column, shares.items() if isinstance(shares, Mapping) else shares) for column, shares in columns)
    return tuple((column, tuple((label, _number(share)) for label, share in shares)) for column, shares in pairs)


def _number(share: Any) -> Any:
    """So that 1 and 1.0 are one plan; what is no number is left to `parse_margins` to refuse."""
    return float(share) if isinstance(share, int | float) else share


@dataclass(frozen=True)
class Settings:
    """What a user asks for.

    participants: how many people. where: filters on profile columns, such as `age=25-29`. margins: target shares of
    groups among those recruited, per column, as `target_margins` gives them.
    participation: the probability that a person answers a problem. sample: the share of the responses that is stored;
    1 for all of them, 0 for none (distributions only).
    """

    participants: int
    seed: int = 0
    where: tuple[str, ...] = ()
    participation: float = 1.0
    sample: float = 1.0
    margins: TargetMargins = ()

    def check(self) -> None:
        """Raise ConfigError for a setting out of range."""
        check_probability(self.participation, 1, 1)
        if self.participants < 1:
            raise ConfigError(f"at least one participant is needed, not {self.participants}")
        if not 0 <= self.sample <= 1:
            raise ConfigError(f"the share of responses to store must lie between 0 and 1, not {self.sample:g}")
        if not -(2**63) <= self.seed < 2**63:
            raise ConfigError(f"the seed must be a whole number of at most 63 bits, not {self.seed}")


@dataclass(frozen=True)
class Plan:
    """Settings, what they are applied to, and the cut into parts.

    model_hash, problems, features, people: hashes of the model, of the problems (ids, texts, options), of what the
    model sees of them, and of given people ("" where people are recruited).
    people_per_part: participants of every part but the last. problems_per_block: problems decided at a time.
    rows_per_group: rows of a full row group of the responses.
    versions: of the software that the bytes depend on.
    """

    settings: Settings
    model_hash: str
    problems: str
    features: str
    people: str
    problem_count: int
    people_per_part: int
    problems_per_block: int
    rows_per_group: int
    versions: dict[str, str]

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.settings.participants // self.people_per_part)

    @property
    def hash(self) -> str:
        """Of everything here: two runs with one hash write the same files."""
        return _digest(json.dumps(self.to_dict(), sort_keys=True))

    def people_of(self, part: int) -> range:
        """The participants of a part, by number."""
        first = part * self.people_per_part
        return range(first, min(first + self.people_per_part, self.settings.participants))

    def blocks(self) -> list[slice]:
        """The ranges of problems that are decided together."""
        step = self.problems_per_block
        return [slice(t, min(t + step, self.problem_count)) for t in range(0, self.problem_count, step)]

    def to_dict(self) -> dict[str, Any]:
        out = asdict(self)
        out["settings"]["where"] = list(self.settings.where)
        if not self.settings.margins:  # so that crowds without margins are the bytes that they always were
            del out["settings"]["margins"]
        return out

    @staticmethod
    def from_dict(state: dict[str, Any]) -> Plan:
        """Back from `to_dict`; raises CrowdLLMError where that was written by another version."""
        names, own = {field.name for field in fields(Plan)}, {field.name for field in fields(Settings)}
        if set(state) != names or set(state["settings"]) | {"margins"} != own:
            raise CrowdLLMError("the settings of this crowd were written by another version of crowdllm")
        margins = target_margins(state["settings"].get("margins", ()))
        settings = state["settings"] | {"where": tuple(state["settings"]["where"]), "margins": margins}
        return Plan(**state | {"settings": Settings(**settings)})


def make_plan(
    model_hash: str, items: Items, response_type: ResponseType, settings: Settings, people: Profiles | None = None
) -> Plan:
    """The plan of these settings on these items; raises ConfigError for settings that cannot be.

    people: given people instead of recruits (`settings.participants` is their number).
    """
    settings.check()
    if not len(items.problems):
        raise ConfigError("there are no problems to answer: name at least one")
    width = response_type.width(items.item_TU.shape[1] if response_type.has_options else 0)
    people_per_part, problems_per_block, rows_per_group = _size(settings, len(items.problems), width)
    return Plan(
        settings=settings,
        model_hash=model_hash,
        problems=_problems_hash(items),
        features=_features_hash(items),
        people="" if people is None else _people_hash(people),
        problem_count=len(items.problems),
        people_per_part=people_per_part,
        problems_per_block=problems_per_block,
        rows_per_group=rows_per_group,
        versions=versions(),
    )


def _size(settings: Settings, problems: int, width: int) -> tuple[int, int, int]:
    """People of a part, problems of a block, and rows of a row group."""
    per_person = max(problems * settings.participation, 1) * width
    people = min(PART_PEOPLE, PART_DECISIONS // per_person)
    if settings.sample > 0:
        people = min(people, PART_ROWS // max(per_person * settings.sample, 1))
    people = _round_down(max(int(people), 1))
    return people, max(1, BLOCK_VALUES // (people * width)), max(1, BLOCK_VALUES // width)


def differences(there: Plan, here: Plan) -> list[str]:
    """In words, each setting that differs between a run on disk and the one asked for."""
    a, b = _flat(there), _flat(here)
    keys = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    # where parts end follows from the rest, and is told only where nothing else differs
    return [_difference(key, a.get(key), b.get(key)) for key in keys if key not in DERIVED or set(keys) <= DERIVED]


def _flat(plan: Plan) -> dict[str, Any]:
    state = plan.to_dict()
    return state.pop("settings") | state.pop("versions") | state


def _difference(key: str, there: Any, here: Any) -> str:
    if key in WORDS:
        return WORDS[key]
    return f"{key.replace('_', ' ')} is {_shown(there)} there and {_shown(here)} here"


@dataclass(frozen=True)
class Shard:
    """Share number `number` (from 1) of `of`: every of-th part."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def parts(self, plan: Plan) -> range:
        """The parts of the plan that belong to this share."""
        return range(self.number - 1, plan.parts, self.of)


def parse_shard(text: str) -> Shard:
    """`3/8` as a Shard; raises ConfigError for anything else."""
    number, slash, of = text.partition("/")
    try:
        shard = Shard(int(number), int(of))
    except ValueError:
        shard = Shard(0, 0)
    if not slash or not 1 <= shard.number <= shard.of:
        raise ConfigError(f"a share is written as its number and how many there are, such as 3/8, not {text!r}")
    return shard


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(repr(v) for v in value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _round_down(count: int) -> int:
    """To two digits, so that parts have numbers that people can read."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return count // step * step


def _digest(*texts: str | bytes) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _problems_hash(items: Items) -> str:
    problems = items.problems
    options = [list(o) for o in problems.options]
    return _digest(json.dumps([list(map(str, problems.ids)), list(map(str, problems.texts)), options]))


def _features_hash(items: Items) -> str:
    arrays = (items.item_TU, items.x_IX, items.reference_IF, items.length_I)
    texts = json.dumps([items.keys, items.reference_names])
    return _digest(texts, *(np.ascontiguousarray(a).tobytes() for a in arrays))


def _people_hash(people: Profiles) -> str:
    columns = [[c.name, c.kind, list(c.levels)] for c in people.columns]
    return _digest(json.dumps([columns, list(map(str, people.ids))]), np.ascontiguousarray(people.values_NC).tobytes())
