"""Variants of a method: one piece taken away, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.experiments.studies import get_study, variants
from crowdllm.experiments.studies.ablation import Config, report
from crowdllm.experiments.studies.protocol import Data, Settings
from crowdllm.experiments.studies.sensitivity import SWEEPS
from crowdllm.experiments.studies.variants import Setup, Variant, drawn, score_variant
from crowdllm.reference import Reference, References
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

LEVELS = Ordinal(("1", "2", "3"))
FAST = (("max_epochs", 1), ("embedding_penalties", (60.0,)), ("reference_penalties", (100.0,)))


def small_study(problems: int = 30, people: int = 20) -> tuple[Study, References]:
    rng = np.random.default_rng(0)
    ids = np.array([f"q{t}" for t in range(problems)], dtype=object)
    texts = np.array([f"problem about {'abcdef'[t % 6]}" for t in range(problems)], dtype=object)
    shares = rng.dirichlet(np.full(3, 2.0), problems)
    person, problem = np.repeat(np.arange(people), problems), np.tile(np.arange(problems), people)
    values = (rng.random(len(problem))[:, None] > np.cumsum(shares, axis=1)[problem, :-1]).sum(axis=1)
    profiles = Profiles((), np.array([f"p{i}" for i in range(people)], dtype=object), np.zeros((people, 0)))
    responses = Responses(person, problem, values[:, None].astype(float))
    told = Reference("llm", "distribution", ids, np.full((problems, 1, 1), np.nan), shares)
    return Study("small", LEVELS, Problems(ids, texts), profiles, responses), References((told,))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(variants, "open_data", lambda data: small_study())
    return Setup(Data("small"), "problem", 50, "tfidf")


def test_drawn_decisions_have_the_shares_of_the_distribution() -> None:
    study, references = small_study()
    source = drawn(references.sources[0], study, 4000, 0)
    shares = np.stack([(source.values_TKD[:, :, 0] == m).mean(axis=1) for m in range(3)], axis=1)
    assert references.sources[0].distribution_TM is not None
    np.testing.assert_allclose(shares, references.sources[0].distribution_TM, atol=5 * 0.5 / np.sqrt(4000))
    assert source.distribution_TM is None


def test_decisions_are_drawn_for_scales_only() -> None:
    study, references = small_study()
    bare = Study("choice", Choice(3), study.problems, study.profiles, study.responses)
    with pytest.raises(ConfigError, match="llm lacks"):
        drawn(references.sources[0], bare, 4, 0)


@pytest.mark.parametrize(
    "variant",
    [
        Variant("default", "", settings=FAST),
        Variant("none", "", settings=FAST, without="references"),
        Variant("bare", "", settings=FAST, without="profiles"),
        Variant("normal", "", settings=FAST, gaussian=True),
        Variant("k", "", settings=FAST, draws=4),
        Variant("paper", "", method="crowdllm-paper", settings=(("max_epochs", 1),)),
    ],
    ids=lambda v: v.name,
)
def test_every_kind_of_variant_is_scored(opened: Setup, variant: Variant) -> None:
    scores = score_variant(opened, variant, 0)
    assert set(scores["variant"]) == {variant.name}
    found = scores.set_index("metric")["value"]
    assert 0 <= found["mae"] < 2
    assert ("nll" in found) == (not variant.gaussian)


def test_without_references_the_reference_has_no_influence(opened: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = Variant("none", "", settings=FAST, without="references")
    first = score_variant(opened, variant, 0)
    monkeypatch.setattr(variants, "open_data", lambda data: (small_study()[0], None))
    pd.testing.assert_frame_equal(first, score_variant(opened, variant, 0))


def test_an_unknown_piece_is_refused(opened: Setup) -> None:
    with pytest.raises(ConfigError, match="references, profiles, not 'people'"):
        score_variant(opened, Variant("x", "", without="people"), 0)


def test_differences_are_paired_by_split_and_said_in_words() -> None:
    """The default scores .5 and .7, the variant .1 more on each; what is not there is left out."""
    variants_ = (Variant("default", "as it is"), Variant("less", "less of it"), Variant("gone", "gone"))
    setup = Setup(Data("offensiveness"), "problem", 10, "tfidf")
    tables = {
        f"offensiveness.{name}.{seed}": pd.DataFrame(
            {"variant": name, "seed": seed, "metric": ["mae"], "value": [base + more]}
        )
        for seed, base in ((0, 0.5), (1, 0.7), (2, 0.9))
        for name, more in (("default", 0.0), ("less", 0.1 + 0.001 * seed))
    }
    findings = report(Config((("offensiveness", setup, variants_),), (0, 1, 2)), tables)
    row = findings.tables["ablation"].set_index("variant").loc["less"]
    assert row["difference"] == pytest.approx(0.101)
    assert row["mean"] == pytest.approx(0.801)
    assert findings.shows[0] == "offensiveness, less of it: worse: mae +0.101."
    assert "gone" not in set(findings.tables["ablation"]["variant"])


@pytest.mark.skipif("CROWDLLM_DATA_DIR" not in os.environ, reason="needs CROWDLLM_DATA_DIR, see the README")
@pytest.mark.parametrize("name", ["ablation", "sensitivity"])
def test_pieces_are_what_can_be_scored(name: str, tmp_path: Path) -> None:
    experiment = get_study(name)(Settings(tmp_path, quick=True))
    assert {piece.action for piece in experiment.pieces} == {score_variant}


def test_sweeps_hold_the_default() -> None:
    """So that each line of the picture goes through the same point."""
    from crowdllm.config import CrowdConfig, PaperConfig

    for sweep in SWEEPS:
        if sweep.setting in ("reference_draws", "reference_penalties", "embedding_penalties"):
            continue
        config = CrowdConfig() if sweep.method == "crowdllm" else PaperConfig()
        assert getattr(config, sweep.setting) in sweep.values
