"""What the MCP server can do, as plain functions from names to JSON values, within one folder.

Whatever comes from a study (titles, problem texts, levels) is untrusted text: it is returned as values of a JSON
object, cut to a length, and never as part of a sentence of this program's. Nothing outside the root folder is read, be
it by `..`, an absolute path or a link, and nothing is written.

Shapes: N participants, T problems, R responses, M levels, options or quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError, nearest

LONGEST, MOST_SHOWN, MOST_FOLDERS, DEEPEST = 2_000, 200, 2_000, 4
NOT_PEOPLE = "simulated answers, not those of real people: never report them as people's"
BOOTSTRAP, MOST_RECRUITS = 1_000, 100_000
STUDY, CROWD, MODEL, ESTIMATES = "study", "simulated crowd", "fitted model", "estimates"
ESTIMATE_COLUMNS = (
    "estimand",
    "of",
    "group",
    "interval",
    "estimate",
    "low",
    "high",
    "level",
    "humans",
    "worth",
    "note",
)
INTERVALS = {
    "human": "from people's answers alone",
    "rectified": "people's answers, corrected by what the crowd says of exactly these people",
    "combined": "people's answers and the crowd's",
    "conformal": "the crowd's alone, as wide as its errors on other problems",
    "theorem5": "the paper's, which holds only under its conditions",
}
MOST_LOADED = 6
Json = dict[str, Any]


@dataclass
class Library:
    """The folder that a server may read, and what it has loaded (the last few, by name and time of change)."""

    root: Path
    loaded: dict[tuple[str, float], Any] = field(default_factory=dict)

    def place(self, name: str) -> Path:
        """The folder of this name inside the root; raises CrowdLLMError for a name that leads out of it or nowhere."""
        root = self.root.resolve()
        try:
            path = (root / name).resolve()
            inside, there = path.is_relative_to(root), path.is_dir()
        except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, a circle of links
            raise CrowdLLMError(f"{short(name, 80)!r} is no name of a folder") from None
        if not inside:
            raise CrowdLLMError(f"{short(name, 80)!r} lies outside the folder that this server was given")
        if not there:
            near = nearest(name, [entry["name"] for entry in list_folders(self)])
            hint = f"; did you mean {near!r}?" if near else ""
            raise CrowdLLMError(f"there is no folder {short(name, 80)!r}{hint}; list_studies says what there is")
        self._require_no_way_out(path, root)
        return path

    def _require_no_way_out(self, path: Path, root: Path) -> None:
        """Links inside a folder may not lead out of the root either."""
        for inner in _inside(path):
            if inner.is_symlink() and not inner.resolve().is_relative_to(root):
                raise CrowdLLMError(f"{short(inner.name, 80)!r} in it is a link that leads out of the server's folder")

    def study(self, name: str) -> Study:
        """A study or simulated crowd; raises CrowdLLMError where the folder holds none that can be used."""
        from crowdllm.experiments.sources import open_study

        return self._kept(self.place(name), "study.toml", lambda path: open_study(str(path)).study)

    def model(self, name: str) -> Any:
        """A fitted crowd and its hash."""
        from crowdllm.belief.checkpoint import load_model, read_meta

        return self._kept(self.place(name), "meta.json", lambda path: (load_model(path), read_meta(path)["model_hash"]))

    def _kept(self, path: Path, stamp: str, load: Any) -> Any:
        key = (str(path), _changed(path, stamp))
        if key not in self.loaded:
            self.keep(key, load(path))
        return self.loaded[key]

    def keep(self, key: tuple[str, float], value: Any) -> None:
        """Hold a value, and forget the oldest where there are too many."""
        while len(self.loaded) >= MOST_LOADED:
            self.loaded.pop(next(iter(self.loaded)))
        self.loaded[key] = value


def short(text: object, longest: int = LONGEST) -> str:
    """A text cut to a length, with a sign that it was."""
    whole = str(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def _inside(folder: Path, depth: int = 3) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())[:MOST_FOLDERS]
    except OSError:
        return
    for entry in entries:
        yield entry
        if depth and entry.is_dir() and not entry.is_symlink():
            yield from _inside(entry, depth - 1)


def kind_of(folder: Path) -> str:
    """What a folder holds, from the names of its files and its meta.json; "" for none of these."""
    from crowdllm.simulation.run import read_run_meta

    if (folder / "study.toml").is_file():
        return CROWD if read_run_meta(folder) is not None else STUDY
    if (folder / "model.json").is_file() and (folder / "meta.json").is_file():
        return MODEL
    return ESTIMATES if (folder / "estimates.csv").is_file() else ""


def list_folders(library: Library) -> list[Json]:
    """name and kind of each study, simulated crowd, model and folder of estimates under the root, a few levels deep."""
    root = library.root.resolve()
    out: list[Json] = []
    queue, seen = [(root, 0)], 0
    while queue and seen < MOST_FOLDERS:
        folder, depth = queue.pop(0)
        seen += 1
        kind = kind_of(folder)
        if kind:
            out.append({"name": "." if folder == root else folder.relative_to(root).as_posix(), "kind": kind})
            continue
        if depth < DEEPEST:
            try:
                inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and p.name[:1] != ".")
            except OSError:
                continue
            queue += [(p, depth + 1) for p in inner]
    return out


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
    study, simulated = _answers(library, name, problem, where, participants, seed)
    return _described(study, simulated)


def _answers(
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


def _described(study: Study, marks: Json) -> Json:
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
        spots = {f"{q}%": _number(np.interp(q / 100, at, summary)) for q in (5, 25, 50, 75, 95)}
        spread = math.sqrt(float(np.average((value - mean) ** 2, weights=weight)))
        return out | {"mean": _number(mean), "sd": _number(spread), "quantiles": spots}
    labels = kind.levels if isinstance(kind, Ordinal) else study.problems.options[0]
    out["shares"] = [{"value": short(v, 200), "share": _number(s)} for v, s in zip(labels, summary, strict=False)]
    if isinstance(kind, Ordinal):
        points = np.asarray(kind.points)
        mean = float(summary @ points)
        out |= {"mean": _number(mean), "sd": _number(math.sqrt(float(summary @ (points - mean) ** 2)))}
    elif kind.kind != "choice":
        out["of"] = "all picks, points or ranks given; a share is not the share of people"
    return out


def _number(value: float) -> float | None:
    """Six digits, None for what JSON cannot say."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


