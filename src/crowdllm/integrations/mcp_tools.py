"""What the MCP server can say of a study, crowd or model, as plain functions from names to JSON values.

Whatever comes from a study (titles, problem texts, levels) is untrusted text: it is returned as values of a JSON
object, cut to a length, and never as part of a sentence of this program's.

Shapes: N participants, T problems, R responses, M levels, options or quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError, nearest
from crowdllm.integrations.mcp_library import MODEL, Json, Library, kind_of, short

MOST_SHOWN, MOST_RECRUITS = 200, 100_000
NOT_PEOPLE = "simulated answers, not those of real people: never report them as people's"


def check(library: Library, name: str) -> Json:
    """What was understood of a study folder, and everything found wrong in it."""
    from crowdllm.data.study_check import check_study, finding_lines, responses_per_participant, responses_per_problem

    report = check_study(library.place(name))
    out: Json = {"usable": report.usable}
    for severity in ("error", "warning", "note"):
        lines = finding_lines(report.of(severity))
        root = str(library.root.resolve())
        out[severity + "s"] = [short(line.replace(root, "."), 400) for line in lines][:MOST_SHOWN]
    study = report.study
    if study is None:
        return out
    per_problem, per_person = responses_per_problem(study), responses_per_participant(study)
    columns = [
        {"name": short(c.name, 200), "kind": c.kind, "levels": [short(v, 200) for v in c.levels[:MOST_SHOWN]]}
        for c in study.profiles.columns
    ]
    return out | {
        "title": short(study.title),
        "people": len(study.profiles),
        "problems": len(study.problems),
        "responses": len(study.responses),
        "responses_per_problem": _spread(per_problem),
        "responses_per_person": _spread(per_person),
        "response_type": study.response_type.kind,
        "profile": columns,
        "simulated": study.simulated,
    }


def _spread(counts: Any) -> Json:
    if not len(counts):
        return {}
    return {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}


def problems(library: Library, name: str, search: str = "", offset: int = 0, limit: int = 50) -> Json:
    """The problems of a study, crowd or model whose id or text contains `search`."""
    folder = library.place(name)
    if kind_of(folder) == MODEL:
        listed, counts = library.model(name)[0].items.problems, None
    else:
        study = library.study(name)
        listed = study.problems
        counts = np.bincount(study.responses.problem_R, minlength=len(listed))
    word = search.casefold()
    found = [t for t in range(len(listed)) if word in f"{listed.ids[t]} {listed.texts[t]}".casefold()]
    shown = found[max(offset, 0) : max(offset, 0) + min(max(limit, 1), MOST_SHOWN)]
    rows = []
    for t in shown:
        row: Json = {"problem": short(listed.ids[t], 200), "text": short(listed.texts[t], 500)}
        if listed.options[t]:
            row["options"] = [short(o, 200) for o in listed.options[t]]
        if counts is not None:
            row["responses"] = int(counts[t])
        rows.append(row)
    return {"found": len(found), "shown": len(rows), "problems": rows}


def distribution(
    library: Library, name: str, problem: str, where: Sequence[str] = (), participants: int = 1000, seed: int = 0
) -> Json:
    """How a problem is answered: by the people of a study, by a simulated crowd, or by a crowd of a fitted model.

    where: filters on profile columns such as "age=25-29". participants, seed: of the crowd of a model.
    """
    study, simulated = answers(library, name, problem, where, participants, seed)
    return described(study, simulated)


def answers(
    library: Library, name: str, problem: str, where: Sequence[str], participants: int, seed: int
) -> tuple[Study, Json]:
    """A study of one problem with the answers of who qualifies, and what marks them as simulated."""
    from crowdllm.profiles.pool import parse_filters, qualified

    folder = library.place(name)
    if kind_of(folder) == MODEL:
        return _simulated(library, name, problem, where, participants, seed)
    study = library.study(name)
    position = _position(study.problems.ids, problem, name)
    people = np.arange(len(study.profiles))
    if where:
        people = people[qualified(study.profiles, parse_filters(list(where), study.profiles.columns))]
    marks: Json = {"simulated": study.simulated}
    if study.simulated:
        marks |= {"warning": NOT_PEOPLE} | _run_marks(folder)
    return study.subset(np.array([position]), people), marks


def _run_marks(folder: Path) -> Json:
    """model_hash and seed of a simulated crowd's folder, where it says."""
    from crowdllm.simulation.run import read_run_meta

    meta = read_run_meta(folder) or {}
    return {key: meta[key] for key in ("model_hash", "seed") if isinstance(meta.get(key), str | int)}


