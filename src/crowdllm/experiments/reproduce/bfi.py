"""Personality items (BFI, 2,800 people, 25 items): not in the paper; the test of whether simulated people cohere."""

from __future__ import annotations

from crowdllm.experiments.reproduce.plan import Reproduction, Settings
from crowdllm.experiments.reproduce.surveys import survey_sections

NOT_COMPARABLE = (
    "The CrowdLLM paper does not use this data set, so no row of it stands here.",
    "The recorded LLM may have seen these data: good agreement on unseen items is weak evidence.",
)


def configure(settings: Settings) -> Reproduction:
    """Everything that `crowdllm reproduce bfi` runs and shows."""
    words = "Five of the 25 items are unseen, each with all 2,800 people on it."
    return Reproduction(
        dataset="bfi",
        title="Personality items (BFI)",
        sections=survey_sections(
            settings, settings.references or "elicited", (0.01, 0.05, 0.1, 0.25, 0.5, 1.0), (5, 10), words
        ),
        not_comparable=NOT_COMPARABLE,
        pictured_run="problem",
        pictured=("zero-shot", "vae", "embedding-references-ridge", "crowdllm-paper", "crowdllm"),
        compare_by=("avg_wd", "coherence"),
    )
