"""The paper's Case Study II (Tables 3 and 4): star ratings of unseen products, by its protocol and by an honest one."""

from __future__ import annotations

from dataclasses import replace

from crowdllm.datasets import CARDS
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import VARIABLE, cache_dir, data_dir, is_local
from crowdllm.errors import DataUnavailableError
from crowdllm.experiments.comparison import Comparison
from crowdllm.experiments.reproduce.plan import (
    LARGE,
    SMALL,
    Printed,
    PrintedColumn,
    Reproduction,
    Run,
    Section,
    Settings,
)
from crowdllm.experiments.reproduce.rows import UNSEEN, only
from crowdllm.registry import lookup

COLUMNS = (
    PrintedColumn("MAE", "mae", "mean"),
    PrintedColumn("RMSE", "rmse", "mean"),
    PrintedColumn("CS", "cosine"),
    PrintedColumn("WD (ours: wd_heights)", "wd_heights"),
)
NOTE = "LLM backbone Gemma3-12B; one split, no intervals."
TABLE_3 = Printed(
    table="Table 3",
    columns=COLUMNS,
    rows=(
        ("random", (1.19, 1.30, 0.59, 0.14)),
        ("LLM (zero-shot)", (1.04, 1.19, 0.13, 0.15)),
        ("LLM (multi-persona)", (0.87, 0.97, 0.24, 0.09)),
        ("LLM (SC)", (1.03, 1.16, 0.13, 0.14)),
        ("VAE", (0.88, 1.02, 0.28, 0.06)),
        ("CrowdLLM", (0.21, 0.26, 0.93, 0.04)),
    ),
    crowd_size=0,
    note=NOTE,
)
TABLE_4 = Printed(
    table="Table 4",
    columns=COLUMNS,
    rows=(
        ("random", (1.28, 1.39, 0.58, 0.15)),
        ("LLM (zero-shot)", (0.52, 0.65, 0.27, 0.16)),
        ("LLM (multi-persona)", (0.47, 0.58, 0.37, 0.14)),
        ("LLM (SC)", (0.46, 0.57, 0.29, 0.16)),
        ("VAE", (0.47, 0.61, 0.63, 0.07)),
        ("CrowdLLM", (0.22, 0.27, 0.92, 0.05)),
    ),
    crowd_size=0,
    note=NOTE,
)
LEAK = (
    "As in the paper, the test product's simulated crowd are its own reviewers, each with the review as profile. This "
    "leaks: the review was written with the rating that is to be predicted, and says it in other words. So these "
    "numbers do not tell how well ratings of a new product are predicted, before anybody has reviewed it. The row "
    "review-text-ridge sees the review alone, not even which product it is of; text_r2 is the share of "
    "the variance of held-out ratings that it explains. There is no human floor: it is none for a method that knows "
    "the very people in the test set."
)
HONEST = (
    "The same test products without the leak: nobody in the simulated crowd has a review of a test product for a "
    "profile (reviewers have no other profile in these data, since nearly all have one review). What a method knows of "
    "a test product is its title, features and description. Not comparable with the paper's rows with review texts."
)
NOT_COMPARABLE = (
    "The paper's rows multi-persona and CrowdLLM use the reviewers' texts; they may stand beside the section with that "
    "protocol only. Its rows random and zero-shot use no texts.",
    "The paper's WD can only be wd_heights: a Wasserstein distance on the scale is never below the difference of "
    "means, and every row prints a WD below its MAE.",
    "No recorded LLM answers go with these data. Rows that need an LLM are left out, unless --references names a table "
    "of answers (problem, decision, and/or p1..p5; problem is the product's parent_asin).",
    "The published files' counts (products, reviews) were not checked against the paper's: compare the counts above.",
)
CROWD = ("random", "pooled", "vae", "svr", "catboost", "crowdllm-paper", "crowdllm")


def configure_beauty(settings: Settings) -> Reproduction:
    """Everything that `crowdllm reproduce amazon_beauty` runs and shows."""
    return _configure("amazon_beauty", "Product ratings: All Beauty (Case Study II, Table 3)", TABLE_3, settings)


def configure_music(settings: Settings) -> Reproduction:
    """Everything that `crowdllm reproduce amazon_music` runs and shows."""
    title = "Product ratings: Musical Instruments (Case Study II, Table 4)"
    return _configure("amazon_music", title, TABLE_4, settings)


def _configure(dataset: str, title: str, printed: Printed, settings: Settings) -> Reproduction:
    references = settings.references or "none"
    some = references != "none"
    honest = Comparison(only(UNSEEN, some), "problem", settings.seed_list, (SMALL, LARGE), embedding=settings.embedding)
    leaky = replace(honest, methods=("review-text-ridge", *only(CROWD, some)))
    sections = (
        Section(
            "reviews",
            "The paper's protocol: the reviewers' own texts as profiles",
            LEAK,
            (Run("reviews", leaky, references, "reviewers"),),
            printed=printed,
        ),
        Section(
            "problem",
            "An honest protocol: nobody who reviewed the product",
            HONEST,
            (Run("problem", honest, references),),
        ),
    )
    return Reproduction(
        dataset=dataset,
        title=title,
        sections=sections,
        not_comparable=NOT_COMPARABLE,
        pictured_run="problem",
        pictured=("zero-shot", "pooled", "vae", "tfidf-ridge", "crowdllm-paper", "crowdllm"),
        compare_by=("mae", "wd_heights"),
    )


def require_files(dataset: str) -> None:
    """Raise DataUnavailableError, in one message, unless all files of the data set are on this machine.

    Nothing is downloaded here: the files are large, and their checksums are not known.
    """
    card: DatasetCard = lookup(CARDS, dataset, "data set")
    missing = [file for file in card.files if not is_local(file)]
    if not missing:
        return
    folder = data_dir()
    wanted = "; ".join(f"{file.url} as {file.path}" for file in missing)
    place = f"the data folder {folder}" if folder else f"a folder of yours, named by {VARIABLE} (or {cache_dir()})"
    raise DataUnavailableError(
        f"{dataset} needs {len(missing)} {'files' if len(missing) > 1 else 'file'} that are not here. They are public, "
        f"but large, and so not downloaded without being asked for: save {wanted} below {place}, then run the same "
        "command again (a .gz may also lie unpacked)"
    )
