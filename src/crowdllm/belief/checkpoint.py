"""A fitted crowd as a folder: tensors.safetensors, model.json and, last, meta.json; never a pickle.

model.json holds settings, profile columns, the scale and the problems it was fitted on; meta.json the method, version,
seed, and hashes of all three, so that a damaged or half-written folder is told from a good one. It is written in a
neighbouring folder first and moved into place. No human response and no participant id is stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, fields
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm import __version__
from crowdllm.belief.crowd_model import CrowdModel, describe_fit
from crowdllm.belief.items import Items
from crowdllm.belief.population import PopulationModel
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, ProfileEncoder, require_same_columns
from crowdllm.data.study import Study
from crowdllm.embedding import load_embedder
from crowdllm.errors import CrowdLLMError, MismatchError
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.responses import response_type_from_dict

FORMAT = 1
TENSORS, MODEL, META = "tensors.safetensors", "model.json", "meta.json"
OLD = ".old"


def save_model(model: CrowdModel, folder: str | Path, study: Study | None = None) -> Path:
    """Write the model; an existing folder is replaced only if it holds a model (or nothing).

    Killed at any moment, it leaves to `load_model` either the old model or the new one. Raises CrowdLLMError for a
    folder that holds something else, and OSError where nothing can be written.
    """
    from safetensors.numpy import save_file

    from crowdllm.belief.training import EpochTerms

    require_free(folder)
    target = Path(folder).resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        save_file(_tensors(model), fresh / TENSORS)
        _write_json(fresh / MODEL, _settings(model))
        meta: dict[str, Any] = {
            "format": FORMAT,
            "method": model.name,
            "crowdllm": __version__,
            "seed": model.seed,
            "model_hash": _hash(fresh),
            "fit": describe_fit(model),
            "study": None if study is None else _study_card(study),
        }
        _write_json(fresh / META, meta | {"meta_hash": _meta_hash(meta)})
        terms = [field.name for field in fields(EpochTerms)]
        pd.DataFrame([asdict(h) for h in model.history], columns=terms).to_csv(fresh / "training.csv", index=False)
        if target.exists():
            target.rename(target.with_name(f".{target.name}.{os.getpid()}{OLD}"))
        fresh.rename(target)
        for old in _left_over(target):
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Path(folder)


def _left_over(target: Path) -> list[Path]:
    """Earlier models that were moved out of the way; one is the only copy where saving was killed at that moment."""
    return sorted(target.parent.glob(f".{escape(target.name)}.*{OLD}"))


def _place(folder: str | Path) -> Path:
    """Where the model is: the folder, or the earlier one that a killed save had moved out of the way."""
    path = Path(folder)
    left_over = [] if path.exists() else _left_over(path.resolve())
    return left_over[-1] if left_over else path


def _is_model(folder: Path) -> bool:
    """Whether the folder holds a model, be it damaged or of another format."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return (folder / TENSORS).is_file()
    return isinstance(meta, dict) and "model_hash" in meta and "format" in meta


