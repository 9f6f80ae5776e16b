"""The process of one background fit: `python -m crowdllm.studio.fit_process FOLDER`. See `crowdllm.studio.fits`."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_SIGNS, SECONDS_BETWEEN_STATES = 1.0, 0.2
STOPPED_STATUS = 143


def main(folder: Path) -> int:
    """Fit what `job.json` says; the exit status."""
    from crowdllm.studio.fits import FAILED, FINISHED, JOB, RUNNING, STATE, write_json

    threading.Thread(target=_signs_of_life, args=(folder,), daemon=True).start()
    job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    last = 0.0

    def progress(stage: str, done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_STATES or done >= of:
            last = time.monotonic()
            write_json(folder / STATE, {"outcome": RUNNING, "stage": stage, "done": done, "of": of})

    progress("loading", 0, 1)
    from crowdllm.errors import CrowdLLMError

    try:
        _fit(job, folder, progress)
    except CrowdLLMError as error:
        write_json(folder / STATE, {"outcome": FAILED, "message": str(error)})
        return 2
    except Exception as error:
        write_json(folder / STATE, {"outcome": FAILED, "message": f"{type(error).__name__}: {error}"})
        raise
    write_json(folder / STATE, {"outcome": FINISHED, "stage": "done", "done": 1, "of": 1})
    return 0


def _fit(job: dict[str, Any], folder: Path, progress: Any) -> None:
    from crowdllm.belief.checkpoint import load_model, save_model
    from crowdllm.belief.crowd_model import fit_crowd
    from crowdllm.config import CrowdConfig, make_config
    from crowdllm.experiments.sources import open_references, open_study
    from crowdllm.report.training import draw_training
    from crowdllm.studio.fits import MODEL_FOLDER

    opened = open_study(job["study"])
    references = open_references(opened, job["references"])
    if job["model"]:
        place = Path(job["model"])
        config = load_model(place).config
    else:
        place = folder / MODEL_FOLDER
        config = make_config(CrowdConfig, {"embedding": job["embedding"], **(job["settings"] or {})})
        model = fit_crowd(opened.study, references, config, job["seed"], progress)
        progress("saving", 0, 1)
        save_model(model, place, opened.study)
        draw_training(model.history, place / "training.svg")
    if job["measure"]:
        _measure(opened.study, references, config, job["seed"], place, progress)


def _measure(study: Any, references: Any, config: Any, seed: int, place: Path, progress: Any) -> None:
    """Where there are too few problems to leave some out, the crowd stays without an interval for people."""
    from crowdllm.estimation.cross_fit import FOLDS
    from crowdllm.studio.calibration import measure_reach, save_reach

    if len(study.responses.answered) >= 2 * FOLDS:
        save_reach(measure_reach(study, references, config, seed, progress=progress), place)


def _signs_of_life(folder: Path) -> None:
    """Touch `alive` every second, and end the process where a file says so: nothing it has done so far is half done."""
    from crowdllm.studio.fits import ALIVE, STATE, STOP, STOPPED, write_json

    while folder.is_dir():
        (folder / ALIVE).touch()
        if (folder / STOP).exists():
            write_json(folder / STATE, {"outcome": STOPPED})
            os._exit(STOPPED_STATUS)
        time.sleep(SECONDS_BETWEEN_SIGNS)
    os._exit(STOPPED_STATUS)  # the folder is gone: nobody wants the model


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