def _simulated(
    library: Library, name: str, problem: str, where: Sequence[str], participants: int, seed: int
) -> tuple[Study, Json]:
    from crowdllm.data.responses import Responses
    from crowdllm.profiles.pool import parse_filters
    from crowdllm.simulation.decide import simulate_pairs

    if not 1 <= participants <= MOST_RECRUITS:
        raise CrowdLLMError(f"participants must lie between 1 and {MOST_RECRUITS:,}, not {participants}")
    model, digest = library.model(name)
    position = _position(model.items.problems.ids, problem, name)
    pool = parse_filters(list(where), model.encoder.columns) if where else None
    people = model.generator.recruit(participants, seed, where=pool)
    who = np.arange(len(people))
    values = simulate_pairs(model, model.items, people, who, np.full(len(who), position), seed)
    asked = model.items.problems.take(np.array([position]))
    responses = Responses(who, np.zeros(len(who), dtype=np.int64), values)
    study = Study(name, model.response_type, asked, people, responses, simulated=True)
    return study, {"simulated": True, "model_hash": digest, "seed": seed, "warning": NOT_PEOPLE}


def _position(ids: Any, problem: str, name: str) -> int:
    known = [str(i) for i in ids]
    if problem not in known:
        near = nearest(problem, known)
        hint = f"; did you mean {short(near, 80)!r}?" if near else ""
        raise CrowdLLMError(f"{short(name, 80)} has no problem {short(problem, 80)!r}{hint}; list_problems says which")
    return known.index(problem)


def described(study: Study, marks: Json) -> Json:
    from crowdllm.evaluation.histograms import histograms
    from crowdllm.responses.continuous import Continuous
    from crowdllm.responses.ordinal import Ordinal

    kind, responses = study.response_type, study.responses
    out: Json = {
        "problem": short(study.problems.ids[0], 200),
        "text": short(study.problems.texts[0]),
        "response_type": kind.kind,
        "responses": len(responses),
        "weighted": responses.weight_R is not None,
    } | marks
    if not len(responses):
        return out | {"note": "nobody who qualifies has answered this problem"}
    summary = histograms(responses, kind, 1, int(study.problems.option_counts.max(initial=0)))[0]
    if isinstance(kind, Continuous):
        value = responses.values_RD[:, 0]
        weight = np.ones(len(value)) if responses.weight_R is None else responses.weight_R
        mean = float(np.average(value, weights=weight))
        at = (np.arange(len(summary)) + 0.5) / len(summary)
        spots = {f"{q}%": number(np.interp(q / 100, at, summary)) for q in (5, 25, 50, 75, 95)}
        spread = math.sqrt(float(np.average((value - mean) ** 2, weights=weight)))
        return out | {"mean": number(mean), "sd": number(spread), "quantiles": spots}
    labels = kind.levels if isinstance(kind, Ordinal) else study.problems.options[0]
    out["shares"] = [{"value": short(v, 200), "share": number(s)} for v, s in zip(labels, summary, strict=False)]
    if isinstance(kind, Ordinal):
        points = np.asarray(kind.points)
        mean = float(summary @ points)
        out |= {"mean": number(mean), "sd": number(math.sqrt(float(summary @ (points - mean) ** 2)))}
    elif kind.kind != "choice":
        out["of"] = "all picks, points or ranks given; a share is not the share of people"
    return out


def number(value: float) -> float | None:
    """Six digits, None for what JSON cannot say."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
