"""Compare methods on a study: fit on the training part, simulate crowds, score them against the test humans.

One unit of work is (training fraction, seed, method); each is written to `parts/` when it is done, and the same
command skips those that are there, so that a run which was stopped goes on. `metrics.csv` is their union in long form:
dataset, split, train_fraction, references, method, crowd_size, aggregator, seed, metric, value.

`references` names the sources that the method was given: those that are not in persona, but for `multi-persona`, which
is given those that are (`crowdllm.methods.references_for`). The metric `fit_seconds` is what fitting took on this
machine. `problems` is how many test problems a row was scored on; for the others see `crowdllm.experiments.scores`,
`people_scores` and `twin_scores`.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.aggregation import AGGREGATORS, applicable
from crowdllm.data.splits import SPLITS, Split
from crowdllm.data.study import Study
from crowdllm.embedding import TFIDF
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, UnknownNameError
from crowdllm.experiments.results_folder import claim_folder, read_csv, write_csv
from crowdllm.experiments.score import Score
from crowdllm.experiments.scores import score_crowd, score_floor, score_people
from crowdllm.experiments.split_references import split_references
from crowdllm.experiments.twin_scores import require_answers, score_known
from crowdllm.methods import get_method, references_for, require_method
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References

COLUMNS = [
    "dataset", "split", "train_fraction", "references", "method", "crowd_size", "aggregator", "seed", "metric", "value",
]  # fmt: skip
FLOOR = "human-floor"
ALL = "all"
POOL = 1000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """What is compared on what.

    aggregators: names, or "all" for all that apply to the responses. embedding: serves every method that uses one.
    known: with the splits by participant and by problem, how many answers of each test person may be known when others
    are predicted, such as (5, 10); see `crowdllm.experiments.twin_scores`.
    """

    methods: tuple[str, ...]
    split: str = "problem"
    seeds: tuple[int, ...] = (0,)
    crowd_sizes: tuple[int, ...] = (1000,)
    train_fractions: tuple[float, ...] = (1.0,)
    aggregators: tuple[str, ...] = ("mean",)
    embedding: str = TFIDF
    test_fraction: float = 0.2
    known: tuple[int, ...] = ()

    def check(self) -> None:
        """Raise the first error among names and sizes, before anything is computed."""
        for method in self.methods:
            require_method(method)
        known = (("split", (self.split,), SPLITS),)
        for what, names, valid in (*known, ("aggregator", self.aggregators, [*AGGREGATORS, ALL])):
            for name in names:
                if name not in valid:
                    raise UnknownNameError(what, name, valid)
        if not self.methods or not self.seeds or min(self.crowd_sizes, default=0) < 1:
            raise ConfigError("a comparison needs at least one method, one seed and a crowd of at least one")
        for fraction in self.train_fractions or (0.0,):
            if not 0 < fraction <= 1:
                raise ConfigError(f"a training fraction must lie above 0 and at most 1, not {fraction:g}")
        if min(self.known, default=1) < 1:
            raise ConfigError(f"at least one answer of each person must be known, not {min(self.known)}")
        listed_all = (self.methods, self.seeds, self.crowd_sizes, self.train_fractions, self.aggregators, self.known)
        for listed in listed_all:
            twice = [entry for i, entry in enumerate(listed) if entry in listed[:i]]
            if twice:
                raise ConfigError(f"{twice[0]!r} is named twice; name it once, or it would count twice in the averages")


def run_comparison(
    study: Study, name: str, references: References | None, comparison: Comparison, out: Path,
    progress: Progress | None = None, note: Callable[[str], None] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Run what is not done yet and return the whole table; it is also in `out/metrics.csv`.

    A method that does not apply (such as `problem-histogram` on unseen problems) is left out, and `note` says why.
    Raises CrowdLLMError where `out` holds a comparison of another study, split or setting.
    """
    comparison.check()
    comparison = _with_aggregators(comparison, study, note)
    common = references_for("", references)
    first = study.split(comparison.split, comparison.test_fraction, comparison.seeds[0], comparison.train_fractions[0])
    require_answers(first, comparison.known)  # what cannot be split is refused before anything is written
    claim_comparison(out, study, name, common, reference_label(common), comparison)
    units = [
        (fraction, seed, method)
        for fraction in comparison.train_fractions
        for seed in comparison.seeds
        for method in (*comparison.methods, FLOOR)
    ]
    split: Split | None = None
    current: tuple[float, int] | None = None
    for done, (fraction, seed, method) in enumerate(units):
        if progress:
            progress(f"{method}, seed {seed}, training {fraction:.0%}", done, len(units))
        part = comparison_part(out, comparison, fraction, seed, method)
        label = reference_label(references_for(method, references))
        if part.exists():
            require_references(part, label)
            continue
        if split is None or current != (fraction, seed):
            split = study.split(comparison.split, comparison.test_fraction, seed, fraction)
            current = (fraction, seed)
            require_answers(split, comparison.known)
        try:
            scores = list(run_unit(split, references_for(method, references), comparison, method, seed))
        except MismatchError as error:
            if note:
                note(f"{method} left out: {error}")
            continue
        keys = {"dataset": name, "split": comparison.split, "train_fraction": fraction, "references": label}
        rows = [keys | {"method": method, "seed": seed} | asdict(score) for score in scores]
        write_csv(pd.DataFrame(rows, columns=COLUMNS), part)
    if progress:
        progress("done", len(units), len(units))
    return collect_parts(out, comparison)


