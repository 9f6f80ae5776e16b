"""The paper's Case Study III (Table 5): ballots of Zurich students for exactly five of 24 city projects."""

from __future__ import annotations

from dataclasses import replace

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
from crowdllm.experiments.reproduce.rows import FREE, SEEN, UNSEEN, only, with_references

HELD_OUT = 36
TABLE_5 = Printed(
    table="Table 5",
    columns=(
        PrintedColumn("MAE", "mae"),
        PrintedColumn("RMSE", "rmse"),
        PrintedColumn("CS", "cosine"),
        PrintedColumn("WD (ours: wd_heights)", "wd_heights"),
    ),
    rows=(
        ("random", (5.00, 6.55, 0.72, 4.00)),
        ("LLM (zero-shot)", (11.92, 15.41, 0.38, 9.00)),
        ("LLM (multi-persona)", (10.00, 13.69, 0.40, 6.50)),
        ("LLM (SC)", (11.42, 14.97, 0.35, 7.92)),
        ("VAE", (11.67, 14.88, 0.32, 7.67)),
        ("CrowdLLM", (4.00, 5.02, 0.83, 1.67)),
    ),
    crowd_size=HELD_OUT,
    note="LLM backbone Gemma3-12B; one split, no intervals. Counts of 36 voters.",
)
NOT_COMPARABLE = (
    "The paper's LLM is Gemma3-12B; here the references are ballots of GPT-4 and LLaMA-2-70B recorded by the authors "
    "of the experiment, who told them a budget of 50,000 CHF where the students were told 60,000.",
    "Projects have no distance from one another, so no Wasserstein distance on a scale exists for ballots. The paper's "
    "WD can only be a distance between the counts as two samples, our wd_heights.",
    "Table 5 is one split of 180 voters; the intervals here show how much another split changes.",
    "There is one problem, so `problem` and `both` splits do not exist.",
)
FEW = ("pooled", "embedding-references-ridge", "vae", "crowdllm-paper", "crowdllm")
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
PERSONAS = "gpt4-personas"
SAMPLED, IN_PERSONA = ("zero-shot", "self-consistency"), ("multi-persona",)
ALONE = {
    "gpt4": SAMPLED, "gpt4-temp0": SAMPLED, "gpt4-temp1": SAMPLED, "gpt4-temp2": SAMPLED, "gpt4-personas": IN_PERSONA,
    "llama2-70b-temp0": SAMPLED, "llama2-70b-temp1": SAMPLED, "llama2-70b-personas": IN_PERSONA,
}  # fmt: skip


def configure(settings: Settings) -> Reproduction:
    """Everything that `crowdllm reproduce voting` runs and shows."""
    own = settings.references is not None
    return Reproduction(
        dataset="voting",
        title="Participatory budgeting in Zurich (Case Study III, Table 5)",
        sections=(
            _unseen_voters(settings),
            *(() if own else (_llms_alone(settings), _all_references(settings))),
            _unseen_projects(settings),
            _fewer_voters(settings),
        ),
        not_comparable=NOT_COMPARABLE,
        pictured_run="participant",
        pictured=("multi-persona", "vae", "pooled", "crowdllm-paper", "crowdllm"),
        compare_by=("mae", "recall_at_5"),
    )


def _run(settings: Settings, key: str, methods: tuple[str, ...], references: str, split: str = "participant") -> Run:
    comparison = Comparison(
        methods=only(methods, references != "none"),
        split=split,
        seeds=settings.seed_list,
        crowd_sizes=(SMALL, HELD_OUT, LARGE),
        embedding=settings.embedding,
    )
    return Run(key, comparison, references)


def _unseen_voters(settings: Settings) -> Section:
    if settings.references is not None:
        runs = [_run(settings, "participant", SEEN, settings.references)]
    else:
        with_personas = tuple(m for m in SEEN if m not in SAMPLED)
        runs = [
            _run(settings, "participant", with_personas, PERSONAS),
            _run(settings, "participant-zero-shot", ("zero-shot",), "gpt4-temp0"),
            _run(settings, "participant-consistency", ("self-consistency",), "gpt4-temp1"),
        ]
    return Section(
        "participant",
        "Unseen voters",
        "36 of the 180 voters are unseen. Votes per project of the simulated voters, scaled to 36, against theirs; "
        "recall_at_5: how many of a held-out voter's own five picks are among the five that voter is most often "
        "simulated to pick. Beside Table 5 of the paper. The LLM is GPT-4: with personas (the voters' own "
        "descriptions) where nothing else is said, without and at temperature 0 for zero-shot, at 1 for "
        "self-consistency.",
        tuple(runs),
        printed=TABLE_5,
    )


def _llms_alone(settings: Settings) -> Section:
    return Section(
        "llms",
        "LLMs alone",
        "Every recorded LLM without a model of people, on the same splits.",
        tuple(_run(settings, f"llm-{name}", methods, name) for name, methods in ALONE.items()),
    )


def _all_references(settings: Settings) -> Section:
    return Section(
        "participant-all",
        "Unseen voters, all references",
        "The same splits with all recorded LLMs without personas as references. Rows without references are those of "
        "the first section.",
        (_run(settings, "participant-all", with_references(UNSEEN), "all"),),
        ("participant", FREE),
    )


def _unseen_projects(settings: Settings) -> Section:
    return Section(
        "option",
        "Unseen projects",
        "20 % of the projects and 20 % of the voters are unseen; training ballots say nothing of the unseen projects, "
        "as if they had not been on them.",
        (_run(settings, "option", UNSEEN, settings.references or PERSONAS, "option"),),
    )


def _fewer_voters(settings: Settings) -> Section:
    run = _run(settings, "fractions", FEW, settings.references or PERSONAS)
    shares = settings.fractions(*FRACTIONS)
    return Section(
        "fractions",
        "Fewer voters to learn from",
        "Unseen voters, with a share of the 144 training voters only.",
        (replace(run, comparison=replace(run.comparison, crowd_sizes=(LARGE,), train_fractions=shares)),),
        by_fraction=True,
    )
