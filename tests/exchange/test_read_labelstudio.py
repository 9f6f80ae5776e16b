"""Label Studio exports become studies, whether its own converter wrote them or they come as full JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.exporting import export
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.ranking import Ranking

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="sentiment" toName="text" choice="single">
<Choice value="Good"/><Choice value="Bad"/><Choice value="So"/></Choices>
<Choices name="topics" toName="text" choice="multiple"><Choice value="Food"/><Choice value="Service"/></Choices>
<Rating name="stars" toName="text" maxRating="4"/><Number name="price" toName="text" min="0" max="100"/>
<TextArea name="why" toName="text"/><Labels name="ner" toName="text"><Label value="PER"/></Labels></View>"""


def annotation(identity: int, who: int, **answers: Any) -> dict[str, Any]:
    values = {
        "sentiment": ("choices", "choices"),
        "topics": ("choices", "choices"),
        "stars": ("rating", "rating"),
        "price": ("number", "number"),
        "why": ("textarea", "text"),
    }
    result = [
        {"id": name, "from_name": name, "to_name": "text", "type": values[name][0], "value": {values[name][1]: value}}
        for name, value in answers.items()
    ]
    span = {"start": 0, "end": 3, "labels": ["PER"], "text": "The"}
    result.append({"id": "r", "from_name": "ner", "to_name": "text", "type": "labels", "value": span})
    person = {"id": who, "email": f"person{who}@example.org"}
    return {"id": identity, "completed_by": person, "result": result, "was_cancelled": False, "lead_time": 3.5} | {
        "created_at": f"2026-01-01T00:00:0{identity}Z"
    }


TASKS = [
    {
        "id": 11,
        "data": {"text": "The soup was good", "source": "web"},
        "annotations": [
            annotation(1, 7, sentiment=["Good"], topics=["Food"], stars=4, price=12.5, why=["nice, write to a@b.org"]),
            annotation(2, 8, sentiment=["So"], topics=["Food", "Service"], stars=3, price=10, why=["ok"]),
        ],
        "predictions": [{"result": []}],
    },
    {
        "id": 12,
        "data": {"text": "Slow waiter", "source": "mail"},
        "annotations": [
            annotation(3, 7, sentiment=["Bad"], topics=["Service"], stars=1, price=8, why=["slow"]),
            annotation(4, 8, sentiment=["Bad"]) | {"was_cancelled": True},
        ],
    },
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "export.json").write_text(json.dumps(TASKS))
    (tmp_path / "config.xml").write_text(CONFIG)
    return tmp_path / "export.json", tmp_path / "config.xml"


def part(imported: Imported, name: str) -> Study:
    return next(p.study for p in imported.parts if p.name == name)


def test_every_control_of_the_config_becomes_a_study_of_its_kind(files: tuple[Path, Path]) -> None:
    imported = import_study(files)
    assert imported.format == "labelstudio"
    assert not imported.guessed
    choice, ballot, stars, price = (part(imported, n) for n in ("sentiment", "topics", "stars", "price"))
    assert isinstance(choice.response_type, Choice)
    assert choice.problems.options[0] == ("Good", "Bad", "So")
    assert choice.responses.values_RD[:, 0].tolist() == [0, 2, 1]
    assert isinstance(ballot.response_type, Ballot)
    assert ballot.responses.values_RD.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert isinstance(stars.response_type, Ordinal)
    assert stars.response_type.levels == ("1", "2", "3", "4")
    assert isinstance(price.response_type, Continuous)
    assert (price.response_type.low, price.response_type.high) == (0, 100)
    assert choice.problems.texts.tolist() == ["The soup was good", "Slow waiter"]
    assert choice.problems.attributes["source"].tolist() == ["web", "mail"]
    assert [row.text for row in imported.free_text] == ["nice, write to [e-mail addresses left out]", "ok", "slow"]
    counts = {(note.kind, note.about): note.count for note in imported.notes}
    assert counts["answers left out", "annotations"] == 1
    assert counts["not carried over", "predictions"] == 1
    assert counts["not carried over", "ner"] == 3


def converted(folder: Path, export: Path, form: str = "json") -> Path:
    """What label-studio's own converter writes as JSON-MIN, or as CSV."""
    sdk = pytest.importorskip("label_studio_sdk.converter")
    converter, out = sdk.Converter(CONFIG, str(folder)), str(folder / "min")
    if form == "csv":
        converter.convert_to_csv(str(export), out, is_dir=False, sep=",")
    else:
        converter.convert_to_json_min(str(export), out, is_dir=False)
    return folder / "min" / f"result.{form}"


