"""LLM answers recorded on published data sets, so that methods can be compared without an LLM.

Two kinds: answers published with other papers (downloaded as the data sets are), and this project's own small
recordings, which ship in `datasets/recorded/`. An answer that is no legal response is NaN and counted, never
mended.

Shapes: T problems, K draws, D response width, M levels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from io import StringIO
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.datasets import DATASETS
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.tables import read_text_table, require_columns, running_ids
from crowdllm.errors import Finding, StudyError, UnknownNameError

Array = NDArray[np.float64]
Mode = Literal["decision", "samples", "distribution", "persona"]


@dataclass(frozen=True)
class RecordedDraws:
    """What one LLM answered to every problem of a data set.

    mode: what the K draws are: one decision, repeated samples of one prompt, an elicited distribution (with a
        decision beside it), or one answer per persona.
    problem_ids: (T,) the study's problem ids, in the study's order.
    values_TKD: encoded by the study's response type, NaN where the answer was missing or no legal response.
    distribution_TM: elicited shares of the levels, each row adding up to 1; None where none was asked for.
    unparsable, draws: how many of the T * K answers are NaN, and T * K.
    note: where the answers come from and what to know about them.
    twins: (K,) ids of the participants whose own descriptions the personas were; empty where they are nobody's twin.
    """

    name: str
    mode: Mode
    problem_ids: NDArray[np.object_]
    values_TKD: Array
    distribution_TM: Array | None
    unparsable: int
    draws: int
    note: str
    twins: tuple[str, ...] = ()


RATINGS = SourceFile(
    "llm_predictions/offensive_results_w2.tsv",
    github(
        "Jiaxin-Pei/LLM-as-Subjective-Judge",
        "416e31887b5de5c2ad652d31a41f75d8dc56a878",
        "LLM_pred/offensive_results_w2.tsv",
    ),
    "61cf40b5ed6ca190635d8ff41c6cd984d9a2ed12a82e9ec5682d1635240f3b66",
)
RATERS = {
    "gpt4": "gpt4",
    "gpt35": "gpt35",
    "flan-t5-xxl": "flant5_xxl",
    "flan-ul2": "flan_ul2",
    "llama31-8b": "llama31_8b",
    "mistral-7b": "mistral03_7b",
    "qwen25-7b": "qwen25_7b",
    "tulu2-7b": "tulu2_7b",
    "tulu2-13b": "tulu2_13b",
}
PROMPTS = ("base", "male", "female", "white", "black", "asian")


def _ballots(path: str, commit: str, sha256: str, published: str = "") -> SourceFile:
    url = github("ethz-coss/LLM_voting", commit, f"outcome/{published or path}")
    return SourceFile(f"zurich_voting/outcome/{path}", url, sha256)


_C1, _C2, _C3 = (
    "1624b3c4f1aed8dfe6d7e01898f07c58d962dfec",
    "d8eed2a4ab9eba7f7294f7093256f5fdb60ffe62",
    "efe0e04def2d45d4947cbf8f628a88979162a96b",
)
_PERSONAS = "one ballot per voter, each prompted with that voter's own description: draw k is voter k's twin"
VOTERS: dict[str, tuple[SourceFile, Mode, str]] = {
    "gpt4": (
        _ballots(
            "gpt_vote/votes_kapp.json",
            _C1,
            "c44ad7bcab373d7373df56cc9b6580430e4b059fb86acbebc4a918e69322d88c",
        ),
        "samples",
        "GPT-4 without persona; the file names no temperature (its spread is like that at temperature 1)",
    ),
    "gpt4-temp0": (
        _ballots(
            "gpt_temp/temp0/votes.json",
            _C1,
            "b14a89bcd0182d623bc84936fba8935b78a013a31f804536452def3a0af8686f",
        ),
        "samples",
        "GPT-4 at temperature 0 without persona",
    ),
    "gpt4-temp1": (
        _ballots(
            "gpt_temp/temp1/votes.json",
            _C1,
            "a6d638f640ea51513ce8789ecfaa25982b55c56215a0cd64ad51ae8bf1f01cd3",
        ),
        "samples",
        "GPT-4 at temperature 1 without persona",
    ),
    "gpt4-temp2": (
        _ballots(
            "gpt_temp/temp2/votes.json",
            _C1,
            "db5a0a49e66dfcbe7caa2cd08776a01f6a3ef8d3f6edc8692468df4ced88b688",
        ),
        "samples",
        "GPT-4 at temperature 2 without persona; its prompt differs from that of temperatures 0 and 1 (no "
        "'university student')",
    ),
    "gpt4-personas": (
        _ballots(
            "gpt_persona/temp1/gpt_votes.json",
            _C2,
            "d8419e58169e89275d6513c82d953c3d25fe398f99418ad866d1acfb8285693b",
            "gpt_persona/temp1/votes.json",
        ),
        "persona",
        f"GPT-4 at temperature 1, {_PERSONAS}",
    ),
    "llama2-70b-temp0": (
        _ballots(
            "llama_temp/temp0/votes.json",
            _C1,
            "ff6fd6378bd5c40a51c54b5c2db2957fc7d52ca012d9973e985d5aeed86cb411",
        ),
        "samples",
        "LLaMA-2-70B at temperature 0 without persona; all 180 ballots are the same",
    ),
    "llama2-70b-temp1": (
        _ballots(
            "llama_temp/temp1/votes.json",
            _C3,
            "ce8e9235876c26dcc480c98d7b454c812422847393f58165c00986e668470ab9",
        ),
        "samples",
        "LLaMA-2-70B at temperature 1 without persona",
    ),
    "llama2-70b-personas": (
        _ballots(
            "llama_persona/temp1/llama2_votes.json",
            _C3,
            "f96721c71910cc497b94ca815169a62ea4056fac087b57b869423d475c0fe7f9",
            "llama_persona/temp1/votes.json",
        ),
        "persona",
        f"LLaMA-2-70B at temperature 1, {_PERSONAS}",
    ),
}
OWN = "recorded for this project from one hosted chat LLM, prompted in batches"
PICKS, PROJECTS = 5, 24


def recorded_sources(dataset: str) -> list[str]:
    """The names that `recorded_draws` knows for a data set; empty where nothing is recorded.

    Raises UnknownNameError for an unknown data set.
    """
    if dataset not in DATASETS:
        raise UnknownNameError("data set", dataset, DATASETS)
    return list(_readers(dataset))


def recorded_draws(dataset: str, source: str) -> RecordedDraws:
    """The recorded answers of one LLM and prompt to a data set's problems (its default options).

    Raises:
        UnknownNameError: unknown data set, or nothing recorded under that name.
        DataUnavailableError: the file is neither in the mirror folder, nor cached, nor to be downloaded.
    """
    if source not in recorded_sources(dataset):
        raise UnknownNameError("recorded answers", source, recorded_sources(dataset), f"data set {dataset!r}")
    return _readers(dataset)[source]()


def _readers(dataset: str) -> dict[str, Callable[[], RecordedDraws]]:
    if dataset == "offensiveness":
        readers: dict[str, Callable[[], RecordedDraws]] = {}
        for name, column in RATERS.items():
            readers[name] = partial(_ratings, name, column, PROMPTS[:1])
            readers[f"{name}-personas"] = partial(_ratings, f"{name}-personas", column, PROMPTS)
        return readers | {"elicited": _offensiveness_elicited}
    if dataset == "voting":
        return {name: partial(_votes, name) for name in VOTERS}
    if dataset in ("bfi", "ev_attitudes"):
        return {"elicited": partial(_survey_elicited, dataset)}
    return {}


def _draws(
    name: str, mode: Mode, ids: pd.Series, values_TKD: Array, distribution_TM: Array | None, note: str
) -> RecordedDraws:
    missing = int(np.isnan(values_TKD).any(axis=2).sum())
    draws = values_TKD.shape[0] * values_TKD.shape[1]
    problem_ids = ids.astype(str).to_numpy(dtype=object)
    return RecordedDraws(name, mode, problem_ids, values_TKD, distribution_TM, missing, draws, note)


def _ratings(name: str, column: str, prompts: tuple[str, ...]) -> RecordedDraws:
    """One LLM's ratings of the comments; joined on instance_id, the file's own `label` is never read."""
    columns = [f"{column}_{prompt}" for prompt in prompts]
    table = read_text_table(fetch_file(RATINGS), separator="\t")
    require_columns(table, ["instance_id", *columns], RATINGS.path)
    table = table.assign(problem=pd.to_numeric(table["instance_id"])).sort_values("problem")
    answers_TK = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    legal_TK = np.isin(answers_TK, (1, 2, 3, 4, 5))
    values_TKD = np.where(legal_TK, answers_TK - 1, np.nan)[:, :, None]
    base = len(prompts) == 1
    asked = "base prompt" if base else f"prompts {', '.join(prompts)} (draws in this order; base has no persona)"
    return _draws(
        name,
        "decision" if base else "persona",
        table["problem"],
        values_TKD,
        None,
        f"{asked}; GitHub Jiaxin-Pei/LLM-as-Subjective-Judge, LLM_pred/offensive_results_w2.tsv, columns "
        f"{columns[0]} ...",
    )


def _votes(name: str) -> RecordedDraws:
    """One LLM's ballots: one problem, one draw per agent, legal when it names five different projects."""
    file, mode, what = VOTERS[name]
    try:
        records = json.loads(fetch_file(file).read_text(encoding="utf-8"))
        ballots = [record["votes"] for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError([Finding("error", f"not a list of ballots: {error}", file=file.path)]) from error
    values_KD = np.full((len(ballots), PROJECTS), np.nan)
    for draw, picks in enumerate(ballots):
        if len(picks) == len(set(picks)) == PICKS and all(p in range(1, PROJECTS + 1) for p in picks):
            values_KD[draw] = 0.0
            values_KD[draw, np.asarray(picks, dtype=np.int64) - 1] = 1.0
    published = file.path.removeprefix("zurich_voting/")
    note = f"{what}; GitHub ethz-coss/LLM_voting, {published}; told a budget of 50,000 CHF"
    drawn = _draws(name, mode, pd.Series(["zurich_2023"]), values_KD[None], None, note)
    # the files number their agents as the voters' table does, whose rows the study's participants are
    return replace(drawn, twins=tuple(running_ids(len(ballots)))) if mode == "persona" else drawn


def _own(name: str) -> pd.DataFrame:
    text = (files("crowdllm.datasets") / "recorded" / f"{name}.csv").read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text), dtype={0: str})