def _with_aggregators(comparison: Comparison, study: Study, note: Callable[[str], None] | None) -> Comparison:
    """The comparison with the aggregators that apply to these responses; `note` says which were named and do not."""
    fit = applicable(study.response_type)
    if ALL in comparison.aggregators:
        return replace(comparison, aggregators=tuple(fit))
    idle = [a for a in comparison.aggregators if a not in fit]
    if note and idle and comparison.aggregators != ("mean",):
        note(f"left out, since they do not apply to {study.response_type.kind} responses: {', '.join(idle)}")
    return comparison


def reference_label(references: References | None) -> str:
    """The sources' names as tables have them; "none" where there are none."""
    return "+".join(references.names) if references else "none"


def comparison_part(out: Path, comparison: Comparison, fraction: float, seed: int, method: str) -> Path:
    """The file with the scores of one unit of work."""
    name = method
    if ":" in method:  # named with a model, which may be a path
        name = f"{_slug(method)}-{hashlib.sha256(method.encode()).hexdigest()[:8]}"
    return out / "parts" / f"{comparison.split}-{fraction:g}-{seed}-{name}.csv"


def _slug(method: str) -> str:
    """The name of a method with a model, without what a file's name cannot hold."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", method).strip("-.")[:60]


def require_references(part: Path, label: str) -> None:
    """Raise CrowdLLMError where a part that is there comes from other references than the method is given now."""
    held = pd.read_csv(part, nrows=1, dtype={"references": str}, keep_default_na=False)["references"]
    if len(held) and held[0] != label:
        raise CrowdLLMError(
            f"{part} was made with the references {held[0]}, not {label}; give another --out, or delete that file"
        )


def run_unit(
    split: Split, references: References | None, comparison: Comparison, method: str, seed: int
) -> Iterator[Score]:
    """Fit one method on the training part and score it on the test part, at every crowd size; or score the floor."""
    sizes, aggregators, unseen = comparison.crowd_sizes, comparison.aggregators, split.unseen_TM
    recruits = max(POOL, *sizes)
    if method == FLOOR:
        yield from score_floor(split.test, sizes, aggregators, seed, unseen, recruits)
        return
    for_training, for_test = split_references(references, split)
    started = time.perf_counter()
    simulator = get_method(method)(split.train, for_training, comparison.embedding, seed)
    yield Score(0, "", "fit_seconds", time.perf_counter() - started)
    recruiter = simulator.generator or ProfileGenerator.fit(split.train.profiles, split.train.relative_weights_N, seed)
    crowd = recruiter.recruit(recruits, seed)
    for size in sizes:
        yield from score_crowd(simulator, split.test, for_test, crowd, size, aggregators, seed, unseen)
    yield from score_people(simulator, split.test, for_test, seed)
    if comparison.known:
        yield from score_known(simulator, split, for_training, for_test, comparison.known, seed)


def collect_parts(out: Path, comparison: Comparison) -> pd.DataFrame:
    """The union of all units that are there, which is then also in `metrics.csv`; raises CrowdLLMError for none."""
    wanted = [
        comparison_part(out, comparison, fraction, seed, method)
        for fraction in comparison.train_fractions
        for seed in comparison.seeds
        for method in (*comparison.methods, FLOOR)
    ]
    present = [read_csv(p) for p in wanted if p.exists()]
    if not present:
        raise CrowdLLMError("no method could be compared on this study; see the notes above")
    table = pd.concat(present, ignore_index=True)
    write_csv(table, out / "metrics.csv")
    return table


def claim_comparison(
    out: Path, study: Study, name: str, references: References | None, label: str, comparison: Comparison
) -> None:
    """Write what the folder is for, or check that it is for this."""
    identity = {
        "crowdllm": __version__,
        "study": name,
        "data": data_digest(study, references),
        "references": label,
        "embedding": comparison.embedding,
        "test_fraction": comparison.test_fraction,
        "crowd_sizes": list(comparison.crowd_sizes),
        "aggregators": list(comparison.aggregators),
        "known": list(comparison.known),
    }
    claim_folder(out / "comparison.json", identity, "comparison")
    (out / "parts").mkdir(parents=True, exist_ok=True)


def data_digest(study: Study, references: References | None) -> str:
    """A hash of everything that results depend on: problems, people, responses, the scale, and the references."""
    problems, people, responses = study.problems, study.profiles, study.responses
    texts = [study.response_type.to_dict(), [(c.name, c.to_dict()) for c in people.columns], people.ids.tolist()]
    texts += [problems.ids.tolist(), problems.texts.tolist(), problems.options]
    arrays = [people.values_NC, responses.participant_R, responses.problem_R, responses.values_RD]
    arrays += [] if study.weights_N is None else [study.weights_N]
    for source in references.sources if references else ():
        texts.append([source.name, source.problem_ids.tolist()])
        arrays += [source.values_TKD, np.zeros(0) if source.distribution_TM is None else source.distribution_TM]
    digest = hashlib.sha256(json.dumps(texts, default=str).encode("utf-8", "surrogatepass"))
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over seeds of every metric: the table as people read it."""
    from crowdllm.evaluation.intervals import mean_interval

    keys = [c for c in COLUMNS if c not in ("seed", "value")]
    rows = []
    for key, group in table.groupby(keys, sort=False, dropna=False):
        interval = mean_interval(group["value"].to_numpy(dtype=float))
        rows.append([*key, interval.mean, interval.low, interval.high, len(group)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "seeds"])
