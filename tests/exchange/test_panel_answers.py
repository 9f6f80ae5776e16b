"""Files of LLM panels become reference sources: matched to the study's problems, read on its scale, nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.panel_answers import Columns, read_panel
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType


def study_of(kind: ResponseType, options: tuple[str, ...] = ()) -> Study:
    ids = np.array(["q1", "q2", "q3"], dtype=object)
    texts = np.array(["Do you like rain?", "Do you like  snow?", "Do you like sun?"], dtype=object)
    nobody = Profiles((), np.zeros(0, dtype=object), np.zeros((0, 0)))
    none = np.zeros(0, dtype=np.int64)
    return Study("weather", kind, Problems(ids, texts, (options,) * 3), nobody, Responses(none, none, np.zeros((0, 1))))


FIVE = study_of(Ordinal(("1", "2", "3", "4", "5")))


def write(path: Path, content: Any) -> Path:
    if isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def draws(panel: Any, source: int = 0) -> list[list[float]]:
    """The levels' positions per problem, in the order of the draws, without those that are not there."""
    values = panel.sources[source].values_TKD[:, :, 0]
    return [row[~np.isnan(row)].tolist() for row in values]


def test_edsl_csv_is_read_by_question_name(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "agent.agent_name": ["a", "b"],
            "model.model": ["gpt-4o", "gpt-4o"],
            "answer.q1": [5, 4],
            "answer.q3": ["2", ""],
            "question_text.q1_question_text": ["Do you like rain?"] * 2,
            "comment.q1_comment": ["I do", "so so"],
        }
    )
    panel = read_panel(write(tmp_path / "edsl.csv", frame), FIVE)
    assert panel.format == "EDSL results"
    assert panel.by == "question_name"
    assert panel.answers == 3
    assert draws(panel) == [[4, 3], [], [1]]


def test_edsl_scenarios_name_the_problem_where_one_question_is_asked_of_many(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "scenario.item": ["q2", "q3", "q2"],
            "scenario.topic": ["snow", "sun", "snow"],
            "model.model": ["m1", "m1", "m2"],
            "answer.rating": [1, 2, 3],
        }
    )
    panel = read_panel(write(tmp_path / "edsl.csv", frame), FIVE)
    assert panel.by == "scenario.item"
    assert [source.name for source in panel.sources] == ["m1", "m2"]
    assert draws(panel, 0) == [[], [0], [1]]
    assert draws(panel, 1) == [[], [2], []]


def test_edsl_json_is_read(tmp_path: Path) -> None:
    about = {"like": {"question_text": "Do you like snow?", "question_type": "linear_scale"}}
    results = [
        {"agent": {"name": "a"}, "scenario": {}, "model": {"model": "m"}, "iteration": 0, "answer": {"like": answer}}
        | {"question_to_attributes": about}
        for answer in (5, None, "not sure")
    ]
    panel = read_panel(write(tmp_path / "r.json", {"data": results, "edsl_class_name": "Results"}), FIVE)
    assert panel.by == "question_text"  # a text matches whatever its blanks and capitals
    assert draws(panel) == [[], [4], []]
    assert (panel.sources[0].asked, panel.sources[0].unparsable) == (2, 1)
    assert panel.sources[0].unread[0].text == "not sure"


def test_a_synthpanel_run_is_read_over_all_its_rounds(tmp_path: Path) -> None:
    def panelist(name: str, *pairs: tuple[str, Any]) -> dict[str, Any]:
        responses = [{"question": q, "response": a, "usage": {"input_tokens": 1}} for q, a in pairs]
        return {"persona": name, "model": "claude-haiku", "responses": responses}

    run = {
        "model": "claude-haiku",
        "rounds": [
            {
                "name": "one",
                "results": [panelist("S", ("Do you like rain?", "4")), panelist("M", ("Do you like rain?", "2"))],
            },
            {"name": "two", "results": [panelist("S", ("Do you like sun?", {"answer": 5}), ("Why?", "It is warm."))]},
        ],
        "total_cost": "$0.0048",
    }
    panel = read_panel(write(tmp_path / "run.json", run), FIVE)
    assert panel.format == "a SynthPanel run"
    assert draws(panel) == [[3, 1], [], [4]]
    assert (panel.unmatched, panel.strangers) == (1, ("Why?",))
    flat = run["rounds"][0] | {"questions": [{"text": "Do you like rain?"}]}
    assert draws(read_panel(write(tmp_path / "flat.json", flat), FIVE)) == [[3, 1], [], []]


