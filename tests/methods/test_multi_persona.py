"""multi-persona: each person is one persona throughout, twins speak for themselves, missing answers stay missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import DataUnavailableError, MismatchError
from crowdllm.methods import get_method, references_for
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal

IDS = np.array(["q0", "q1"], dtype=object)
STUDY = Study(
    "by hand",
    Ordinal(("1", "2", "3", "4")),
    Problems(IDS, np.array(["one", "two"], dtype=object)),
    Profiles((), np.array(["a", "b"], dtype=object), np.zeros((2, 0))),
    Responses(np.array([0, 1]), np.array([0, 1]), np.array([[0.0], [3.0]])),
)
# persona 0 answers 1 and 1, persona 1 answers 4 and 3, persona 2 answers 4 and nothing legal
DRAWS = np.array([[[0.0], [3.0], [3.0]], [[0.0], [2.0], [np.nan]]])
SOURCE = Reference("llm-personas", "persona", IDS, DRAWS)


def crowd(count: int) -> Profiles:
    return Profiles((), np.array([f"s{n}" for n in range(count)], dtype=object), np.zeros((count, 0)))


def both_answers(references: References, people: Profiles, seed: int = 0) -> np.ndarray:
    """(N, 2) what everybody answers to the two problems."""
    simulator = get_method("multi-persona")(STUDY, references, "tfidf", 0)
    i = np.repeat(np.arange(len(people)), 2)
    t = np.tile(np.arange(2), len(people))
    return simulator.simulate(STUDY.problems, references, people, i, t, seed).reshape(-1, 2)


def test_everybody_is_one_persona_on_all_problems_and_personas_are_equally_likely() -> None:
    answers = both_answers(References((SOURCE,)), crowd(6000))
    kinds, counts = np.unique(np.nan_to_num(answers, nan=9), axis=0, return_counts=True)
    np.testing.assert_array_equal(kinds, [[0, 0], [3, 2], [3, 9]])
    np.testing.assert_allclose(counts / 6000, 1 / 3, atol=4 * np.sqrt(2 / 9 / 6000))


def test_personas_of_several_llms_are_all_taken() -> None:
    other = replace(SOURCE, name="other-personas", values_TKD=np.full((2, 3, 1), 1.0))
    answers = both_answers(References((SOURCE, other)), crowd(6000))
    assert (answers == 1).all(axis=1).mean() == pytest.approx(0.5, abs=0.026)


def test_a_participant_is_spoken_for_by_the_own_twin() -> None:
    twins = References((replace(SOURCE, twins=("a", "b", "c")),))
    people = Profiles((), np.array(["b", "a"], dtype=object), np.zeros((2, 0)))
    for seed in range(5):
        np.testing.assert_array_equal(both_answers(twins, people, seed), [[3, 2], [0, 0]])


def test_shares_are_those_of_the_personas_and_of_the_twin_where_there_is_one() -> None:
    simulator = get_method("multi-persona")(STUDY, References((SOURCE,)), "tfidf", 0)
    arguments = (STUDY.problems, References((SOURCE,)), STUDY.profiles, STUDY.responses, 0)
    shares = simulator.level_probabilities(*arguments)
    expected = np.array([[1 / 3, 0, 0, 2 / 3], [0.5, 0, 0.5, 0]])
    np.testing.assert_allclose(shares, 0.999 * expected + 0.001 / 4)
    twins = References((replace(SOURCE, twins=("x", "a", "b")),))
    shares = simulator.level_probabilities(STUDY.problems, twins, STUDY.profiles, STUDY.responses, 0)
    assert shares is not None
    # a's twin says 4; b's twin has no legal answer to q1, so the personas together speak for b
    np.testing.assert_allclose(shares, 0.999 * np.array([[0, 0, 0, 1], [0.5, 0, 0.5, 0]]) + 0.001 / 4)


def test_a_source_that_is_not_in_persona_is_refused_by_name() -> None:
    decision = References((replace(SOURCE, name="llm", mode="decision"),))
    with pytest.raises(MismatchError, match=r"source of mode persona.*gpt4,gpt4-personas \(llm has mode decision\)"):
        get_method("multi-persona")(STUDY, decision, "tfidf", 0)


def test_methods_are_given_the_sources_that_they_are_made_for() -> None:
    decision, samples = (replace(SOURCE, name=mode, mode=mode) for mode in ("decision", "samples"))
    everything = References((decision, SOURCE, samples))

    def names(method: str, references: References | None) -> tuple[str, ...]:
        given = references_for(method, references)
        return given.names if given else ()

    assert names("multi-persona", everything) == ("llm-personas",)
    assert names("self-consistency", everything) == ("samples",)
    assert names("zero-shot", everything) == names("crowdllm", everything) == ("decision", "samples")
    # where nothing but personas is named they are meant; a method that cannot use what there is says so itself
    assert names("zero-shot", References((SOURCE,))) == ("llm-personas",)
    assert names("multi-persona", References((decision,))) == ("decision",)
    assert names("zero-shot", None) == names("zero-shot", References(())) == ()


def test_the_recorded_ballots_of_personas_are_one_per_voter() -> None:
    """A voter's twin names more of that voter's own projects than other voters' twins do."""
    from crowdllm.datasets import load_dataset
    from crowdllm.experiments.sources import Opened, open_references

    try:
        study = load_dataset("voting")
        references = open_references(Opened(study, "voting", dataset="voting"), "gpt4-personas")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    assert references is not None
    assert references.sources[0].twins == tuple(study.profiles.ids)
    simulator = get_method("multi-persona")(study, references, "tfidf", 0)
    everybody = np.arange(180)
    values = simulator.simulate(study.problems, references, study.profiles, everybody, np.zeros(180, dtype=int), 0)
    legal = ~np.isnan(values).any(axis=1)
    assert legal.sum() == 178
    hits = np.nan_to_num(values) @ study.responses.values_RD.T
    own, others = np.diag(hits)[legal].mean(), hits[legal][:, legal].mean()
    assert own > others + 0.25
