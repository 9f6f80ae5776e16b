"""A small correct study as texts, and a way to write it to disk with some files replaced or left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = {
    "study.toml": (
        'title = "t"\nrequirements = "How much?"\n'
        '[response]\ntype = "ordinal"\nlevels = [1, 2, 3]\n'
        '[profile.age]\nkind = "numeric"\n[profile.party]\nkind = "categorical"\n'
    ),
    "problems.csv": "problem,text\nq1,First\nq2,Second\nq3,Third\n",
    "participants.csv": "participant,age,party\nann,31,red\nbob,44,blue\ncho,50,red\n",
    "responses.csv": "participant,problem,response\nann,q1,1\nann,q2,2\nbob,q1,3\nbob,q2,2\ncho,q1,1\n",
}

MakeStudy = Callable[..., Path]


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """make_study(responses="...", toml="...", participants=None) -> folder; bytes are written as they are."""

    def make(**replaced: str | bytes | None) -> Path:
        names = {"toml": "study.toml"} | {k: f"{k}.csv" for k in ("problems", "participants", "responses")}
        files: dict[str, str | bytes | None] = {**GOOD, **{names[k]: v for k, v in replaced.items()}}
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            if content is not None:
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return make
