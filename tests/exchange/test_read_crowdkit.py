"""crowd-kit's frames become studies whose majority is the one that crowd-kit itself finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.read_crowdkit import study_from_crowdkit
from crowdllm.experiments.decisions import aggregate_study
from crowdllm.responses.choice import Choice

LABELS = ("cat", "dog", "bird")


def frame() -> pd.DataFrame:
    """40 tasks, 15 workers who are right in two cases of three."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 40)
    rows = [
        (f"task {t}", f"worker {w}", LABELS[truth[t] if rng.random() < 0.67 else rng.integers(0, 3)])
        for t in range(40)
        for w in rng.choice(15, 7, replace=False)
    ]
    return pd.DataFrame(rows, columns=["task", "worker", "label"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".tsv"])
def test_a_frame_is_read_from_any_file(tmp_path: Path, suffix: str) -> None:
    labels = frame()
    path = tmp_path / f"labels{suffix}"
    labels.to_parquet(path) if suffix == ".parquet" else labels.to_csv(path, sep="\t" if suffix == ".tsv" else ",")
    study = import_study(path, "crowdkit").study
    cells = [
        (study.problems.ids[t], study.profiles.ids[i], study.problems.options[t][int(v)])
        for t, i, v in zip(
            study.responses.problem_R, study.responses.participant_R, study.responses.values_RD[:, 0], strict=True
        )
    ]
    assert cells == list(labels.itertuples(index=False, name=None))


def test_the_majority_is_that_of_crowd_kit() -> None:
    aggregation = pytest.importorskip("crowdkit.aggregation")
    labels = frame()
    expected = aggregation.MajorityVote().fit_predict(labels)
    study = study_from_crowdkit(labels).study
    assert isinstance(study.response_type, Choice)
    found = aggregate_study(study, "majority_vote").decision_TD[:, 0]
    counts = labels.groupby("task")["label"].value_counts().unstack(fill_value=0)
    clear = [t for t in counts.index if (counts.loc[t] == counts.loc[t].max()).sum() == 1]  # ties are anybody's choice
    own = {i: study.problems.options[t][int(found[t])] for t, i in enumerate(study.problems.ids)}
    assert len(clear) > 30
    assert [own[t] for t in clear] == [expected[t] for t in clear]


def test_comparisons_are_choices_between_two(tmp_path: Path) -> None:
    rows = [("w1", "a", "b", "a"), ("w2", "b", "a", "b"), ("w1", "a", "c", "c"), ("w2", "c", "a", "neither")]
    pd.DataFrame(rows, columns=["worker", "left", "right", "label"]).to_csv(tmp_path / "pairs.csv", index=False)
    imported = import_study(tmp_path / "pairs.csv")
    study = imported.study
    assert imported.format == "crowdkit"
    assert dict(zip(study.problems.ids, study.problems.options, strict=True)) == {
        "a | b": ("a", "b"),
        "a | c": ("a", "c"),
    }
    assert study.responses.values_RD[:, 0].tolist() == [0, 1, 1]
    assert sum(note.count for note in imported.notes if note.kind == "answers left out") == 1


def test_truth_and_texts_come_in_tables_of_their_own(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "labels.csv", index=False)
    tasks = [f"task {t}" for t in range(40)]
    pd.DataFrame({"task": tasks, "true_label": ["cat"] * 40}).to_csv(tmp_path / "gt.csv", index=False)
    pd.DataFrame({"task": tasks, "text": [f"picture {t}" for t in range(40)]}).to_csv(
        tmp_path / "tasks.csv", index=False
    )
    files = [tmp_path / n for n in ("labels.csv", "gt.csv", "tasks.csv")]
    assert find_reader(files).name == "crowdkit"
    study = import_study(files).study
    assert study.problems.attributes["gold"].tolist() == ["cat"] * 40
    assert study.problems.texts[0].startswith("picture ")


def test_texts_beside_the_labels_are_those_of_the_tasks(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("task,worker,text,label\nt1,a,How warm?,x\nt1,b,How warm?,y\nt2,a,How cold?,x\nt2,b,,y\n")
    imported = import_study(path)
    assert imported.format == "crowdkit"
    assert list(imported.study.problems.texts) == ["How warm?", "How cold?"]
    assert not [note for note in imported.notes if note.kind == "not carried over"]


def test_simulated_labels_are_not_taken_for_people(tmp_path: Path) -> None:
    frame().assign(simulated=True, model="m", seed=0).to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(CrowdLLMError, match="marked as simulated"):
        import_study(tmp_path / "l.csv", "crowdkit")


@pytest.mark.parametrize(
    ("text", "message"), [("task,worker\n1,2\n", "is needed; 0"), ("task,worker,label\n", "no rows")]
)
def test_what_is_no_frame_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(CrowdLLMError, match=message):
        import_study(tmp_path / "l.csv", "crowdkit")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_frames_are_read_right_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from([frame().head(20).to_csv(index=False), "worker,left,right,label\nw,a,b,a\nv,a,b,b\n"])
    )
    raw = bytearray(whole.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 10))] = data.draw(st.binary(max_size=6))
    (tmp_path / "l.csv").write_bytes(bytes(raw))
    try:
        study = import_study(tmp_path / "l.csv", "crowdkit").study
    except CrowdLLMError:
        return
    counts = study.problems.option_counts[study.responses.problem_R]
    assert study.response_type.legal(study.responses.values_RD, counts).all()
