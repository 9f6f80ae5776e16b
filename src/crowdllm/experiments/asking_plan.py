"""Say what asking for references will take, before anything is asked: calls, tokens, money, and what is unusual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crowdllm.elicitation.modes import Plan
from crowdllm.llm.protocol import Request
from crowdllm.llm.usage import Price, expected_usage, text_tokens

LONG_PROMPT = 4000


def plan_lines(plan: Plan, left: Sequence[Request], price: Price | None, paid: bool) -> list[str]:
    """What is asked, one line each.

    left: what of the plan is not yet kept from earlier. paid: whether tokens may cost anything with this backend.
    """
    return list(_lines(plan, left, price, paid))


def _lines(plan: Plan, left: Sequence[Request], price: Price | None, paid: bool) -> Iterator[str]:
    mode, usage = plan.mode, expected_usage(left, plan.sampling)
    yield f"mode {mode.name}: {mode.meaning}{_settings(plan)}"
    source = plan.template.source or f"the built-in {plan.template.kind} prompt"
    yield f"prompts: {source}"
    for note in plan.notes:
        yield f"note: {note}"
    answers = sum(len(request.draws) for request in left)
    different = len({(prompt.system, prompt.text, prompt.answers, k) for prompt, k in plan.wanted})
    known = max(different - answers, 0)
    yield (
        f"to ask: {answers:,} answers about {len(plan.problems):,} problems"
        + (f" ({known:,} more are kept from before)" if known else "")
        + f", in at most {usage.calls:,} calls; about {usage.prompt_tokens:,} input and at most "
        f"{usage.completion_tokens:,} output tokens (estimated); what cannot be read is asked for once more"
    )
    if price is not None:
        yield (
            f"cost: at most about {price.of(usage):.4f} ({price.input:g} and {price.output:g} per million input and "
            "output tokens)"
        )
    elif paid:
        yield "cost: not known; give --price-input and --price-output, or a table [prices.MODEL] in study.toml"
    longest = max(plan.wanted, key=lambda wanted: len(wanted[0].text), default=None)
    if longest is not None and text_tokens(longest[0].text) > LONG_PROMPT:
        yield (
            f"longest prompt: about {text_tokens(longest[0].text):,} tokens (problem {longest[0].problem_id!r}); it is "
            "sent whole, and where the LLM refuses it, that problem is counted as failed"
        )


def _settings(plan: Plan) -> str:
    if plan.sampling.scores:
        return ""
    what = "person" if plan.personas is not None else "draw"
    number = f"{plan.draws:,} {what}{'' if plan.draws == 1 else 's'}"
    return f"; {number} per problem, temperature {plan.sampling.temperature:g}"
