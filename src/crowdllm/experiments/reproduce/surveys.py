"""The sections that both personality items and statements on electric cars have: surveys that everybody answers."""

from __future__ import annotations

from dataclasses import replace

from crowdllm.experiments.comparison import Comparison
from crowdllm.experiments.reproduce.plan import LARGE, SMALL, Run, Section, Settings
from crowdllm.experiments.reproduce.rows import KNOWING, SEEN, UNSEEN, only

FEW = ("pooled", "problem-histogram", "embedding-references-ridge", "vae", "crowdllm-paper", "crowdllm")
COHERENCE = (
    "coherence: how far the correlations between items are from those of the humans (RMSE); people whose answers are "
    "drawn independently have none."
)


def survey_sections(
    settings: Settings, references: str, fractions: tuple[float, ...], known: tuple[int, ...], problem_words: str
) -> tuple[Section, ...]:
    """Unseen people, unseen items, both, and fewer people to learn from.

    known: how many answers of an unseen person may be known when the others are predicted.
    problem_words: what to know of a split by problem in this survey.
    """
    some = references != "none"

    def run(key: str, methods: tuple[str, ...], split: str, large_only: bool = False, *shares: float) -> Run:
        comparison = Comparison(
            methods=only(methods, some),
            split=split,
            seeds=settings.seed_list,
            crowd_sizes=(LARGE,) if large_only else (SMALL, LARGE),
            train_fractions=shares or (1.0,),
            embedding=settings.embedding,
        )
        return Run(key, comparison, references)

    people = run("participant", (*SEEN, *KNOWING), "participant")
    with_known = replace(people, comparison=replace(people.comparison, known=known))
    return (
        Section(
            "participant",
            "Unseen people",
            f"20 % of the people are unseen, on items that others have answered. {COHERENCE}",
            (with_known,),
        ),
        Section("problem", "Unseen items", problem_words, (run("problem", UNSEEN, "problem"),)),
        Section(
            "both",
            "Unseen people on unseen items",
            "20 % of the people on 20 % of the items; what is left of these is used by neither part.",
            (run("both", UNSEEN, "both"),),
        ),
        Section(
            "fractions",
            "Fewer people to learn from",
            "Unseen people, with a share of the training people only.",
            (run("fractions", FEW, "participant", True, *settings.fractions(*fractions)),),
            by_fraction=True,
        ),
    )
