"""A tuned model as a folder: the trained weights, how its studies are asked, and which base model it belongs to.

    adapter_model.safetensors   the trained weights (all of them for "full"), named as peft names them
    adapter_config.json         the adapter's shape, for other tools of the peft kind (LoRA, QLoRA)
    crowd.json                  settings, interviews, temperatures, number of the best epoch
    training.csv                the loss's terms, epoch by epoch
    meta.json                   version, base model, the studies' titles and sizes, hashes; written last

No response, profile or participant id is stored, but for the numbers that are possible answers to a question with
numbers (at most `most_candidates` of those given). Never a pickle. The base model itself is not stored: loading takes
it from the Hub or its folder, and refuses another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from crowdllm import __version__
from crowdllm.config import TuneConfig, make_config
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.survey_tuning.adapters import WEIGHTS, attach, put_back, save_peft_config, weights_to_save
from crowdllm.survey_tuning.base_model import Identity, find_base, load_base, require_packages, require_same_base
from crowdllm.survey_tuning.interview import Interview
from crowdllm.survey_tuning.run_state import META, forget_checkpoints, write_json
from crowdllm.survey_tuning.tuned import EpochTerms, Tuned

FORMAT = 1
CROWD, TRAINING = "crowd.json", "training.csv"


def save_tuned(tuned: Tuned, folder: str | Path, studies: Sequence[Study] = ()) -> Path:
    """Write the folder, and forget its checkpoints; killed at any moment, it leaves either no result or a whole one."""
    from safetensors.torch import save_file

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    fresh = place / f"{WEIGHTS}.tmp"
    save_file(weights_to_save(tuned.model.lm.model, tuned.config), fresh, metadata={"format": "pt"})
    fresh.replace(place / WEIGHTS)
    save_peft_config(place, tuned.config, tuned.identity.name)
    write_json(place / CROWD, _crowd(tuned))
    names = [field.name for field in fields(EpochTerms)]
    pd.DataFrame([asdict(row) for row in tuned.history], columns=names).to_csv(place / TRAINING, index=False)
    meta = {
        "format": FORMAT,
        "crowdllm": __version__,
        "base": tuned.identity.to_dict(),
        "hash": _hash(place),
        "studies": [
            {
                "title": study.title,
                "people": len(study.profiles),
                "problems": len(study.problems),
                "responses": len(study.responses),
                "simulated": study.simulated,
            }
            for study in studies
        ],
    }
    write_json(place / META, meta)
    forget_checkpoints(place)
    return place


def load_tuned(folder: str | Path, base: str | None = None, device: str = "auto") -> Tuned:
    """Read a tuned model back. base: where its base model is, if not where it was found when it was tuned.

    Raises CrowdLLMError for a folder that holds none, or a damaged one, MismatchError for another base model, and as
    `load_base`.
    """
    from safetensors.torch import load_file

    place = Path(folder)
    meta, crowd = read_folder(place)
    config: TuneConfig = make_config(TuneConfig, _tuples(crowd["config"]))
    require_packages(config.adapter, f"the tuned model in {place}")
    source, identity = find_base(base or crowd["place"])
    require_same_base(identity, Identity(**meta["base"]))
    model = load_base(source, config, device)
    attach(model.lm.model, config, crowd["seed"])
    put_back(model.lm.model, load_file(place / WEIGHTS), config)
    model.lm.model.eval()
    return Tuned(
        model,
        config,
        replace(identity, place=crowd["place"]),
        tuple(Interview.from_dict(entry) for entry in crowd["interviews"]),
        crowd["temperature_kl"],
        crowd["temperature_rmse"],
        crowd["seed"],
        _history(place),
        crowd["best_epoch"],
        crowd.get("profile_weight", 1.0),  # folders written before there was one
    )


def read_folder(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """meta.json and crowd.json of a tuned model, after checking that the files are whole."""
    if not (place / META).is_file() or not (place / CROWD).is_file():
        unfinished = " (its tuning is not finished: the same command goes on)" if (place / "run.json").is_file() else ""
        raise CrowdLLMError(
            f"{place} holds no tuned model{unfinished}; make one with: crowdllm tune STUDY --model NAME --out {place}"
        )
    try:
        meta = dict(json.loads((place / META).read_text(encoding="utf-8")))
        whole = _hash(place) == meta["hash"]
        newer = meta["format"] != FORMAT
        crowd = dict(json.loads((place / CROWD).read_text(encoding="utf-8"))) if whole else {}
    except (OSError, ValueError, KeyError, TypeError):
        whole = newer = False
    if newer:
        raise CrowdLLMError(f"{place} is a tuned model of format {meta['format']}; this version reads format {FORMAT}")
    if not whole:
        raise CrowdLLMError(f"{place} is damaged: its files do not match the hashes in {META}; tune the model again")
    return meta, crowd


def tuned_identity(folder: str | Path) -> str:
    """What answers, for caches and artifacts: the base model, and a hash of what was trained on top."""
    meta, _ = read_folder(Path(folder))
    return f"tuned:{meta['base']['name']}@{meta['base']['version']}+{meta['hash'][:16]}"


def adapter_of(folder: str | Path) -> str:
    """The folder's kind of adapter: lora, qlora or full."""
    return str(read_folder(Path(folder))[1]["config"]["adapter"])


def _crowd(tuned: Tuned) -> dict[str, Any]:
    return {
        "config": tuned.config.model_dump(),
        "seed": tuned.seed,
        "place": tuned.identity.place,
        "interviews": [interview.to_dict() for interview in tuned.interviews],
        "temperature_kl": tuned.temperature_kl,
        "temperature_rmse": tuned.temperature_rmse,
        "best_epoch": tuned.best_epoch,
        "profile_weight": tuned.profile_weight,
    }


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def _history(place: Path) -> tuple[EpochTerms, ...]:
    try:
        table = pd.read_csv(place / TRAINING)
        rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        return tuple(EpochTerms(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()  # it tells how it went, and nothing depends on it


def _hash(place: Path) -> str:
    digest = hashlib.sha256()
    for name in (WEIGHTS, CROWD):
        with (place / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
