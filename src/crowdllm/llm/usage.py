"""What answers cost: tokens added up or estimated, prices, and a limit that is kept before it is passed.

Prices are money per million tokens, in whatever currency; money = (input * prompt tokens + output * completion
tokens) / 1,000,000. Where a server does not say how many tokens a call took they are estimated, on the high side, and
the call is counted as estimated. A limit is hard: a call only starts when what is spent, plus the most that the calls
under way and this one can be expected to cost, stays within it.
"""

from __future__ import annotations

import math
import threading
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import ConfigError, CrowdLLMError, Finding, StudyError, UnknownNameError
from crowdllm.llm.protocol import Request, Sampling, Usage

MILLION = 1_000_000
TEMPLATE_TOKENS = 50
"""What a chat template may add to a prompt."""
TOKENS_PER_BYTE = 1 / 3
"""Tokens per byte of text in UTF-8; English has about 1/4."""
SCORE_TOKENS = 8
"""Tokens generated where only the probabilities of answers are wanted."""


class CostLimitError(CrowdLLMError):
    """The next call could cost more than the limit leaves; all answers before it are there and kept."""


@dataclass(frozen=True)
class Price:
    """Money per million tokens."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """What so many tokens cost."""
        return (self.input * usage.prompt_tokens + self.output * usage.completion_tokens) / MILLION


def add(*usages: Usage) -> Usage:
    return Usage(
        sum(u.calls for u in usages),
        sum(u.prompt_tokens for u in usages),
        sum(u.completion_tokens for u in usages),
        sum(u.estimated for u in usages),
    )


def text_tokens(text: str, per_byte: float = TOKENS_PER_BYTE) -> int:
    """An estimate of a text's tokens, rather high than low."""
    return math.ceil(len(text.encode("utf-8", "replace")) * per_byte)


def call_usage(system: str, text: str, draws: int, sampling: Sampling, per_byte: float = TOKENS_PER_BYTE) -> Usage:
    """The most that one call for `draws` answers may be expected to use."""
    prompt = text_tokens(system, per_byte) + text_tokens(text, per_byte) + TEMPLATE_TOKENS
    completion = SCORE_TOKENS if sampling.scores else sampling.max_tokens * draws
    return Usage(1, prompt, completion, 1)


def expected_usage(requests: Iterable[Request], sampling: Sampling, singly: bool = True) -> Usage:
    """The most that these requests may be expected to use, for saying so before anything is asked.

    singly: whether each draw is a call of its own, which pays for the prompt each time, or all draws are one call.
    """
    total = Usage()
    for request in requests:
        draws = len(request.draws)
        calls = 1 if sampling.scores or not singly else draws
        one = call_usage(request.prompt.system, request.prompt.text, draws // calls, sampling)
        total = add(total, *[one] * calls)
    return total


def read_prices(path: str | Path) -> dict[str, Price]:
    """The table `[prices."model"]` with `input` and `output` of a TOML file, by model.

    Raises StudyError naming what is missing, unknown or no price.
    """
    path = Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise StudyError([Finding("error", f"the prices cannot be read: {error}", str(path))]) from None
    table = found.get("prices")
    if not isinstance(table, dict) or not table:
        hint = '[prices."model-name"] with input = 0.15 and output = 0.60 (per million tokens)'
        raise StudyError([Finding("error", "no table of prices", path.name, allowed=hint)])
    findings = [finding for model, entry in table.items() for finding in _faults(model, entry, path.name)]
    if findings:
        raise StudyError(findings)
    return {model: Price(float(entry["input"]), float(entry["output"])) for model, entry in table.items()}


def _faults(model: str, entry: Any, file: str) -> list[Finding]:
    where = f'prices."{model}"'
    if not isinstance(entry, dict):
        return [Finding("error", "no price", file, column=where, value=str(entry), allowed="input and output")]
    findings = [
        Finding("error", "an unknown setting", file, column=where, value=name, allowed="input, output")
        for name in entry
        if name not in ("input", "output")
    ]
    for name in ("input", "output"):
        value = entry.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None:
            findings.append(Finding("error", f"{name} is missing", file, column=where, allowed="per million tokens"))
        elif not number or not 0 <= value < math.inf:
            findings.append(
                Finding("error", f"{name} is no price", file, column=where, value=str(value), allowed="0 or more")
            )
    return findings


def price_of(prices: dict[str, Price], model: str) -> Price:
    """Raises UnknownNameError listing the models that have a price."""
    if model not in prices:
        raise UnknownNameError("model", model, prices, "the table of prices")
    return prices[model]


class Ledger:
    """The running totals of a backend, shared by its threads, with an optional limit in money.

    max_cost needs a price (ConfigError otherwise).
    """

    def __init__(self, price: Price | None = None, max_cost: float | None = None) -> None:
        if max_cost is not None and (price is None or not max_cost >= 0):
            fault = "needs the model's price" if price is None else f"must be 0 or more, not {max_cost}"
            raise ConfigError(f"a cost limit {fault}")
        self.price, self.max_cost = price, max_cost
        self._usage = Usage()
        self._under_way: list[float] = []
        self._per_byte = TOKENS_PER_BYTE
        self._settled = threading.Condition()

    @property
    def usage(self) -> Usage:
        """Of all calls so far."""
        return self._usage

    @property
    def cost(self) -> float | None:
        """Money spent so far; None without a price."""
        return None if self.price is None else self.price.of(self._usage)

    def estimate(self, system: str, text: str, draws: int, sampling: Sampling) -> Usage:
        """The most that one call may be expected to use, from what the calls so far have taught."""
        return call_usage(system, text, draws, sampling, self._per_byte)

    def reserve(self, estimate: Usage, check: Callable[[], object] = lambda: None) -> float:
        """Set money aside for a call, waiting for calls under way where they might leave enough; what was set aside.

        check: called now and then while waiting; may raise. Raises CostLimitError where no call is under way and it
        is still too much.
        """
        if self.price is None or self.max_cost is None:
            return 0.0
        most = self.price.of(estimate)
        with self._settled:
            while (spent := self.price.of(self._usage)) + sum(self._under_way) + most > self.max_cost:
                if not self._under_way:
                    raise CostLimitError(
                        f"the cost limit of {self.max_cost:g} is reached: {spent:.4f} is spent, and the next call may "
                        f"cost {most:.4f}. Answers so far are kept; give a higher limit to go on"
                    )
                self._settled.wait(0.2)
                check()
            self._under_way.append(most)
        return most

    def settle(self, reserved: float, usage: Usage, text_bytes: int = 0) -> None:
        """What a call used in truth, or as estimated, in place of what was set aside for it.

        text_bytes: the length of its prompt, from which later estimates are made.
        """
        with self._settled:
            if reserved in self._under_way:
                self._under_way.remove(reserved)
            self._usage = add(self._usage, usage)
            if text_bytes >= 200 and usage.calls == 1 and not usage.estimated:
                self._per_byte = max(self._per_byte, 1.1 * usage.prompt_tokens / text_bytes)
            if self.max_cost is not None:
                self._settled.notify_all()

    def lines(self) -> list[str]:
        """The totals in words."""
        u = self._usage
        shown = f"{u.calls:,} calls, {u.prompt_tokens:,} prompt and {u.completion_tokens:,} completion tokens"
        estimated = f" ({u.estimated:,} calls estimated)" if u.estimated else ""
        return [f"{shown}{estimated}"] + ([] if self.cost is None else [f"cost: {self.cost:.4f}"])