@dataclass(frozen=True)
class Side:
    """One of two things that are compared: a folder, a problem in it, and filters on who is asked."""

    name: str
    problem: str
    where: Sequence[str] = ()


def compare(library: Library, first: Side, second: Side, participants: int = 1000, seed: int = 0) -> Json:
    """Two distributions and their difference: two problems, two groups, or people beside a crowd.

    The interval of a difference in means is by bootstrap over people, all answers of a person together, and only given
    where both sides are people's answers: simulated answers can be had in any number, which makes them no surer.
    """
    pair = [_answers(library, side.name, side.problem, side.where, participants, seed) for side in (first, second)]
    (one, _), (other, _) = pair
    out: Json = {"first": _described(*pair[0]), "second": _described(*pair[1])}
    if not len(one.responses) or not len(other.responses):
        return out | {"note": "one side has no answers"}
    if one.response_type.kind != other.response_type.kind:
        raise CrowdLLMError(
            f"{one.response_type.kind} and {other.response_type.kind} responses cannot be compared; name two of a kind"
        )
    return out | _difference(one, other, seed)


def _difference(one: Study, other: Study, seed: int) -> Json:
    from crowdllm.evaluation.histograms import histograms
    from crowdllm.responses.continuous import Continuous
    from crowdllm.responses.ordinal import Ordinal

    kind = one.response_type
    levels = [getattr(s.response_type, "levels", ()) for s in (one, other)]
    if levels[0] != levels[1]:
        raise CrowdLLMError("the two sides have different levels; name two on one scale")
    if kind.has_options and one.problems.options[0] != other.problems.options[0]:
        return {"note": "the two problems have different options, so that their answers cannot be told apart by share"}
    most = int(one.problems.option_counts.max(initial=0))
    p, q = (histograms(s.responses, s.response_type, 1, most)[0] for s in (one, other))
    out: Json = {"distance": _number(kind.distance(p, q))}
    out["distance_is"] = "total variation" if kind.has_options else "Wasserstein-1, in points of the scale"
    if not isinstance(kind, Ordinal | Continuous):
        return out
    values = [_values(s) for s in (one, other)]
    means = [float(np.average(v[:, 0], weights=v[:, 1])) for v in values]
    out["mean_difference"] = _number(means[0] - means[1])
    if not (one.simulated or other.simulated) and min(map(len, values)) > 1:
        low, high = _bootstrap(one, other, values, seed)
        out["interval_95"] = [_number(low), _number(high)]
    return out


def _values(study: Study) -> Any:
    """(R, 2) each answer as a number, and its weight."""
    from crowdllm.responses.ordinal import Ordinal

    value, kind = study.responses.values_RD[:, 0], study.response_type
    number = np.asarray(kind.points)[value.astype(np.int64)] if isinstance(kind, Ordinal) else value
    weight = study.responses.weight_R
    return np.stack([number, np.ones(len(value)) if weight is None else weight], axis=1)


