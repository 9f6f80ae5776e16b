"""Language models as rows of a comparison: tuned on the training part, as they are, or tuned elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.config import TuneConfig
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.experiments.comparison import Comparison, comparison_part, run_comparison
from crowdllm.methods import WITH_MODEL, get_method, require_method
from crowdllm.methods import tuned as rows
from crowdllm.methods.tuned import TunedSimulator, read_wish, simulator
from crowdllm.responses.continuous import Continuous
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.decoder import small_decoder
from crowdllm.survey_tuning.margins import PRIOR
from crowdllm.survey_tuning.tuning import tune

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")

FEW = "adapter=full&max_epochs=1&batch_size=32&micro_batch=16"


@pytest.fixture(scope="module", autouse=True)
def _one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = [
        "A question about amber and birch, part 1. Which one do you choose? The possible answers are: age in years"
    ]
    return str(small_decoder(tmp_path_factory.mktemp("row") / "base", words * 3, 32, 1, 4, 300))


def fitted(base: str, known: Any, method: str = "tuned") -> TunedSimulator:
    found = get_method(f"{method}:{base}?{FEW}")(known.study, None, "tfidf", 0)
    assert isinstance(found, TunedSimulator)
    return found


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous", "bounded"])
def test_answers_are_legal_repeat_and_do_not_depend_on_the_company(kind: str, base: str, make_known: Any) -> None:
    known = make_known(kind, people=12, problems=3)
    row = fitted(base, known)
    problems, crowd = known.study.problems, row.generator.recruit(15, 1)
    i, t = np.repeat(np.arange(15), 3), np.tile(np.arange(3), 15)
    values = row.simulate(problems, None, crowd, i, t, 3)
    assert known.study.response_type.legal(values, problems.option_counts[t]).all()
    assert np.array_equal(row.simulate(problems, None, crowd, i, t, 3), values)
    assert not np.array_equal(row.simulate(problems, None, crowd, i, t, 4), values)
    order = np.random.default_rng(0).permutation(len(i))[:20]
    assert np.array_equal(row.simulate(problems, None, crowd, i[order], t[order], 3), values[order])


@pytest.mark.parametrize("kind", ["ordinal", "choice"])
def test_shares_of_levels_are_what_answers_are_drawn_from(kind: str, base: str, make_known: Any) -> None:
    known = make_known(kind, people=12, problems=3)
    row = fitted(base, known)
    study = known.study
    p_RM = row.level_probabilities(study.problems, None, study.profiles, study.responses, 0)
    assert p_RM is not None
    assert p_RM.sum(axis=1) == pytest.approx(np.ones(len(study.responses)))
    log_R = row.log_scores(study.problems, None, study.profiles, study.responses, 0)
    level = study.responses.values_RD[:, 0].astype(int)
    assert log_R == pytest.approx(np.log(p_RM[np.arange(len(level)), level]))
    people = 4000
    same = study.profiles.take(np.zeros(people, dtype=np.int64))
    ids = np.array([f"s{n}" for n in range(people)], dtype=object)
    crowd = replace(same, ids=ids)
    values = row.simulate(study.problems, None, crowd, np.arange(people), np.zeros(people, dtype=np.int64), 0)
    one = Responses(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros((1, 1)))
    expected = row.level_probabilities(study.problems, None, same.take(np.zeros(1, dtype=np.int64)), one, 0)
    found = np.bincount(values[:, 0].astype(int), minlength=p_RM.shape[1]) / people
    assert expected is not None
    assert found == pytest.approx(expected[0], abs=4 * 0.5 / people**0.5)


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous"])
def test_unseen_questions_are_answered_by_unseen_people(kind: str, base: str, make_known: Any) -> None:
    known = make_known(kind, people=12, problems=5)
    split = known.study.split("both", 0.4, seed=0)
    row = get_method(f"tuned:{base}?{FEW}")(split.train, None, "tfidf", 0)
    test = split.test
    i, t = np.repeat(np.arange(len(test.profiles)), 2), np.tile(np.arange(2), len(test.profiles))
    values = row.simulate(test.problems, None, test.profiles, i, t, 0)
    assert test.response_type.legal(values, test.problems.option_counts[t]).all()
    scores = row.log_scores(test.problems, None, test.profiles, test.responses, 0)
    assert scores is not None
    assert np.isfinite(scores).all()


def test_the_density_of_numbers_integrates_to_one() -> None:
    """Candidates 0, 10 and 30 on a scale from 0 to 40 with shares .2, .5, .3: edges 0, 5, 20, 40."""
    values = np.array([[0.0, 10.0, 30.0, np.nan]])
    shares = Shares(np.array([[np.log(0.2), np.log(0.5), np.log(0.3), -np.inf]]), values, values, np.zeros(1))
    kind = Continuous(0.0, 40.0)
    grid = np.linspace(0.005, 39.995, 4000)
    density = [np.exp(rows._log_density(shares, 1.0, np.array([x]), kind)[0]) for x in grid]
    assert np.sum(density) * 0.01 == pytest.approx(1.0, rel=1e-3)
    at = {x: np.exp(rows._log_density(shares, 1.0, np.array([float(x)]), kind)[0]) for x in (3, 12, 39)}
    assert at[3] == pytest.approx(0.999 * 0.2 / 5 + 0.001 / 40)
    assert at[12] == pytest.approx(0.999 * 0.5 / 15 + 0.001 / 40)
    assert at[39] == pytest.approx(0.999 * 0.3 / 20 + 0.001 / 40)


def test_temperatures_are_the_calibrated_ones_or_a_number(base: str, make_known: Any) -> None:
    study = make_known("ordinal", people=12, problems=3).study
    found = tune([study], base, TuneConfig(adapter="full", max_epochs=1, batch_size=32), device="cpu")
    found = replace(found, temperature_kl=1.25, temperature_rmse=0.5)
    for name, value in (("kl", 1.25), ("rmse", 0.5), ("0", 0.0), ("1.5", 1.5)):
        assert simulator(found, study, name, 0).temperature == value


def test_a_wish_is_read_with_its_settings() -> None:
    wish = read_wish("tuned", "Qwen/Qwen3-8B?adapter=qlora&gamma=0.5&temperature=rmse&keep=runs&profile_columns=a|b")
    assert (wish.model, wish.temperature, wish.keep, wish.device) == ("Qwen/Qwen3-8B", "rmse", "runs", "auto")
    assert wish.config == TuneConfig(adapter="qlora", gamma=0.5, profile_columns=("a", "b"))


def test_margins_are_asked_for_by_1() -> None:
    assert not read_wish("tuned", "x").margins
    assert not read_wish("prompted", "x?margins=0&temperature=rmse").margins
    for argument in ("x?margins=1", "x?margins=true&temperature=1.0", "x?temperature=kl&margins=1"):
        assert read_wish("adapter", argument).margins
    assert read_wish("tuned", "x?margins=1").temperature == "kl"  # of questions that nobody answered in training


def row_with_margins(base: str, train: Study, plain: str) -> tuple[TunedSimulator, TunedSimulator]:
    """The same model as it is, at the temperature `plain`, and with margins, at 0.5 where they do not hold."""
    found = tune([train], base, TuneConfig(adapter="full", max_epochs=1, batch_size=32), device="cpu")
    return simulator(found, train, plain, 0), simulator(found, train, "0.5", 0, margins=True)


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous"])
def test_with_margins_training_people_answer_each_question_in_its_own_shares(
    kind: str, base: str, make_known: Any
) -> None:
    """The mean is n parts of the answers' shares and PRIOR parts of what the model says as it is."""
    train = make_known(kind, people=24, problems=3).study.split("participant", 0.25, seed=0).train
    plain, raked = row_with_margins(base, train, "1")
    for t in range(3):
        answers = train.responses.take(np.flatnonzero(train.responses.problem_R == t))
        rows = answers.participant_R, answers.problem_R
        before, after = (row.shares(train.problems, train.profiles, *rows) for row in (plain, raked))
        gap_RM = np.abs(before.values_RM - answers.values_RD[:, :1])
        given_RM = gap_RM == np.nanmin(gap_RM, axis=1, keepdims=True)  # the nearest, of numbers that are no candidates
        count = len(answers)
        target_M = (given_RM.sum(axis=0) + PRIOR * before.at(1.0).mean(axis=0)) / (count + PRIOR)
        assert after.at(1.0).mean(axis=0) == pytest.approx(target_M, abs=1e-6)
        assert not np.allclose(after.at(1.0), before.at(1.0))
        assert after.at(1.0).sum(axis=1) == pytest.approx(np.ones(count))