def _shares(table: pd.DataFrame, letter: str) -> Array:
    """(T, M) elicited percentages as shares that add up to 1."""
    percent_TM = table.filter(regex=rf"^{letter}\d+$").to_numpy(dtype=float)
    shares_TM: Array = percent_TM / percent_TM.sum(axis=1, keepdims=True)
    return shares_TM


def _offensiveness_elicited() -> RecordedDraws:
    table = _own("offensiveness")
    table = table.assign(problem=pd.to_numeric(table["problem"])).sort_values("problem")
    decisions_TK = table[["decision"]].to_numpy(dtype=float) - 1
    note = (
        f"{OWN} of 125 comments; the overall rating shares of the data set were in the prompt, so the "
        "distribution is informed by the marginal and is no zero-shot guess"
    )
    return _draws("elicited", "distribution", table["problem"], decisions_TK[:, :, None], _shares(table, "p"), note)


def _survey_elicited(dataset: str) -> RecordedDraws:
    table = _own(dataset)
    lowest = {"bfi": 1, "ev_attitudes": -3}[dataset]
    decisions_TK = table.filter(regex=r"^k\d+$").to_numpy(dtype=float) - lowest
    note = f"{OWN}; the eight decisions were typed in one pass, so they are not independent draws"
    if dataset == "bfi":
        note += "; the LLM may have seen this data set, so agreement is weak evidence"
    return _draws("elicited", "samples", table["id"], decisions_TK[:, :, None], _shares(table, "d"), note)
