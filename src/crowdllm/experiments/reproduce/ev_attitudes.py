"""Statements on electric cars (164 people, 7 items): the public stand-in for the survey of arXiv 2403.20252."""

from __future__ import annotations

from crowdllm.experiments.reproduce.plan import Reproduction, Settings
from crowdllm.experiments.reproduce.surveys import survey_sections

NOT_COMPARABLE = (
    "The survey of arXiv 2403.20252 (preferences on battery-electric vehicles) is not public, so its numbers cannot be "
    "reproduced; these are other questions put to other people, and no printed row stands here.",
    "That paper fine-tunes LLMs on single respondents. Nothing is fine-tuned here: the LLM references are recorded.",
    "Its measures are KL-divergence to the population and RMSE of single answers; here kl is the former (smoothed, see "
    "docs/fidelity.md), and single answers are scored by nll and crps, which are proper.",
    "164 people are few: intervals over splits are wide, and they share the same people.",
)


def configure(settings: Settings) -> Reproduction:
    """Everything that `crowdllm reproduce ev_attitudes` runs and shows."""
    words = (
        "One of the seven statements is unseen. Ten splits leave out at most seven different ones, so the intervals "
        "are too narrow; correlations between items do not exist for one item."
    )
    return Reproduction(
        dataset="ev_attitudes",
        title="Attitudes to electric cars",
        sections=survey_sections(settings, settings.references or "elicited", (0.05, 0.1, 0.25, 0.5, 1.0), (3,), words),
        not_comparable=NOT_COMPARABLE,
        pictured_run="participant",
        pictured=("zero-shot", "vae", "problem-histogram", "crowdllm-paper", "crowdllm"),
        compare_by=("avg_wd", "nll"),
    )