def test_qstn_tables_are_read_by_item(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "questionnaire_name": ["p1", "p2", "p2"],
            "questionnaire_item_id": ["q1", "q1", "q2"],
            "question": ["..."] * 3,
            "llm_response": ['{"answer": "3"}', "Answer: 4", "I would say between 3 and 4"],
        }
    )
    panel = read_panel(write(tmp_path / "qstn.csv", frame), FIVE)
    assert panel.format == "QSTN results"
    assert draws(panel) == [[2, 3], [], []]
    assert panel.sources[0].unparsable == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".json"])
def test_plain_answers_are_read_whatever_the_file_is(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"item": ["q1", "q1", "q3"], "persona": ["x", "y", "x"], "answer": ["1", "2", "5"]})
    path = tmp_path / f"panel{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=suffix == ".jsonl")
    assert draws(read_panel(path, FIVE)) == [[0, 1], [], [4]]


def test_a_wide_table_has_a_column_per_problem(tmp_path: Path) -> None:
    frame = pd.DataFrame({"persona": ["x", "y"], "q1": [1, 2], "Do you like sun?": [5, None]})
    panel = read_panel(write(tmp_path / "wide.csv", frame), FIVE)
    assert draws(panel) == [[0, 1], [], [4]]


def test_recorded_references_are_read_as_such(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"problem": ["q1", "zz"], "k1": [1, 2], "k2": [3, 3], "p1": [20, 20]} | {f"p{m}": [20, 20] for m in range(2, 6)}
    )
    panel = read_panel(write(tmp_path / "rec.csv", frame), FIVE)
    assert panel.unmatched == 1
    assert panel.sources[0].distribution_TM is not None
    assert panel.sources[0].distribution_TM[0] == pytest.approx([0.2] * 5)


def test_options_are_read_by_their_words(tmp_path: Path) -> None:
    study = study_of(Choice(2), ("yes", "no"))
    frame = pd.DataFrame({"problem": ["q1", "q2", "q2"], "answer": ["no", "yes", "perhaps"]})
    panel = read_panel(write(tmp_path / "c.csv", frame), study)
    assert draws(panel) == [[1], [0], []]
    assert panel.sources[0].unparsable == 1


def test_columns_can_be_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["q1", "q2"], "b": ["q2", "q1"], "zahl": [1, 2], "wer": ["m", "n"]})
    panel = read_panel(write(tmp_path / "x.csv", frame), FIVE, Columns("b", "zahl", "wer"))
    assert draws(panel, 0) == [[], [0], []]
    assert draws(panel, 1) == [[1], [], []]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,answer\nnobody,1\n", "names a problem of the study by id or text"),
        ("a.csv", "problem,answer\nq1,seven\n", "none of its answers is a legal response"),
        ("a.csv", "x,y\n1,2\n", "name them with --problem and --answer"),
        ("a.csv", "problem,answer\n", "holds no answers"),
        ("a.csv", "", "is empty"),
        ("a.json", "{", "is no valid JSON"),
        ("a.json", '{"x": 1}', "is JSON of no kind that is known"),
        ("a.json", '[{"x": 1}]', "no key for the answer"),
        ("a.jsonl", '{"problem": "q1", "answer": 1}\n{', "line 2 is no valid JSON"),
        ("a.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_panel_is_refused_in_words(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(CrowdLLMError, match=message):
        read_panel(write(tmp_path / name, content), FIVE)


def test_a_missing_file_and_a_missing_column_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match=r"no\.csv: cannot be read"):
        read_panel(tmp_path / "no.csv", FIVE)
    path = write(tmp_path / "a.csv", "problem,answer\nq1,1\n")
    with pytest.raises(CrowdLLMError, match="unknown column 'nope'"):
        read_panel(path, FIVE, Columns(problem="nope"))


RUN = json.dumps({"rounds": [{"results": [{"model": "m", "responses": [{"question": "q1", "response": "3"}]}]}]})
EDSL = json.dumps({"data": [{"answer": {"q1": 2}, "scenario": {"x": "y"}, "model": {"model": "m"}}]})
TABLE = "problem,answer,model\nq1,3,a\nq2,4,b\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([("a.json", RUN), ("a.json", EDSL), ("a.csv", TABLE), ("a.jsonl", '{"item":"q1","answer":"2"}\n')]),
    st.data(),
)
def test_damaged_files_are_read_right_or_refused_in_words(
    tmp_path: Path, whole: tuple[str, str], data: st.DataObject
) -> None:
    raw = bytearray(whole[1].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
        if not raw:
            raw = bytearray(b"\n")
    path = tmp_path / whole[0]
    path.write_bytes(bytes(raw))
    try:
        panel = read_panel(path, FIVE)
    except CrowdLLMError:
        return
    for source in panel.sources:
        read = source.values_TKD[~np.isnan(source.values_TKD)]
        assert np.isin(read, range(5)).all()