def require_free(folder: str | Path) -> None:
    """Raise CrowdLLMError where a model cannot go because something else is there; before a fit, not after it.

    Makes the folders above; raises OSError where they cannot be made.
    """
    target = Path(folder).resolve()
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not _is_model(target))):
        raise CrowdLLMError(f"{folder} exists and holds something other than a model; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)


def load_model(folder: str | Path) -> CrowdModel:
    """Read a model back; raises CrowdLLMError for a folder that holds none, a newer format, or a damaged one."""
    import torch
    from safetensors.numpy import load_file

    from crowdllm.belief.personal import PersonalModel

    path = _place(folder)
    meta = read_meta(path)
    settings = json.loads((path / MODEL).read_text(encoding="utf-8"))
    arrays = load_file(path / TENSORS)
    config = CrowdConfig(**settings["config"])
    columns = tuple(ProfileColumn(name=c.pop("name"), **_tuples(c)) for c in settings["columns"])
    response_type = response_type_from_dict(settings["response_type"])
    items = _load_items(settings["items"], arrays)
    personal = PersonalModel(
        len(items),
        len(arrays["population.center"]),
        len(arrays["profile_mean"]),
        response_type.has_options,
        config,
    )
    prefix = "personal."
    state = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
    personal.load_state_dict(state)
    embedding = {k.removeprefix("embedder."): v for k, v in arrays.items() if k.startswith("embedder.")}
    return CrowdModel(
        response_type=response_type,
        config=config,
        seed=meta["seed"],
        embedder=load_embedder(settings["embedder"], embedding),
        encoder=ProfileEncoder(columns, tuple(settings["center"]), tuple(settings["scale"])),
        profile_mean_V=arrays["profile_mean"],
        population=PopulationModel(
            center_F=arrays["population.center"],
            weights_FW=arrays["population.weights"],
            intercept_W=arrays["population.intercept"],
            extras=arrays["population.extras"],
            effects_IW=arrays["population.effects"],
            keys=items.keys,
            tuned=settings["tuned"],
        ),
        personal=personal,
        covariance_ZZ=arrays["covariance"],
        generator=ProfileGenerator.from_dict(settings["generator"]),
        items=items,
        reference_sources=tuple(settings["reference_sources"]),
        history=(),
    )


def read_meta(folder: str | Path) -> dict[str, Any]:
    """meta.json of a model folder, after checking that the files are whole."""
    path = _place(folder)
    damaged = f"{path} is damaged: its files do not match the hashes in {META}; fit the model again"
    if not _is_model(path):
        raise CrowdLLMError(f"{path} holds no fitted model; make one with: crowdllm fit STUDY --out {path}")
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CrowdLLMError(damaged) from None
    if meta["format"] != FORMAT:
        raise CrowdLLMError(f"{path} is a model of format {meta['format']}; this version reads format {FORMAT}")
    try:
        whole = _hash(path) == meta["model_hash"] and _meta_hash(meta) == meta.get("meta_hash")
    except OSError:
        raise CrowdLLMError(damaged) from None
    if not whole:
        raise CrowdLLMError(damaged)
    checked: dict[str, Any] = meta
    return checked


def check_fits(model: CrowdModel, study: Study) -> None:
    """Raise MismatchError, saying which, when the study's profile columns or scale differ from the model's."""
    scale, own = study.response_type.to_dict(), model.response_type.to_dict()
    for unit in ("center", "scale"):
        scale.pop(unit, None), own.pop(unit, None)
    if scale != own:
        differ = [k for k in sorted({*scale, *own}) if scale.get(k) != own.get(k)]
        detail = "; ".join(f"{k}: model {own.get(k)}, study {scale.get(k)}" for k in differ)
        raise MismatchError(f"the study's scale differs from the model's ({detail})")
    require_same_columns(model.encoder.columns, study.profiles.columns)


def _tensors(model: CrowdModel) -> dict[str, NDArray[Any]]:
    population = model.population
    _, embedding = model.embedder.state()
    arrays: dict[str, NDArray[Any]] = {
        "population.center": population.center_F,
        "population.weights": population.weights_FW,
        "population.intercept": population.intercept_W,
        "population.extras": population.extras,
        "population.effects": population.effects_IW,
        "profile_mean": model.profile_mean_V,
        "covariance": model.covariance_ZZ,
        "items.item": model.items.item_TU,
        "items.x": model.items.x_IX,
        "items.reference": model.items.reference_IF,
        "items.decision": model.items.decision_TY,
        "items.length": model.items.length_I,
    }
    arrays |= {f"embedder.{k}": v for k, v in embedding.items()}
    arrays |= {f"personal.{k}": v.detach().numpy() for k, v in model.personal.state_dict().items()}
    return {k: np.ascontiguousarray(v) for k, v in arrays.items()}


def _settings(model: CrowdModel) -> dict[str, Any]:
    embedder, _ = model.embedder.state()
    problems = model.items.problems
    return {
        "config": model.config.model_dump(),
        "response_type": model.response_type.to_dict(),
        "columns": [{"name": c.name, **c.to_dict()} for c in model.encoder.columns],
        "center": list(model.encoder.center_C),
        "scale": list(model.encoder.scale_C),
        "embedder": embedder,
        "tuned": model.population.tuned,
        "generator": model.generator.to_dict(),
        "reference_sources": list(model.reference_sources),
        "items": {
            "ids": [str(i) for i in problems.ids],
            "texts": [str(t) for t in problems.texts],
            "options": [list(o) for o in problems.options],
            "reference_names": list(model.items.reference_names),
            "keys": list(model.items.keys),
        },
    }


def _load_items(settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Items:
    problems = Problems(
        np.array(settings["ids"], dtype=object),
        np.array(settings["texts"], dtype=object),
        tuple(tuple(o) for o in settings["options"]),
    )
    return Items(
        problems=problems,
        item_TU=arrays["items.item"],
        x_IX=arrays["items.x"],
        reference_IF=arrays["items.reference"],
        reference_names=tuple(settings["reference_names"]),
        decision_TY=arrays["items.decision"],
        length_I=arrays["items.length"],
        keys=tuple(settings["keys"]),
    )


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def _study_card(study: Study) -> dict[str, Any]:
    return {
        "title": study.title,
        "people": len(study.profiles),
        "problems": len(study.problems),
        "responses": len(study.responses),
        "simulated": study.simulated,
        "source": list(study.source),
    }


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (TENSORS, MODEL):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _meta_hash(meta: dict[str, Any]) -> str:
    """Of everything in meta.json but the hash itself, however it is laid out."""
    sealed = {key: value for key, value in meta.items() if key != "meta_hash"}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
