"""What every response type promises: legal samples, readable cells, strict parsing, a proper likelihood."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import stats

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses import RESPONSE_TYPES, ResponseType, response_type_from_dict
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import stable_keys, uniforms

Array = NDArray[np.float64]
MOST = 5
EXAMPLES: dict[str, ResponseType] = {
    "continuous": Continuous(),
    "continuous from 0 to 10": Continuous(0.0, 10.0),
    "continuous from -5 up, on its own unit": Continuous(low=-5.0, center=40.0, scale=20.0),
    "ordinal 1 to 5": Ordinal(("1", "2", "3", "4", "5")),
    "ordinal -3 to 3": Ordinal(tuple(str(m) for m in range(-3, 4))),
    "ordinal in words": Ordinal(("never", "sometimes", "always"), ends=("not once", "each time")),
    "choice": Choice(MOST),
    "ballot of two": Ballot(2, 2, MOST),
    "ballot of up to three": Ballot(0, 3, MOST),
    "ballot of one to five": Ballot(1, 5, MOST),
    "points": Points(4, 1, MOST),
    "points in tens": Points(40, 10, MOST),
    "ranking of all": Ranking(0, MOST),
    "ranking of the best two": Ranking(2, MOST),
}
OPTIONS = ("Repair the bridge", "New playground", "Bus shelter", "Street trees", "Night light")
every_type = pytest.mark.parametrize("kind", EXAMPLES.values(), ids=EXAMPLES.keys())
discrete_type = pytest.mark.parametrize(
    "kind",
    [kind for kind in EXAMPLES.values() if kind.kind != "continuous"],
    ids=[name for name, kind in EXAMPLES.items() if kind.kind != "continuous"],
)
option_type = pytest.mark.parametrize(
    "kind",
    [kind for kind in EXAMPLES.values() if kind.has_options],
    ids=[name for name, kind in EXAMPLES.items() if kind.has_options],
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
EXTREMES = (1e-300, 1e-10, 1 - 1e-10, float(np.nextafter(1, 0)))


def options_of(kind: ResponseType, count: int) -> tuple[str, ...]:
    return OPTIONS[:count] if kind.has_options else ()


def parameters(kind: ResponseType, raw: Array, shift: Array, spread: Array) -> Array:
    """(B, P) from raw numbers, as a model makes them."""
    base = kind.base(torch.from_numpy(raw))
    return kind.shifted(base, torch.from_numpy(shift), torch.from_numpy(spread)).numpy()


@st.composite
def simulated(draw: st.DrawFn, kind: ResponseType) -> tuple[Array, NDArray[np.int64]]:
    """Responses drawn by `sample` from any parameters and uniforms, and the number of options of each problem."""
    rows = draw(st.integers(1, 6))

    def numbers(columns: int, low: float, high: float) -> Array:
        return draw(npst.arrays(np.float64, (rows, columns), elements=st.floats(low, high)))

    raw, shift = numbers(kind.raw_width(MOST), -40, 40), numbers(kind.utility_width(MOST), -40, 40)
    spread = numbers(1, 1, 50)[:, 0]
    each = st.one_of(st.floats(1e-10, 1 - 1e-10), st.sampled_from(EXTREMES))
    noise = draw(npst.arrays(np.float64, (rows, kind.noise_width(MOST)), elements=each))
    count = draw(npst.arrays(np.int64, rows, elements=st.integers(2, MOST)))
    count = count if kind.has_options else np.zeros(rows, dtype=np.int64)
    return kind.sample(parameters(kind, raw, shift, spread), noise, count), count


def every_response(kind: ResponseType, count: int) -> Array:
    """(S, D) all legal responses: every row of conceivable values that `legal` lets pass."""
    conceivable = {
        "ordinal": [range(len(getattr(kind, "levels", ())))],
        "choice": [range(count)],
        "ballot": [range(2)] * count,
        "ranking": [range(count + 1)] * count,
        "points": [range(0, getattr(kind, "budget", 0) + 1, getattr(kind, "step", 1))] * count,
    }[kind.kind]
    rows = np.array(list(itertools.product(*conceivable)), dtype=float)
    padded = np.pad(rows, ((0, 0), (0, kind.width(MOST) - rows.shape[1])))
    return padded[kind.legal(padded, np.full(len(padded), count))]


def example_parameters(kind: ResponseType, seed: int, rows: int = 1, strength: float = 1.0) -> Array:
    """(B, P) parameters of one problem and one shift, repeated."""
    rng = np.random.default_rng(seed)
    raw = strength * rng.standard_normal((1, kind.raw_width(MOST)))
    shift = strength * rng.standard_normal((1, kind.utility_width(MOST)))
    return np.repeat(parameters(kind, raw, shift, np.array([1.3])), rows, axis=0)


def keyed_sample(kind: ResponseType, params: Array, count: int, seed: int) -> Array:
    noise = uniforms(seed, "test", stable_keys(np.arange(len(params))), stable_keys(["q"]), kind.noise_width(MOST))
    return kind.sample(params, noise, np.full(len(params), count))


def log_prob(kind: ResponseType, params: Array, values: Array, count: int) -> Array:
    counts = torch.full((len(values),), count)
    return kind.log_prob(torch.from_numpy(params), torch.from_numpy(values), counts).numpy()


def test_examples_cover_every_registered_type() -> None:
    assert {kind.kind for kind in EXAMPLES.values()} == set(RESPONSE_TYPES)


# --- sampling ---------------------------------------------------------------------------------------------------


@every_type
def test_simulated_responses_are_legal_and_read_back_from_their_cells(kind: ResponseType) -> None:
    @QUICK
    @given(simulated(kind))
    def check(drawn: tuple[Array, NDArray[np.int64]]) -> None:
        values, count = drawn
        assert values.shape[1] == kind.width(MOST)
        assert kind.legal(values, count).all()
        for value, options in zip(values, (options_of(kind, c) for c in count), strict=True):
            read = kind.read_cell(kind.write_cell(value, options), options)
            assert np.array_equal(read, value)

    check()


@option_type
def test_options_that_a_problem_lacks_are_never_chosen(kind: ResponseType) -> None:
    """Even where the parameters of the missing options are by far the highest."""
    params = np.zeros((400, kind.raw_width(MOST)))
    params[:, 2:MOST] = 500.0
    values = keyed_sample(kind, params, 2, seed=3)
    assert kind.legal(values, np.full(400, 2)).all()
    assert (values < 2).all() if kind.kind == "choice" else not values[:, 2:].any()


@every_type
def test_a_response_depends_on_no_other_row_of_its_batch(kind: ResponseType) -> None:
    params = np.concatenate([example_parameters(kind, seed) for seed in range(30)])
    count = np.full(30, 4 if kind.has_options else 0)
    noise = uniforms(5, "test", stable_keys(np.arange(30)), stable_keys(["q"]), kind.noise_width(MOST))
    together = kind.sample(params, noise, count)
    alone = [kind.sample(params[i : i + 1], noise[i : i + 1], count[i : i + 1])[0] for i in range(30)]
    assert np.array_equal(together, alone)


@option_type
def test_a_response_does_not_depend_on_how_many_options_other_problems_have(kind: ResponseType) -> None:
    """With more columns for options that this problem lacks, and more noise, it stays the same."""
    wider = MOST + 3
    params = np.concatenate([example_parameters(kind, seed) for seed in range(30)])
    padded = np.concatenate([params[:, :MOST], np.full((30, 3), 99.0), params[:, MOST:]], axis=1)
    people, count = stable_keys(np.arange(30)), np.full(30, 3)
    noise = uniforms(6, "test", people, stable_keys(["q"]), kind.noise_width(MOST))
    more_noise = uniforms(6, "test", people, stable_keys(["q"]), kind.noise_width(wider))
    wide = kind.sample(padded, more_noise, count)
    assert np.array_equal(wide[:, : kind.width(MOST)], kind.sample(params, noise, count))
    assert not wide[:, kind.width(MOST) :].any()
    scores = [
        kind.log_prob(torch.from_numpy(p), torch.from_numpy(v), torch.from_numpy(count)).numpy()
        for p, v in ((params, kind.sample(params, noise, count)), (padded, wide))
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)


@discrete_type
@pytest.mark.parametrize("seed", [0, 1])
def test_sampling_frequencies_are_the_probabilities(kind: ResponseType, seed: int) -> None:
    """Pearson's chi-square over all responses expected at least five times, the others together."""
    count, draws = (3 if kind.has_options else 0), 20_000
    params = example_parameters(kind, seed, draws)
    values = keyed_sample(kind, params, count, seed)
    responses = every_response(kind, count)
    position = {tuple(row): i for i, row in enumerate(responses)}
    seen = np.bincount([position[tuple(row)] for row in values], minlength=len(responses))
    expected = draws * np.exp(log_prob(kind, params[: len(responses)], responses, count))
    rare = expected < 5
    seen = np.append(seen[~rare], seen[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 1
    statistic = ((seen - expected)[keep] ** 2 / expected[keep]).sum()
    assert statistic < stats.chi2.ppf(1 - 1e-4, df=max(keep.sum() - 1, 1))
    assert seen[~keep].sum() < 10


# --- likelihood -------------------------------------------------------------------------------------------------


@discrete_type
@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
def test_probabilities_of_all_responses_add_up_to_one(kind: ResponseType, strength: float) -> None:
    for count in (2, 3, 4) if kind.has_options else (0,):
        responses = every_response(kind, count)
        params = example_parameters(kind, 7, len(responses), strength)
        total = np.exp(log_prob(kind, params, responses, count)).sum()
        assert total == pytest.approx(1, abs=1e-5)


@every_type
def test_gradients_of_the_likelihood_match_finite_differences(kind: ResponseType) -> None:
    """Through base, shift and spread, at sampled responses, with problems of different sizes."""
    rng = np.random.default_rng(11)
    rows = 6
    count = np.array([2, 3, 4, 5, 5, 3]) if kind.has_options else np.zeros(rows, dtype=np.int64)
    raw, shift = (
        rng.standard_normal((rows, kind.raw_width(MOST))),
        rng.standard_normal((rows, kind.utility_width(MOST))),
    )
    spread = 1 + rng.random(rows)
    noise = np.clip(rng.random((rows, kind.noise_width(MOST))), 0.01, 0.99)
    values = torch.from_numpy(kind.sample(parameters(kind, raw, shift, spread), noise, count))
    counts = torch.from_numpy(count)

    def score(raw: torch.Tensor, shift: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        return kind.log_prob(kind.shifted(kind.base(raw), shift, spread), values, counts)

    inputs = [torch.from_numpy(a).requires_grad_() for a in (raw, shift, spread)]
    assert torch.autograd.gradcheck(score, inputs, eps=1e-6, atol=1e-5)


@every_type
def test_log_probabilities_and_gradients_stay_finite_at_extreme_parameters(kind: ResponseType) -> None:
    rng = np.random.default_rng(12)
    rows, strength = 40, 60.0
    count = rng.integers(2, MOST + 1, rows) if kind.has_options else np.zeros(rows, dtype=np.int64)
    inputs = [
        torch.from_numpy(strength * rng.standard_normal((rows, width))).requires_grad_()
        for width in (kind.raw_width(MOST), kind.utility_width(MOST))
    ]
    flat = np.zeros((rows, kind.raw_width(MOST)))
    calm = parameters(kind, flat, np.zeros((rows, kind.utility_width(MOST))), np.ones(rows))
    values = kind.sample(calm, rng.random((rows, kind.noise_width(MOST))), count)
    params = kind.shifted(kind.base(inputs[0]), inputs[1], torch.ones(rows, dtype=torch.float64))
    score = kind.log_prob(params, torch.from_numpy(values), torch.from_numpy(count))
    score.sum().backward()
    assert torch.isfinite(score).all()
    assert all(torch.isfinite(x.grad).all() for x in inputs)


# --- text -------------------------------------------------------------------------------------------------------


def filled_in(kind: ResponseType, value: Array, options: tuple[str, ...]) -> str:
    """The answer format that the instructions end with, filled in with this response."""
    label = re.search(r"Answer format: (\w+):", kind.instructions(options))
    assert label is not None
    cell = kind.write_cell(value, options)
    if cell == "|":  # the instructions say how nothing is picked
        nothing = re.search(r"for no option, (Picks: \w+)\)", kind.instructions(options))
        assert nothing is not None
        return nothing.group(1)
    return f"{label.group(1)}: {cell.replace('|', ', ')}"


@every_type
def test_an_answer_in_the_format_asked_for_is_read(kind: ResponseType) -> None:
    options = options_of(kind, 4)
    values = keyed_sample(kind, example_parameters(kind, 1, 60, 0.3), len(options), seed=2)
    for value in values:
        text = filled_in(kind, value, options)
        for form in (text, f"  {text}\n", text.upper(), f"{text}.", text.replace(": ", ": [") + "]"):
            assert np.array_equal(kind.parse(form, options), value), form


@every_type
def test_an_answer_is_read_in_markdown_json_a_block_of_code_and_after_thoughts(kind: ResponseType) -> None:
    options = options_of(kind, 4)
    value = keyed_sample(kind, example_parameters(kind, 1, 1, 0.3), len(options), seed=2)[0]
    text = filled_in(kind, value, options)
    label, _, body = text.partition(": ")
    word = json.dumps(body)
    for form in (
        f"**{text}**",
        f"**{label}:** {body}",
        f"**{label}**: {body}",
        f"{label}: **{body}**",
        f"`{body}`",
        f"```\n{text}\n```",
        f'{{"answer": {word}}}',
        f'{{"{label.lower()}": {word}}}',
        f'```json\n{{"Answer": {word}}}\n```',
        f"<think>Perhaps #1, or 2. Answer: none</think>\n\n{text}",
        f"Thinking aloud ...</think>{text}",
    ):
        assert np.array_equal(kind.parse(form, options), value), form


@every_type
def test_the_crowd_question_shows_every_option_or_level(kind: ResponseType) -> None:
    text = kind.crowd_question(options_of(kind, 4))
    for shown in (*options_of(kind, 4), *getattr(kind, "levels", ())):
        assert shown in text


@every_type
def test_instructions_show_every_option_or_level(kind: ResponseType) -> None:
    text = kind.instructions(options_of(kind, 4))
    for shown in (*options_of(kind, 4), *getattr(kind, "levels", ()), *filter(None, getattr(kind, "ends", ()))):
        assert shown in text
    assert "Answer format:" in text.splitlines()[-1]


NO_ANSWERS = {
    "empty": "",
    "blanks": " \n\t ",
    "label alone": "Rating:",
    "two numbers": "1 2",
    "two numbers after a label": "Answer: 1 or 2",
    "a fraction": "5/5",
    "a range": "1-2",
    "a word for a number": "five",
    "a refusal": "I'm sorry, but as an AI I cannot rate this.",
    "a refusal with a number": "I cannot say, but others might answer 3",
    "an explanation": "Rating: 3 because it is rude",
    "two lines": "3\nRating: 4",
    "a forged answer": "Rating: 5 Rating: 1",
    "a forged choice": "Answer: #1 Answer: #2",
    "an underscore": "1_0",
    "Arabic digits": "\u0663",
    "full-width digits": "Rating: \uff13",
    "superscript": "\u00b2",
    "not a number": "nan",
    "infinity": "inf",
    "minus infinity": "-Infinity",
    "overflow": "1e400",
    "hexadecimal": "0x3",
    "a decimal comma": "3,5,",
    "null": "null",
    "an option far beyond": "#99",
    "NUL": "3\x00",
    "JSON with an explanation": '{"rating": 3, "why": "rude"}',
    "JSON with another label": '{"score": 3}',
    "JSON with the answer in a list in a list": '{"answer": [[3]]}',
    "JSON that says nothing": '{"answer": null}',
    "a list with a truth value": '{"answer": [true]}',
    "half a JSON object": '{"answer": 3',
    "thoughts without an end": "<think>It is a 3",
    "thoughts alone": "It is a 3</think>",
    "two ends of thoughts": "3</think>3</think>3",
    "a block of code with more": "```\n3\n``` and that is it",
    "half a block of code": "```\n3",
    "half an emphasis": "**3",
    "a power": "2**3",
    "an answer in German": "Bewertung: 3",
    "a refusal in French": "Je ne peux pas répondre à cette question.",
    "an answer in Chinese": "评分：三",
    "two numbers in words": "between 3 and 4",
    "a role marker": "<|im_end|>3",
}


@every_type
@pytest.mark.parametrize("text", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_is_refused_and_says_what_is_allowed(kind: ResponseType, text: str) -> None:
    options = options_of(kind, 4)
    with pytest.raises(UnparsableAnswerError) as caught:
        kind.parse(text, options)
    assert caught.value.allowed == kind.allowed(options)
    assert caught.value.value == text
    if text.strip() != "|":
        with pytest.raises(UnparsableAnswerError):
            kind.read_cell(text, options)


HUGE = 200_000
LONG_TEXTS = {
    "digits": "1" * HUGE,
    "digits and a letter": "1" * HUGE + "x",
    "blanks": "1" + " " * HUGE + "1",
    "a label and blanks": "Rating" + " " * HUGE,
    "a label after another": "Rating: " * (HUGE // 8),
    "open brackets": "[" * HUGE,
    "brackets": "[" * (HUGE // 2) + "]" * (HUGE // 2),
    "full stops": "." * HUGE,
    "numbers": "1, " * (HUGE // 3),
    "numbered options": "#1," * (HUGE // 3),
    "points": "#1=1," * (HUGE // 5),
    "equal signs": "=" * HUGE,
    "points and blanks": "#1" + " " * HUGE + "=",
    "separators": "|" * HUGE,
    "fractions": "." + "1" * HUGE + "e" + "1" * 10 + "x",
    "lines": "3\n" * (HUGE // 2),
    "words": "never " * (HUGE // 6),
    "quotes": "'" * HUGE,
    "thoughts": "</think>" * (HUGE // 8),
    "emphasis": "*" * HUGE,
    "emphasis around blanks": "**" + " " * HUGE + "**",
    "JSON": '{"answer": "' + "3" * HUGE + '"}',
    "JSON objects": '{"answer":' * (HUGE // 10),
    "blocks of code": "```\n" * (HUGE // 4),
    "other letters": "\u00df\ufb03" * (HUGE // 2),
}


@every_type
@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_200_kilobytes_are_refused_at_once(kind: ResponseType, text: str) -> None:
    options = options_of(kind, 4)
    started = time.process_time()
    with pytest.raises(UnparsableAnswerError) as caught:
        kind.parse(text, options)
    assert time.process_time() - started < 0.2
    assert len(str(caught.value)) < 500


@every_type
def test_any_text_is_read_as_a_legal_response_or_refused(kind: ResponseType) -> None:
    options = options_of(kind, 4)
    plain = [*OPTIONS, "#1", "2", "=", "|", ",", "Rating:", "[", "]", ".", " ", "-", "none", "never"]
    pieces = st.sampled_from([*plain, "**", "_", "`", "```\n", "</think>", '{"answer":', '"', "}", ":", "null", "3"])
    texts = st.one_of(st.text(max_size=20), st.lists(pieces, max_size=8).map("".join))

    @settings(QUICK, max_examples=100)
    @given(texts)
    def check(text: str) -> None:
        for read in (kind.parse, kind.read_cell):
            try:
                value = read(text, options)
            except UnparsableAnswerError:
                continue
            assert value.shape == (kind.width(MOST),)
            assert kind.legal(value[None], np.array([len(options)]))[0]

    check()


@option_type
def test_long_options_with_separators_are_read_by_text_and_number(kind: ResponseType) -> None:
    options = ("Parks, trees and water", "Roads; bridges", "A > B", "x=3", "Schools: new")
    for value in keyed_sample(kind, example_parameters(kind, 5, 40, 0.5), 5, seed=1):
        cell = kind.write_cell(value, options)
        assert np.array_equal(kind.read_cell(cell, options), value)
        by_text = re.sub(r"#(\d)", lambda match: options[int(match.group(1)) - 1], cell)
        assert np.array_equal(kind.read_cell(by_text, options), value)
        assert np.array_equal(kind.read_cell(by_text.upper(), options), value)


# --- summaries and settings ---------------------------------------------------------------------------------------


def crowds(kind: ResponseType) -> Iterator[Array]:
    for seed in range(3):
        yield keyed_sample(kind, example_parameters(kind, seed, 50, 0.5), 4 if kind.has_options else 0, seed)


@every_type
def test_summaries_are_distributions_and_distances_are_metrics(kind: ResponseType) -> None:
    summaries = [kind.summarise(crowd) for crowd in crowds(kind)]
    for summary in summaries:
        assert summary.shape == (kind.summary_width(MOST),)
        if kind.kind == "continuous":
            assert (np.diff(summary) >= 0).all()
        else:
            assert summary.sum() == pytest.approx(1)
            assert (summary >= 0).all()
    p, q, r = summaries
    assert kind.distance(p, p) == 0
    assert kind.distance(p, q) == pytest.approx(kind.distance(q, p))
    assert kind.distance(p, q) > 0
    assert kind.distance(p, r) <= kind.distance(p, q) + kind.distance(q, r) + 1e-12


@every_type
def test_the_summary_of_nobody_is_missing(kind: ResponseType) -> None:
    summary = kind.summarise(np.zeros((0, kind.width(MOST))))
    assert summary.shape == (kind.summary_width(MOST),)
    assert np.isnan(summary).all()


@every_type
def test_summaries_do_not_depend_on_the_order_of_people(kind: ResponseType) -> None:
    for crowd in crowds(kind):
        assert kind.summarise(crowd[::-1]) == pytest.approx(kind.summarise(crowd))


@every_type
def test_settings_survive_json(kind: ResponseType) -> None:
    written = json.dumps(kind.to_dict(), allow_nan=False)
    assert response_type_from_dict(json.loads(written)) == kind
    assert json.loads(written)["type"] == kind.kind


@every_type
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, -1.0, 0.5, 1e300])
def test_strange_numbers_are_illegal(kind: ResponseType, strange: float) -> None:
    if kind.kind == "continuous" and np.isfinite(strange):
        kind = Continuous(0.0, 0.25)
    values = next(crowds(kind))[:1].copy()
    values[0, 0] = strange
    assert not kind.legal(values, np.array([4]))[0]


@option_type
def test_responses_to_missing_options_are_illegal(kind: ResponseType) -> None:
    values = every_response(kind, 5)
    assert kind.legal(values, np.full(len(values), 5)).all()
    used = values[:, 0] == 4 if kind.kind == "choice" else values[:, 4] > 0
    few = kind.legal(values, np.full(len(values), 4))
    assert used.any()
    assert not few[used].any()


@option_type
def test_a_type_that_does_not_know_its_options_takes_their_number(kind: ResponseType) -> None:
    known: Any = kind
    unknown = replace(known, max_options=0)
    for method in ("width", "summary_width", "raw_width", "utility_width", "noise_width"):
        assert getattr(unknown, method)(MOST) == getattr(kind, method)()
