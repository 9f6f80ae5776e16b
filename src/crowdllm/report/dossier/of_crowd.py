"""A simulated crowd (`crowdllm simulate`): how it answers, beside the humans of a study where one is given.

Shapes: T problems, M levels or options, N people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.study import Study
from crowdllm.data.study_folder import load_study
from crowdllm.data.tables import read_table
from crowdllm.evaluation.coherence import pairwise_correlation
from crowdllm.evaluation.histograms import histograms
from crowdllm.profiles.raking import Margins
from crowdllm.report.distributions import distributions_figure
from crowdllm.report.dossier.answers import Chart, Contribution, Explorer, Section
from crowdllm.report.dossier.charts import chart_of
from crowdllm.report.dossier.found import Found
from crowdllm.report.dossier.of_people import people_section
from crowdllm.report.page import Cell, Table, Text
from crowdllm.responses.ordinal import Ordinal

Array = NDArray[np.float64]
MOST_PROBLEMS, MOST_LEVELS, MOST_CORRELATED, MOST_ROWS = 2000, 30, 40, 5_000_000
ENOUGH = 5  # humans who answered a problem, to be called its best or worst


def contribute(found: Found, humans: Study | None, margins: Margins | None = None) -> Contribution:
    """Answers, distributions with a search, subgroups, profiles and coherence of the crowd.

    humans: the study of real people that the crowd is held against; matched by the problems' ids.
    margins: target shares of groups that the recruited people are held against, as of `profiles.raking`.
    """
    table = pd.read_csv(
        found.folder / "distributions.csv", keep_default_na=False, na_values=[""], dtype={"problem": str}
    )
    shares = [c for c in table.columns if c.startswith("share_")]
    texts = _texts(found.folder)
    crowd_TM = table[shares].to_numpy(dtype=float)
    labels = [c.removeprefix("share_") for c in shares]
    human_TM, count_T = _human(table["problem"].tolist(), humans, len(shares))
    order = _order(crowd_TM, human_TM, count_T)
    sections: list[Section] = []
    lead: Chart | None = None
    if shares:
        lead = _chart(table, texts, crowd_TM, human_TM, labels, order, humans)
        explorer = _explorer(table, texts, crowd_TM, human_TM, count_T, labels)
        sections.append(Section("Any problem", (explorer,)))
    sections += list(_subgroups(found.folder, labels))
    sections += list(people_section(found.folder, humans, margins))
    if humans is not None:
        sections += list(_coherence(found, humans))
    people, problems = int(found.about.get("participants", 0)), len(table)
    compared = None if humans is None else _compared(human_TM)
    said = _how(table, texts, crowd_TM, labels, order, people, problems, compared)
    if humans is not None and humans.simulated:
        said += " The people of the study, called humans here, are themselves simulated."
    answers = {"how": said}
    return Contribution(answers, tuple(sections), lead, tuple(_made(found, humans)))


def _texts(folder: Path) -> dict[str, str]:
    table, _ = read_table(folder / "problems.csv")
    if table is None:
        return {}
    return dict(zip(table.columns["problem"], table.columns.get("text", table.columns["problem"]), strict=True))


def _human(ids: list[str], humans: Study | None, width: int) -> tuple[Array, NDArray[np.int64]]:
    """(T, M) shares of the humans' answers and (T,) their numbers, in the order of the crowd's problems."""
    empty = np.full((len(ids), width), np.nan), np.zeros(len(ids), dtype=np.int64)
    if humans is None:
        return empty
    own_TM = histograms(
        humans.responses, humans.response_type, len(humans.problems), int(humans.problems.option_counts.max(initial=0))
    )
    if own_TM.shape[1] != width:
        return empty
    count_T = np.bincount(humans.responses.problem_R, minlength=len(humans.problems))
    position = {str(name): t for t, name in enumerate(humans.problems.ids)}
    where = np.array([position.get(name, -1) for name in ids])
    known = (where >= 0)[:, None]
    return np.where(known, own_TM[where], np.nan), np.where(where >= 0, count_T[where], 0)


def _order(crowd_TM: Array, human_TM: Array, count_T: NDArray[np.int64]) -> NDArray[np.int64]:
    """Problems from best to worst agreement with enough humans; without humans from most agreed to most split."""
    gap_T = np.abs(np.cumsum(crowd_TM - human_TM, axis=1)).sum(axis=1) if crowd_TM.size else np.zeros(len(crowd_TM))
    gap_T = np.where(count_T >= ENOUGH, gap_T, np.nan)
    if np.isnan(gap_T).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            gap_T = -np.nansum(crowd_TM * np.log(np.where(crowd_TM > 0, crowd_TM, 1)), axis=1)
    return np.argsort(gap_T, kind="stable")[: int((~np.isnan(gap_T)).sum())]


def _chart(
    table: pd.DataFrame, texts: dict[str, str], crowd_TM: Array, human_TM: Array, labels: list[str],
    order: NDArray[np.int64], humans: Study | None,
) -> Chart:  # fmt: skip
    middle = len(order) // 2
    chosen = list(dict.fromkeys([*order[:2], *order[middle : middle + 2], *order[-2:]]))
    ids = [str(table["problem"].iloc[t]) for t in chosen]
    kind = (
        "best, median and worst agreement with humans"
        if _compared(human_TM)
        else "most agreed, middling and most split"
    )
    figure = distributions_figure(human_TM[chosen], crowd_TM[chosen], labels, [texts.get(i, i) for i in ids])
    data = pd.DataFrame(crowd_TM[chosen], columns=[f"simulated {label}" for label in labels])
    for m, label in enumerate(labels):
        data[f"human {label}"] = human_TM[chosen, m]
    data.insert(0, "problem", ids)
    words = f"Distributions of answers to six problems: {kind}"
    return chart_of("distributions", figure, f"{words}, from left to right.", words, data)


def _compared(human_TM: Array) -> bool:
    return bool((~np.isnan(human_TM)).any())


def _explorer(
    table: pd.DataFrame, texts: dict[str, str], crowd_TM: Array, human_TM: Array, count_T: NDArray[np.int64],
    labels: list[str],
) -> Explorer:  # fmt: skip
    problems = []
    for t, name in enumerate(table["problem"].tolist()[:MOST_PROBLEMS]):
        top = (
            np.argsort(-np.nan_to_num(crowd_TM[t]), kind="stable")[:MOST_LEVELS]
            if len(labels) > MOST_LEVELS
            else np.arange(len(labels))
        )
        own: dict[str, Any] = {
            "id": str(name), "text": texts.get(str(name), str(name))[:600],
            "labels": [labels[m][:80] for m in top],
            "crowd": [round(100 * float(s), 1) for s in np.nan_to_num(crowd_TM[t, top])],
        }  # fmt: skip
        if count_T[t] and not np.isnan(human_TM[t]).any():
            own |= {"human": [round(100 * float(s), 1) for s in human_TM[t, top]], "humans": int(count_T[t])}
        problems.append(own)
    return Explorer(tuple(problems), max(0, len(table) - MOST_PROBLEMS))


def _subgroups(folder: Path, labels: list[str]) -> Iterator[Section]:
    path = folder / "subgroups.csv"
    if not path.is_file():
        return
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if "mean" not in table:
        return
    spread = (
        table.groupby(["column", "level"], sort=False)
        .agg(answers=("responses", "sum"), mean=("mean", "mean"))
        .reset_index()
    )
    rows = tuple(
        (Cell(f"{r.column}: {r.level}"), Cell(f"{r.answers:,.0f}"), Cell(f"{r.mean:.3f}"))
        for r in spread.itertuples(index=False)
    )
    note = "Simulated people only: what the model says of groups, not evidence about them. Small groups are guesses."
    yield Section("Subgroups", (Table("Mean answer over all problems", ("group", "answers", "mean"), rows, note),))


def _coherence(found: Found, humans: Study) -> Iterator[Section]:
    """Two correlation matrices side by side, where people answered enough of the same problems."""
    few = int(found.about.get("stored", 0) or 0) <= MOST_ROWS and len(humans.problems) <= MOST_CORRELATED
    if not few or not isinstance(humans.response_type, Ordinal) or not found.about.get("stored"):
        return
    crowd = load_study(found.folder)
    shared = [str(i) for i in crowd.problems.ids if str(i) in {str(j) for j in humans.problems.ids}]
    if len(shared) < 3:
        return
    human_TT, crowd_TT = (pairwise_correlation(_wide(study, shared)) for study in (humans, crowd))
    if np.isnan(human_TT).mean() > 0.5:
        yield Section(
            "Coherence of people", (Text("Too few people answered the same problems to correlate their answers."),)
        )
        return
    upper = np.triu_indices(len(shared), 1)
    gap = (human_TT - crowd_TT)[upper]
    words = f"Correlations between {len(shared)} problems over people: humans, and the simulated crowd"
    data = pd.DataFrame(
        {
            "problem": np.array(shared)[upper[0]],
            "other": np.array(shared)[upper[1]],
            "human": human_TT[upper],
            "simulated": crowd_TT[upper],
        }
    )
    caption = f"{words}. Root mean square difference: {np.sqrt(np.nanmean(gap**2)):.3f}."
    yield Section("Coherence of people", (chart_of("coherence", _matrices(human_TT, crowd_TT), caption, words, data),))


def _wide(study: Study, ids: list[str]) -> Array:
    position = {str(name): t for t, name in enumerate(study.problems.ids)}
    table = np.full((len(study.profiles), len(study.problems)), np.nan)
    table[study.responses.participant_R, study.responses.problem_R] = study.responses.values_RD[:, 0]
    return table[:, [position[name] for name in ids]]


def _matrices(human_TT: Array, crowd_TT: Array) -> Any:
    from crowdllm.report.figure import new_figure

    figure = new_figure(7.2, 3.4)
    axes = figure.subplots(1, 2)
    for axis, matrix, title in zip(axes, (human_TT, crowd_TT), ("humans", "simulated crowd"), strict=True):
        image = axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xlabel("problem", fontsize=9)
        axis.set_ylabel("problem", fontsize=9)
        axis.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.8)
    return figure


def _how(
    table: pd.DataFrame, texts: dict[str, str], crowd_TM: Array, labels: list[str], order: NDArray[np.int64],
    people: int, problems: int, compared: bool | None,
) -> str:  # fmt: skip
    """In words. compared: whether people of the study answered any of these problems; None without a study."""
    said = f"{people:,} simulated people answered {problems:,} problems."
    if not labels or not len(order):
        return said
    t = int(order[len(order) // 2])
    top = int(np.argmax(crowd_TM[t]))
    name = str(table["problem"].iloc[t])
    said += (
        f" For example, to “{texts.get(name, name)[:160]}” most often “{labels[top][:60]}” ({crowd_TM[t, top]:.0%})."
    )
    if compared:
        said += " The picture shows the problems where crowd and humans agree best, middlingly, and worst."
    elif compared is not None:
        said += " The study has no human answers to these problems, on this scale: nothing is compared with people."
    return said


def _made(found: Found, humans: Study | None) -> Iterator[str]:
    about = found.about
    model, seed, version = (about.get(key, "?") for key in ("model_hash", "seed", "crowdllm"))
    yield f"Simulated responses: model {model}, seed {seed}, crowdllm {version}."
    settings = (about.get("plan") or {}).get("settings")
    if settings:
        yield f"Settings of the simulation: {settings}."
    if humans is not None:
        yield f"Humans: {humans.title}, {humans.describe()}."
        yield from (f"Source: {line}" for line in humans.source)