def test_margins_reach_answers_and_scores_of_strangers_and_leave_unseen_questions_as_they_are(
    base: str, make_known: Any
) -> None:
    split = make_known("ordinal", people=24, problems=4).study.split("both", 0.25, seed=0)
    plain, raked = row_with_margins(base, split.train, "0.5")
    for study, same in ((split.train, False), (split.test, True)):
        i = np.repeat(np.arange(len(split.test.profiles)), len(study.problems))
        t = np.tile(np.arange(len(study.problems)), len(split.test.profiles))
        people, responses = split.test.profiles, Responses(i, t, np.zeros((len(i), 1)))
        before, after = (row.level_probabilities(study.problems, None, people, responses, 0) for row in (plain, raked))
        scores = [row.log_scores(study.problems, None, people, responses, 0) for row in (plain, raked)]
        assert before is not None
        assert after is not None
        assert np.allclose(before, after) is same
        assert scores[1] == pytest.approx(np.log(after[:, 0]))
    many = np.zeros(4000, dtype=np.int64)
    ids = np.array([f"s{n}" for n in range(4000)], dtype=object)
    crowd = replace(split.test.profiles.take(many), ids=ids)
    drawn = raked.simulate(split.train.problems, None, crowd, np.arange(4000), many, 0)[:, 0].astype(int)
    one = Responses(many[:1], many[:1], np.zeros((1, 1)))
    expected = raked.level_probabilities(split.train.problems, None, crowd, one, 0)
    assert expected is not None
    assert np.bincount(drawn, minlength=expected.shape[1]) / 4000 == pytest.approx(expected[0], abs=4 * 0.5 / 4000**0.5)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("tuned", ConfigError, "write tuned:NAME"),
        ("tuned:", ConfigError, "write tuned:NAME"),
        ("tuned:x?gama=1", UnknownNameError, "'gama'.*'gamma'"),
        ("tuned:x?gamma=-1", ConfigError, "gamma.*greater than or equal to 0"),
        ("tuned:x?temperature=warm", ConfigError, "kl, rmse or a number"),
        ("tuned:x?what", UnknownNameError, "unknown setting 'what'"),
        ("tuned:x?margin=1", UnknownNameError, "did you mean 'margins'"),
        ("tuned:x?temprature=1", UnknownNameError, "did you mean 'temperature'"),
        ("tuned:x?margins=some", ConfigError, "margins='some' must be 1 .yes. or 0 .no."),
        ("tuned:x?margins=1&temperature=rmse", ConfigError, "margins=1 holds at temperature 1"),
        ("tuned:x?margins=1&temperature=0", ConfigError, "margins=1 holds at temperature 1"),
        ("tuned:x?gamma=1&gamma=2", ConfigError, "'gamma' twice: '1' and '2'"),
        ("tuend:x", UnknownNameError, "tuned, prompted, adapter"),
        ("poold", UnknownNameError, "'pooled'"),
    ],
)
def test_names_that_cannot_be_meant_are_refused_before_anything_runs(
    name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        require_method(name)
    with pytest.raises(error, match=words):
        Comparison((name,)).check()


def test_responses_that_cannot_be_listed_are_left_out_with_a_reason(base: str, make_known: Any) -> None:
    with pytest.raises(MismatchError, match="ballot responses"):
        fitted(base, make_known("ballot", people=12, problems=3))


def test_rows_with_a_model_are_compared_with_others(base: str, make_known: Any, tmp_path: Path) -> None:
    study = make_known("ordinal", people=30, problems=3).study
    tune([study], base, TuneConfig(adapter="full", max_epochs=1, batch_size=32), 0, tmp_path / "adapter", device="cpu")
    kept_in = f"keep={tmp_path / 'kept'}"
    methods = (
        "pooled",
        f"tuned:{base}?{FEW}&{kept_in}",
        f"tuned:{base}?{FEW}&{kept_in}&margins=1",
        f"prompted:{base}",
        f"adapter:{tmp_path}/adapter",
    )
    assert {method.partition(":")[0] for method in methods[1:]} == set(WITH_MODEL)
    comparison = Comparison(methods, split="participant", crowd_sizes=(20,))
    notes: list[str] = []
    table = run_comparison(study, "known", None, comparison, tmp_path / "out", note=notes.append)
    assert not notes
    assert set(table["method"]) == {*methods, "human-floor"}
    for method in methods:
        scores = table[(table["method"] == method) & (table["metric"].isin(["kl", "nll", "mae"]))]["value"]
        assert np.isfinite(scores).all()
        assert len(scores) >= 3
        assert comparison_part(tmp_path / "out", comparison, 1.0, 0, method).is_file()
    (kept,) = (tmp_path / "kept").iterdir()  # margins are no setting of the tuning: both rows have one adapter
    assert (kept / "meta.json").is_file()