def answers(study: Study) -> dict[tuple[str, str], list[float]]:
    """Each task's answers, sorted: the two exports name annotators differently."""
    out: dict[tuple[str, str], list[float]] = {}
    for t, value in zip(study.responses.problem_R, study.responses.values_RD, strict=True):
        out.setdefault((study.problems.ids[t], study.problems.texts[t]), []).append(value.tolist())
    return {key: sorted(values) for key, values in out.items()}


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_the_converter_writes_is_read_as_the_full_export_is(
    files: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    full = import_study(files)
    short = import_study([converted(tmp_path, files[0], form), files[1]])
    assert short.format == "labelstudio"
    assert [p.name for p in short.parts] == [p.name for p in full.parts]
    for one, other in zip(full.parts, short.parts, strict=True):
        assert one.study.response_type == other.study.response_type
        assert answers(one.study) == answers(other.study)
        assert not any("@" in str(i) for i in other.study.profiles.ids)


def test_a_csv_without_a_config_finds_the_answers_by_what_differs(files: tuple[Path, Path], tmp_path: Path) -> None:
    imported = import_study([converted(tmp_path, files[0], "csv")])
    assert imported.guessed
    assert part(imported, "sentiment").problems.texts.tolist() == ["The soup was good", "Slow waiter"]
    assert part(imported, "sentiment").problems.attributes["source"].tolist() == ["web", "mail"]
    assert len(part(imported, "topics").responses) == 3


def test_a_csv_in_which_no_answer_can_be_told_asks_for_the_config(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("annotation_id,annotator,id,lead_time,mood,text\n1,7,1,2.5,Good,A\n2,7,2,2.5,Bad,B\n")
    with pytest.raises(CrowdLLMError, match="label config"):
        import_study(path)


def test_without_a_config_options_are_those_used_and_the_reading_is_a_guess(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    imported = import_study(files[0])
    assert imported.guessed
    assert part(imported, "stars").response_type == Ordinal(("1", "2", "3", "4", "5"))
    short = import_study(converted(tmp_path, files[0]))
    assert answers(part(imported, "price")) == answers(part(short, "price"))
    assert any(note.about == "ner" for note in short.notes)


def test_annotations_without_an_annotator_are_said_to_be_guessed(tmp_path: Path) -> None:
    result = [{"from_name": "s", "type": "choices", "value": {"choices": ["a"]}}]
    tasks = [{"data": {"text": "x"}, "annotations": [{"result": result}, {"result": result}]}]
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    imported = import_study(
        tmp_path / "e.json", "labelstudio", {"columns": {"s": {"use": "problem", "type": "choice"}}}
    )
    assert len(imported.study.profiles) == 2
    assert any(note.kind == "guessed" and note.count == 2 for note in imported.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is no list of tasks"),
        ("[1]", "is no list of tasks"),
        ('[{"data": {"text": "x"}, "annotations": []}]', "holds no annotation"),
        ("[", "is no valid JSON"),
        ('[{"data": {}, "annotations": [{"completed_by": 1, "result": []}]}]', "no control is answered"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(CrowdLLMError, match=message):
        import_study(tmp_path / "e.json", "labelstudio")


def test_an_export_is_recognised(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert find_reader([files[0]]).name == "labelstudio"
    assert find_reader(files).name == "labelstudio"
    assert find_reader([converted(tmp_path, files[0])]).name == "labelstudio"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_exports_are_read_right_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(TASKS).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.sampled_from([b"", b"0", b'"', b"{}", b"null", b"1e9"])
        )
    (tmp_path / "e.json").write_bytes(bytes(raw))
    try:
        imported = import_study(tmp_path / "e.json", "labelstudio")
    except CrowdLLMError:
        return
    for piece in imported.parts:
        counts = piece.study.problems.option_counts[piece.study.responses.problem_R]
        assert piece.study.response_type.legal(piece.study.responses.values_RD, counts).all()
        assert np.isfinite(piece.study.responses.values_RD).all()


@pytest.mark.parametrize("kind", ["rating", "levels", "continuous", "choice", "own", "ballot", "ranking"])
def test_what_crowdllm_writes_as_annotations_comes_back(kind: str, tmp_path: Path) -> None:
    """People's answers, exported and imported with the config that stands beside."""
    scales: dict[str, tuple[Any, list[list[float]]]] = {
        "rating": (Ordinal(("1", "2", "3")), [[0], [2], [1], [1]]),
        "levels": (Ordinal(("never", "often", "always")), [[0], [2], [1], [1]]),
        "continuous": (Continuous(0, 10), [[0.5], [10], [3], [1 / 3]]),
        "choice": (Choice(3), [[0], [2], [1], [1]]),
        "own": (Choice(3), [[0], [2], [1], [1]]),
        "ballot": (Ballot(1, 2, 3), [[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]]),
        "ranking": (Ranking(0, 3), [[1, 2, 3], [3, 1, 2], [2, 3, 1], [1, 3, 2]]),
    }
    scale, values = scales[kind]
    options = [("x", "y", "z"), ("z", "v", "w") if kind == "own" else ("x", "y", "z")]
    problems = Problems(
        np.array(["q1", "q2"], dtype=object),
        np.array(["One?", "Two?"], dtype=object),
        tuple(options) if scale.has_options else (),
    )
    people = Profiles((), np.array(["p1", "p2"], dtype=object), np.zeros((2, 0)))
    study = Study(
        "t", scale, problems, people, Responses(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array(values))
    )
    export(study, "labelstudio", tmp_path / "out.json", table="responses")
    levels = {"columns": {"answer": {"levels": ["never", "often", "always"]}}} if kind == "levels" else None
    back = import_study([tmp_path / "out.json", tmp_path / "out.config.xml"], mapping=levels).study
    assert back.problems.ids.tolist() == ["q1", "q2"]
    assert back.problems.options == study.problems.options

    def cells(of: Study) -> list[tuple[str, str]]:
        rows = zip(of.responses.problem_R, of.responses.values_RD, strict=True)
        return sorted((of.problems.ids[t], of.response_type.write_cell(v, of.problems.options[t])) for t, v in rows)

    assert cells(back) == cells(study)
