"""A small decoder trained from scratch on a survey's answers, beside methods that know profiles as numbers.

No pre-trained model takes part: the decoder (`crowdllm.survey_tuning.decoder`) begins with random weights and a
tokenizer made of the prompts, reads profile, question and possible answers, and learns which answer comes. Its tokens
are whole lines (a question, a line of a profile), so that a prompt has about ten of them. All methods give a
distribution over the answers of each held-out person, and are scored by the same code (`tuning_rows`): KL of the shares
per question, RMSE of single answers, nll, and the same in subgroups. Each decoder stands there twice, as it is and with
its answers calibrated to the shares of each question among the training people (`crowdllm.survey_tuning.margins`), and
is also asked the other data sets' questions.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.config import TuneConfig, make_config
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, QUICK_OWN, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Piece, Settings
from crowdllm.experiments.studies.tuning_report import decoder, raked, report
from crowdllm.experiments.studies.tuning_rows import rows, shares_of_levels, transfer_rows
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.survey_tuning.answers import Shares, answer_shares
from crowdllm.survey_tuning.interview import make_interview
from crowdllm.survey_tuning.margins import fit_margins

if TYPE_CHECKING:
    from crowdllm.survey_tuning.tuned import Tuned

BASELINES = ("problem-histogram", "svr", "catboost", OWN, "pooled", "random")
WORDS = DEFAULTS | {
    "multi-persona": Template("multi-persona", "{instructions}\n{profile}\n{item}"),
    "zero-shot": Template("zero-shot", "{instructions}\n{item}"),
}
"""Few words around profile and question, and the question next to its answer: a decoder that begins with nothing has to
learn even that the question matters."""
LIMITS = (
    "The decoder has read nothing but this survey, so it says little about what a pre-trained LLM would do; the "
    "zero-shot and multi-persona rows, LoRA and QLoRA need one (`crowdllm evaluate`, methods prompted:MODEL and "
    "tuned:MODEL).",
    "A method that gives no temperature is scored at 1, its own distribution, for KL, and at 0, its likeliest answer, "
    "for RMSE; the decoder's two temperatures, its epoch, and how much of an answer goes by the profile are chosen on "
    "15 % of the people of its training part, from whom it does not learn. The other methods learn from all of it.",
    "The settings of the decoder and of its training were chosen on people held out of the training parts of beps and "
    "ev_attitudes, in a split that is not among those reported (seed 101). They are the same for all data sets but for "
    "the epochs of bfi, which has far more answers: 3 instead of 8, for the time they take.",
    "The rows with margins were added after the scores of some decoders without them had been seen; nothing about them "
    "was chosen by scores.",
    "Splits are random and overlap: intervals over three of them say how much the people left out matter, not how "
    "another population would answer.",
)
TRAINED: Given = (
    ("adapter", "full"), ("learning_rate", 0.001), ("schedule", "cosine"), ("warmup", 0.05), ("weight_decay", 0.1),
    ("clip", 1.0), ("batch_size", 32), ("micro_batch", 32), ("max_epochs", 8), ("patience", 8), ("held_out", 0.15),
    ("without_profile", 1.0), ("profile_weight", "chosen"), ("answer_end", False), ("checkpoint_every", 500),
)  # fmt: skip
QUICK_TRAINED: Given = (("learning_rate", 0.003),)


@dataclass(frozen=True)
class Config:
    """penalised_seeds: of the seeds, so many have decoders with gamma above 0. width, layers, heads, vocabulary (at
    most): of the decoder, 5.6 million weights. trained: settings of its training; epochs: by data set, where not as in
    `trained`."""

    seeds: tuple[int, ...]
    datasets: tuple[str, ...] = ("ev_attitudes", "bfi", "beps")
    gammas: tuple[float, ...] = (0.0, 0.5)
    penalised_seeds: int = 2
    baselines: tuple[str, ...] = BASELINES
    width: int = 256
    layers: int = 6
    heads: int = 4
    vocabulary: int = 2048
    trained: Given = TRAINED
    epochs: tuple[tuple[str, int], ...] = (("bfi", 3),)
    own: Given = ()
    test_fraction: float = 0.2


def configure(settings: Settings) -> Experiment:
    """Tuning: a small decoder trained on survey answers from scratch, against SVR, CatBoost and crowdllm."""
    config = Config(settings.seeds(3, 1))
    if settings.quick:
        config = Config(
            config.seeds, ("ev_attitudes",), width=96, layers=2, heads=2,
            trained=tuple((dict(TRAINED) | dict(QUICK_TRAINED)).items()), own=QUICK_OWN,
        )  # fmt: skip
    pieces = [
        Piece(f"{dataset}.{method}.{seed}", measure_method, (config, settings.embedding, dataset, method, seed), method)
        for seed in config.seeds
        for dataset in config.datasets
        for method in config.baselines
    ]
    pieces += [
        Piece(
            f"{dataset}.{decoder(gamma)}.{seed}", measure_decoder, (config, dataset, gamma, seed, str(settings.out)),
            f"{dataset} decoder",
        )
        for gamma in config.gammas
        for seed in (config.seeds if gamma == 0 else config.seeds[: config.penalised_seeds])
        for dataset in config.datasets
    ]  # fmt: skip
    return Experiment(
        "tuning",
        "A small decoder trained from scratch",
        "",
        "Can a language model learn a population's answers from the answers alone? A decoder of a few million random "
        "weights is trained on four fifths of the people, told each one's profile and one question, and gives a "
        "distribution over the possible answers of the others. KL and RMSE over temperatures, without and with the "
        "numerical penalty (weight gamma), in all and per subgroup, beside methods that are given profiles as numbers; "
        "and what each decoder answers to the other data sets' questions.",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(dataset) for dataset in config.datasets),
        LIMITS,
    )


def measure_method(config: Config, embedding: str, dataset: str, method: str, seed: int) -> pd.DataFrame:
    """KL and RMSE of one method on unseen people: its curve, the rows that are compared, and subgroups."""
    train, test = _parts(config, dataset, seed)
    simulator = fit_with(method, train, None, embedding, seed, config.own).simulator
    p_RM = simulator.level_probabilities(test.problems, None, test.profiles, test.responses, seed)
    if p_RM is None:
        raise ConfigError(f"the method {method!r} gives no distribution over the answers of {dataset}")
    found = rows(shares_of_levels(p_RM, test), train, test, 1.0, 0.0)
    return found.assign(dataset=dataset, method=method, seed=seed)


def measure_decoder(config: Config, dataset: str, gamma: float, seed: int, out: str) -> pd.DataFrame:
    """The same of a decoder trained on the training part, and what it answers to the other data sets' questions.

    out: the study's folder, where a killed training continues; what is there is removed at the end.
    """
    from crowdllm.survey_tuning.decoder import small_decoder
    from crowdllm.survey_tuning.tuning import tune

    train, test = _parts(config, dataset, seed)
    place = Path(out) / "models" / f"{dataset}-{gamma:g}-{seed}"
    given = dict(config.trained) | {"gamma": gamma}
    settings: TuneConfig = make_config(
        TuneConfig, given | {"max_epochs": dict(config.epochs).get(dataset, given["max_epochs"])}
    )
    texts = [text for name in config.datasets for text in _texts(_parts(config, name, seed)[0], settings)]
    base = small_decoder(
        place / "base", texts, config.width, config.layers, config.heads, config.vocabulary, seed=seed, merges="lines"
    )
    tuned = tune([train], str(base), settings, seed, place / "tuned", WORDS)
    shares = _asked(tuned, train, test)
    margins = fit_margins(_asked(tuned, train, train), train.problems, train.responses)
    fitting = margins.apply(shares, test.problems, test.responses.problem_R)
    as_it_is = rows(shares, train, test, tuned.temperature_kl, tuned.temperature_rmse)
    with_margins = rows(fitting, train, test, 1.0, tuned.temperature_rmse)
    both = (as_it_is.assign(method=decoder(gamma)), with_margins.assign(method=raked(gamma)))
    found = pd.concat(both, ignore_index=True).assign(
        dataset=dataset,
        weights=sum(weight.numel() for weight in tuned.model.lm.model.parameters()),
        profile_weight=tuned.profile_weight,
        epoch=tuned.best_epoch,
        held_out=tuned.history[tuned.best_epoch - 1].held_out,
    )
    frames = [found]
    for name in config.datasets if gamma == config.gammas[0] else ():
        if name != dataset:
            other, strangers = _parts(config, name, seed)
            moved = transfer_rows(_asked(tuned, other, strangers), strangers, tuned.temperature_kl)
            frames.append(moved.assign(dataset=name, method=f"decoder of {dataset}"))
    shutil.rmtree(place)
    with suppress(OSError):  # other decoders are still there
        place.parent.rmdir()
    return pd.concat(frames, ignore_index=True).assign(seed=seed)


def _asked(tuned: Tuned, study: Study, people: Study) -> Shares:
    """What the model answers in the place of these people. study: how they are asked, its own or another."""
    answers = people.responses
    return answer_shares(
        tuned, tuned.interview(study), people.problems, people.profiles, answers.participant_R, answers.problem_R
    )


def _texts(train: Study, settings: TuneConfig) -> Sequence[str]:
    """What the tokenizer learns its tokens from: every profile once, and every question once, no answers."""
    asked = make_interview(train, settings, WORDS)
    people, problems = np.arange(len(train.profiles)), np.arange(len(train.problems))
    told, _ = asked.prompts(train.problems, train.profiles, people, np.zeros_like(people))
    untold, _ = asked.prompts(train.problems, None, problems, problems)
    return [f"{prompt.text}\n" for prompt in (*told, *untold)]


def _parts(config: Config, dataset: str, seed: int) -> tuple[Study, Study]:
    study, _ = open_data(Data(dataset))
    split = study.split("participant", config.test_fraction, seed)
    return split.train, split.test