def _bootstrap(one: Study, other: Study, values: list[Any], seed: int) -> tuple[float, float]:
    """Percentile interval of the difference of means; a person who is on both sides is drawn on both."""
    from crowdllm.rng import generator

    names = [np.asarray(s.profiles.ids)[s.responses.participant_R].astype(str) for s in (one, other)]
    people, codes = np.unique(np.concatenate(names), return_inverse=True)
    split = np.split(codes, [len(names[0])])
    rng = generator(seed, "mcp:compare")
    differences: list[float] = []
    while len(differences) < BOOTSTRAP:
        count = min(BOOTSTRAP - len(differences), max(1, 4_000_000 // len(people)))
        drawn_BN = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=count)
        means = [_mean(drawn_BN[:, code_R], value_R2) for code_R, value_R2 in zip(split, values, strict=True)]
        differences += (means[0] - means[1]).tolist()
    low, high = np.nanquantile(differences, [0.025, 0.975])
    return float(low), float(high)


def _mean(drawn_BR: Any, value_R2: Any) -> Any:
    """(B,) the weighted mean in each draw, NaN where nobody was drawn."""
    weight_BR = drawn_BR * value_R2[:, 1]
    total_B = weight_BR.sum(axis=1)
    return np.divide(weight_BR @ value_R2[:, 0], total_B, out=np.full(len(total_B), np.nan), where=total_B > 0)


def estimate(library: Library, name: str, problem: str, model: str = "", level: float = 0.95) -> Json:
    """The population's answer to a problem with intervals: read from a folder of estimates, or made for a study.

    name: a folder that `crowdllm estimate` wrote, or a study; then model names the crowd that was fitted on it. Making
    estimates fits crowds anew, for all problems of the study at once: that takes from seconds to minutes, the first
    time.
    """
    folder = library.place(name)
    if kind_of(folder) == ESTIMATES:
        from crowdllm.experiments.results_folder import read_csv

        table = read_csv(folder / "estimates.csv")
        about: Json = {"from": "a folder of estimates"}
    elif model:
        table = _estimated(library, name, model, level)
        about = {"from": "estimated now", "model_hash": library.model(model)[1]}
    else:
        raise CrowdLLMError(f"{short(name, 80)} holds no estimates: name the fitted model as well, or such a folder")
    missing = [column for column in ESTIMATE_COLUMNS if column not in table.columns]
    if missing:
        raise CrowdLLMError(f"{short(name, 80)}/estimates.csv has no column {missing[0]!r}")
    known = [str(i) for i in table["problem"].unique()]
    if problem not in known:
        near = nearest(problem, known)
        hint = f"; did you mean {short(near, 80)!r}?" if near else ""
        raise CrowdLLMError(f"there is no estimate of {short(problem, 80)!r}{hint}")
    rows = table[table["problem"].astype(str) == problem]
    out = [{c: _plain(row[c]) for c in ESTIMATE_COLUMNS} for _, row in rows.head(MOST_SHOWN).iterrows()]
    return {"problem": short(problem, 200), "found": len(rows), "estimates": out, "intervals": INTERVALS} | about


def _estimated(library: Library, name: str, model: str, level: float) -> Any:
    """The table of all estimates of a study by a model, made once."""
    from crowdllm.estimation.estimate import EstimateSettings, estimate_study
    from crowdllm.experiments.sources import open_references, open_study

    folder, other = library.place(name), library.place(model)
    key = (f"{folder}\0{other}\0{level}", _changed(folder, "study.toml") + _changed(other, "meta.json"))
    if key not in library.loaded:
        fitted, _ = library.model(model)
        opened = open_study(str(folder))
        references = open_references(opened, ",".join(fitted.reference_sources) or "none")
        found = estimate_study(opened.study, fitted, references, EstimateSettings(level=level))
        library.keep(key, found.table)
    return library.loaded[key]


def _plain(value: Any) -> Any:
    """A cell of a table as JSON has it."""
    if isinstance(value, float | int | np.number):
        return _number(float(value))
    return short(value, 300)


def _changed(folder: Path, name: str) -> float:
    try:
        return (folder / name).stat().st_mtime
    except OSError:
        return 0.0


def require_root(root: Path) -> Path:
    """The folder to serve; raises CrowdLLMError where it is none."""
    if not root.is_dir():
        raise CrowdLLMError(f"--root {root} is no folder; name the folder that holds your studies and models")
    return root.resolve()
