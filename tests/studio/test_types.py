"""Every response type through the pages: a problem is written, given a reference, answered, met and exported."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crowdllm

TYPED = {
    "bounded": {"decision": "2 4 5 6 7 9"},
    "choice": {"share": ["20", "50", "30"]},
    "approval": {"share": ["20", "50", "30"]},
    "points": {"share": ["20", "50", "30"]},
    "ranking": {"share": ["20", "50", "30"]},
}
SAYS = {
    "bounded": "half of the people are between",
    "choice": "% of people",
    "approval": "% of people pick it",
    "points": "points on average",
    "ranking": "rank points on average",
}
QUICK = ("choice",)


@pytest.mark.parametrize("kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in TYPED])
def test_a_problem_of_this_type_is_answered(
    bare_server: Any, make_known: Callable, quick_settings: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    known = make_known(kind, people=30, problems=5)
    model = crowdllm.fit(known.study, known.references, **quick_settings)
    bare_server.work.open(str(crowdllm.save_model(model, tmp_path / "model", known.study)))
    crowd = bare_server.work.crowds()[0].id
    options = "amber\nbirch\ncobalt" if model.response_type.has_options else ""
    with bare_server.client() as client:
        made = client.post("/problems", data={"crowd": crowd, "text": "Which one?", "options": options})
        place = made.headers["location"].partition("?")[0]
        assert client.post(f"{place}/reference", data=TYPED[kind]).status_code == 303
        shown = client.get(place, params={"people": 500})
        assert shown.status_code == 200
        assert SAYS[kind] in shown.text
        assert "Sampling interval only" in shown.text
        assert client.get("/compare").status_code == 200
        assert client.get("/people").status_code == 200
        assert client.get("/").status_code == 200
        archive = zipfile.ZipFile(io.BytesIO(client.get("/export/study.zip?people=40").content))
    archive.extractall(tmp_path / "export")
    study = crowdllm.load_study(tmp_path / "export" / "study")
    assert study.describe() == "N=40 T=1 R=40"
    assert study.response_type.kind == model.response_type.kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ordinal", "choice", "points", "bounded"])
def test_how_far_a_crowd_is_from_people_is_measured_for_this_type(
    make_known: Callable, fast_config: Callable, kind: str
) -> None:
    """With the truth as reference, the errors are there and well within what the scale allows."""
    from crowdllm.studio.calibration import measure_reach

    known = make_known(kind, people=60, problems=24)
    reach = measure_reach(known.study, known.references, fast_config(), folds=2)
    assert reach.problems == 24
    assert reach.level() == 0.95
    assert (reach.mean is None) == (kind in ("choice", "points"))
    most = {"ordinal": 4.0, "bounded": 10.0}.get(kind, 0.0)
    if reach.mean is not None:
        assert 0 < reach.mean.half_width(0.95) < most / 2
    assert all(0 < part.half_width(0.8) < 2 for part in reach.parts)
