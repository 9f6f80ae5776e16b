"""Simulate a whole crowd and keep it: recruits, their responses, and a folder that says they are simulated.

The folder is a study folder with `simulated = true` (so that `check`, `aggregate` and `load_study` read it), plus
responses.parquet and meta.json. Every row of both response tables carries the simulated flag, the model's hash and
the seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import response_cells, save_study
from crowdllm.errors import CrowdLLMError
from crowdllm.profiles.participation import pairs
from crowdllm.profiles.pool import parse_filters
from crowdllm.rng import stable_keys
from crowdllm.simulation.decide import simulate_pairs

META = "meta.json"
PAIRS = 1 << 18
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SimulatedCrowd:
    """Recruits and their responses to the items' problems."""

    people: Profiles
    items: Items
    responses: Responses
    seed: int


def simulate_crowd(
    model: CrowdModel,
    items: Items,
    participants: int,
    seed: int = 0,
    where: Sequence[str] = (),
    participation: float = 1.0,
    progress: Progress | None = None,
) -> SimulatedCrowd:
    """Recruit, let each person answer each problem with probability `participation`, and decide.

    where: filters on profile columns such as `age=25-29,30-34`; recruits come from that pool only.

    Raises ConfigError for a pool that nobody belongs to, or a probability outside 0..1.
    """
    pool = parse_filters(list(where), model.encoder.columns) if where else None
    people = model.generator.recruit(participants, seed, where=pool)
    keys, problem_keys = stable_keys(people.ids), stable_keys(items.problems.ids)
    total = participants * len(items.problems)
    parts: list[Responses] = []
    done = 0
    for participant_R, problem_R in pairs(participation, keys, problem_keys, seed, PAIRS):
        values = simulate_pairs(model, items, people, participant_R, problem_R, seed)
        parts.append(Responses(participant_R, problem_R, values))
        done = min(done + PAIRS, total)
        if progress:
            progress("simulating", done, total)
    return SimulatedCrowd(people, items, _join(parts), seed)


def _join(parts: list[Responses]) -> Responses:
    return Responses(
        np.concatenate([p.participant_R for p in parts]),
        np.concatenate([p.problem_R for p in parts]),
        np.concatenate([p.values_RD for p in parts]),
    )


def write_crowd(crowd: SimulatedCrowd, model: CrowdModel, model_meta: dict[str, Any], out: str | Path) -> list[Path]:
    """Write the crowd and return the paths; refuses a folder that holds anything but a simulated crowd."""
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()) and not (folder / META).exists():
        raise CrowdLLMError(f"{folder} exists and holds something other than a simulated crowd; choose another folder")
    study = _as_study(crowd, model, model_meta)
    (folder / META).unlink(missing_ok=True)
    save_study(study, folder)
    table = pd.DataFrame(
        {
            "participant": crowd.people.ids[crowd.responses.participant_R],
            "problem": crowd.items.problems.ids[crowd.responses.problem_R],
            "response": response_cells(study),
            "simulated": True,
            "model": model_meta["model_hash"][:16],
            "seed": crowd.seed,
        }
    )
    files = [folder / "responses.parquet", folder / "responses.csv"]
    for path in files:
        fresh = path.with_name(path.name + ".part")
        if path.suffix == ".parquet":
            table.astype(dict.fromkeys(("participant", "problem", "response", "model"), "string")).to_parquet(fresh)
        else:
            table.to_csv(fresh, index=False)
        fresh.replace(path)
    meta = {
        "crowdllm": __version__,
        "simulated": True,
        "model_hash": model_meta["model_hash"],
        "seed": crowd.seed,
        "participants": len(crowd.people),
        "problems": len(crowd.items.problems),
        "responses": len(crowd.responses),
    }
    (folder / META).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return [*files, folder / "participants.csv", folder / META]


def _as_study(crowd: SimulatedCrowd, model: CrowdModel, model_meta: dict[str, Any]) -> Study:
    origin = model_meta.get("study") or {}
    return Study(
        title=f"Simulated answers: {origin.get('title', 'a crowd')}",
        response_type=model.response_type,
        problems=crowd.items.problems,
        profiles=crowd.people,
        responses=crowd.responses,
        source=(
            f"Simulated by crowdllm {__version__}: no row is a real person's answer.",
            f"Model {model_meta['model_hash'][:16]}, seed {crowd.seed}.",
        ),
        simulated=True,
    )
