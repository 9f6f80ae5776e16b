"""What scoring all answers costs per problem, beside sampling K texts and beside a forward pass per answer.

    python benchmarks/option_scores.py [--parameters 1e7] [--family llama] [--problems 4] [--prompt-tokens 300]
        [--draws 8] [--answer-tokens 6] [--batch-size 8] [--repeats 3] [--json FILE]

On a model with random weights (made on the spot, `tests/llm/tiny_model.py`), whose byte-level tokenizer writes a token
per character. Four ways to ask, through the same backend and with the same batch size:

- scores: `TransformersBackend` with `Sampling(scores=True)`: prompts once, then the different beginnings of answers;
- draws: K texts of `--answer-tokens` tokens per problem, sharing the prompt's computation too (a random model hardly
  ever ends its turn, so the texts have that length; "Rating: 4" and the end of the turn are about 6 tokens);
- calls: the same K texts, each asked for on its own, as from a server without several draws per call;
- naive: a full forward pass over the prompt and every answer.

Printed per set of answers: times of draws, calls and naive as multiples of the time of scores (median over repeats, so
that the machine's speed drops out), how many tokens each way runs per problem, and the largest difference between the
shares of scores and naive. Times include tokenising and, for texts, decoding.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crowdllm.llm.causal_lm import prefill
from crowdllm.llm.option_scores import shares
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling
from crowdllm.llm.transformers import TransformersBackend

TINY = Path(__file__).parents[1] / "tests" / "llm" / "tiny_model.py"
LAYERS = 8
WAYS = ("scores", "draws", "calls", "naive")
ANSWERS = {
    "1 to 5": ("1", "2", "3", "4", "5"),
    "0 to 10": tuple(str(level) for level in range(11)),
    "five in words": ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    "#1 to #24": tuple(f"#{option + 1}" for option in range(24)),
}


def make_model(folder: str, family: str, parameters: float) -> None:
    """A model of about so many parameters: nine times the width squared in each of its layers."""
    width = max(32, 32 * round(math.sqrt(parameters / (9 * LAYERS)) / 32))
    runpy.run_path(str(TINY))["build"](folder, family, width=width, layers=LAYERS)


def problems(count: int, tokens: int, answers: tuple[str, ...]) -> list[Prompt]:
    """Prompts of about so many tokens, a fifth more or less."""
    sentence = "How much do you agree that the city should have more trees? "
    lengths = [round(tokens * (0.8 + 0.4 * i / max(1, count - 1))) for i in range(count)]
    texts = [(sentence * (length // len(sentence) + 1))[:length] for length in lengths]
    return [Prompt(str(i), f"{i}: {text}", answers=answers) for i, text in enumerate(texts)]


def naive(backend: TransformersBackend, prompts: Sequence[Prompt]) -> tuple[dict[str, np.ndarray], int]:
    """Shares from a full forward pass per answer, in batches; and the number of tokens run."""
    lm, prompt = backend._loaded.lm, backend._loaded.prompt
    rows = [
        (p.problem_id, m, tuple(prompt.ids(p.system, p.text)), tuple(prompt.answer_ids(answer)))
        for p in prompts
        for m, answer in enumerate(p.answers)
    ]
    begins = {p.problem_id: np.zeros(len(p.answers)) for p in prompts}
    for start in range(0, len(rows), backend.batch_size):
        chunk = rows[start : start + backend.batch_size]
        longest = max(len(answer) for *_, answer in chunk)
        for name, m, log_p in _log_probabilities(lm, chunk, longest):
            begins[name][m] = log_p
    tokens = {p.problem_id: tuple(tuple(prompt.answer_ids(a)) for a in p.answers) for p in prompts}
    run = sum(len(ids) + len(answer) - 1 for _, _, ids, answer in rows)
    return {name: shares(begins_M, tokens[name])[0] for name, begins_M in begins.items()}, run


def _log_probabilities(lm: Any, chunk: Sequence[Any], longest: int) -> list[tuple[str, int, float]]:
    """Summed log probabilities of the answers of a batch, from one pass padded on the left."""
    if longest == 1:
        last_BV = prefill(lm, [ids for _, _, ids, _ in chunk]).last_BV.double().log_softmax(-1)
        return [(name, m, float(last_BV[b, answer[0]])) for b, (name, m, _, answer) in enumerate(chunk)]
    width = max(len(ids) + len(answer) for _, _, ids, answer in chunk)
    padded = [[0] * (width - len(ids) - len(answer)) + [*ids, *answer] for _, _, ids, answer in chunk]
    mask = [[0] * (width - len(ids) - len(answer)) + [1] * (len(ids) + len(answer)) for _, _, ids, answer in chunk]
    mask_BL = torch.tensor(mask)
    with torch.inference_mode():
        logits = lm.model(
            input_ids=torch.tensor(padded),
            attention_mask=mask_BL,
            position_ids=(mask_BL.cumsum(1) - 1).clamp_min(0),
            use_cache=False,
            logits_to_keep=longest + 1,
        ).logits
    out = []
    for b, (name, m, _, answer) in enumerate(chunk):
        log_p = logits[b, -len(answer) - 1 : -1].double().log_softmax(-1)
        out.append((name, m, float(log_p[range(len(answer)), list(answer)].sum())))
    return out


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


def measure(backend: TransformersBackend, name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """One row: ratios of times, tokens per problem, and the largest difference of shares."""
    prompts = problems(chosen.problems, chosen.prompt_tokens, ANSWERS[name])
    requests = [Request(prompt, tuple(range(chosen.draws))) for prompt in prompts]
    sampling = Sampling(max_tokens=chosen.answer_tokens)
    apart = [[Request(prompt, (k,)) for prompt in prompts] for k in range(chosen.draws)]
    ratios: dict[str, list[float]] = {"draws": [], "calls": [], "naive": []}
    for _ in range(chosen.repeats):
        scoring, scored = timed(lambda: list(backend.ask(requests, Sampling(scores=True))))
        drawing, drawn = timed(lambda: list(backend.ask(requests, sampling)))
        calling, called = timed(lambda: [a for some in apart for a in backend.ask(some, sampling)])
        passing, (expected, run) = timed(lambda: naive(backend, prompts))
        ratios["draws"].append(drawing / scoring)
        ratios["calls"].append(calling / scoring)
        ratios["naive"].append(passing / scoring)
    difference = max(float(np.abs(np.array(a.shares) - expected[a.prompt.problem_id]).max()) for a in scored)
    return {
        "answers": name,
        **{f"{way}_over_scores": statistics.median(found) for way, found in ratios.items()},
        "tokens_scores": tokens_run(scored) / len(prompts),
        "tokens_draws": tokens_run(drawn) / len(prompts),
        "tokens_calls": tokens_run(called) / len(prompts),
        "tokens_naive": run / len(prompts),
        "largest_difference": difference,
    }


def tokens_run(answers: Sequence[Answer]) -> int:
    assert not any(answer.failure for answer in answers), "an answer failed"
    return sum(answer.usage.prompt_tokens + answer.usage.completion_tokens for answer in answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=1e7)
    parser.add_argument("--family", default="llama", choices=("llama", "qwen3", "gemma3"))
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=300)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--answer-tokens", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="also write settings and rows here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, chosen.family, chosen.parameters)
        backend = TransformersBackend(folder, device="cpu", batch_size=chosen.batch_size)
        count = sum(weight.numel() for weight in backend._loaded.lm.model.parameters())
        print(
            f"{chosen.family}, {count / 1e6:.1f} M parameters, {chosen.problems} problems of about "
            f"{chosen.prompt_tokens} tokens, {chosen.draws} draws of {chosen.answer_tokens} tokens"
        )
        titles = ("answers", *(f"{way}/scores" for way in WAYS[1:]), *(f"tokens, {way}" for way in WAYS), "difference")
        print("".join(f"{title:>15}" for title in titles))
        rows = []
        for name in ANSWERS:
            rows.append(row := measure(backend, name, chosen))
            cells = [f"{row[f'{way}_over_scores']:.1f}" for way in WAYS[1:]]
            cells += [f"{row[f'tokens_{way}']:.0f}" for way in WAYS]
            print("".join(f"{cell:>15}" for cell in (name, *cells, f"{row['largest_difference']:.0e}")))
    if chosen.json is not None:
        settings = {key: value for key, value in vars(chosen).items() if key != "json"}
        chosen.json.write_text(
            json.dumps({"settings": {**settings, "parameters": count}, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
