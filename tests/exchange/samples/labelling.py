"""Sample files of labelling platforms, panels, votes and data sets: Label Studio, MTurk, Prolific, crowd-kit, Pabulib,
and Hugging Face folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="mood" toName="text" choice="single"><Choice value="Good"/><Choice value="Bad"/></Choices>
<Choices name="topics" toName="text" choice="multiple"><Choice value="Food"/><Choice value="Staff"/></Choices>
<Rating name="stars" toName="text" maxRating="4"/><Number name="price" toName="text" min="0" max="100"/>
<TextArea name="why" toName="text"/></View>"""
PIDS = [f"5f3c0a9b8d7e6f5a4b3c2d{n:02x}" for n in range(8)]
HITS = [f"3OHYZ19UGC6U9E7T2A0PQZ5WY1KA{n:02d}" for n in range(4)]
WORKERS = [f"A1B2C3D4E5F6G{n}" for n in range(3)]
PROJECTS = "PROJECTS\nproject_id;cost;name;category\n10;500;Trees;Nature\n20;700;Bikes;Culture\n30;900;Bench;Nature\n"


def write_labelstudio(folder: Path) -> list[list[Path]]:
    """An export with its config, one without, one in the short form, and a CSV."""

    def answer(name: str, kind: str, value: Any) -> dict[str, Any]:
        key = {"textarea": "text"}.get(kind, kind)
        return {"from_name": name, "to_name": "text", "type": kind, "value": {key: value}}

    tasks, short = [], []
    for t in range(4):
        annotations = []
        for who in range(3):
            mood, stars = ("Good", "Bad")[(t + who) % 2], 1 + (t * who) % 4
            result = [answer("mood", "choices", [mood]), answer("stars", "rating", stars)]
            result += [answer("topics", "choices", ["Food", "Staff"][: who or 1]), answer("price", "number", 9.5 * who)]
            result += [answer("why", "textarea", [f"since {t}, write to me@example.org"])]
            annotations.append(
                {"id": 10 * t + who, "completed_by": {"id": who, "email": f"w{who}@x.org"}, "result": result}
            )
            short.append(
                {"text": f"Text {t}", "id": t, "mood": mood, "stars": stars, "annotator": who, "annotation_id": who}
            )
        tasks.append(
            {"id": t, "data": {"text": f"Text {t}", "source": "web"}, "annotations": annotations, "predictions": []}
        )
        tasks[-1]["annotations"][0]["was_cancelled"] = t == 0
    (folder / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    (folder / "config.xml").write_text(CONFIG, encoding="utf-8")
    (folder / "short.json").write_text(json.dumps([entry | {"lead_time": 3.5} for entry in short]), encoding="utf-8")
    pd.DataFrame(short).assign(lead_time=3.5).to_csv(folder / "rows.csv", index=False)
    files = ("export.json", "config.xml"), ("export.json",), ("short.json",), ("rows.csv",)
    return [[folder / name for name in names] for names in files]


def write_mturk(folder: Path) -> list[list[Path]]:
    """A batch with plain answers and ticks, and one with packed answers."""
    rows = [(hit, worker) for hit in range(4) for worker in range(3)]
    fixed = {
        "HITId": [HITS[h] for h, _ in rows],
        "AssignmentId": [f"3ASSIGN{n:023d}" for n in range(len(rows))],
        "WorkerId": [WORKERS[w] for _, w in rows],
        "AssignmentStatus": ["Approved"] * 11 + ["Rejected"],
        "Input.text": [f"Review {h}, with a comma" for h, _ in rows],
        "Input.source": ["web"] * len(rows),
    }
    plain = {"Answer.rating": [str(1 + (h + w) % 5) for h, w in rows], "Answer.age": [str(30 + 7 * w) for _, w in rows]}
    ticks = {
        f"Answer.mood.{m}": [str((h + w) % 2 == k).lower() for h, w in rows] for k, m in enumerate(("Good", "Bad"))
    }
    packed = [
        json.dumps([{"mood": {"label": "up" if (h + w) % 2 else "down"}, "sure": {"yes": bool(w)}}]) for h, w in rows
    ]
    pd.DataFrame(fixed | plain | ticks).to_csv(folder / "Batch_1.csv", index=False)
    pd.DataFrame(fixed | {"Answer.taskAnswers": packed}).to_csv(folder / "Batch_2.csv", index=False)
    return [[folder / "Batch_1.csv"], [folder / "Batch_2.csv"]]


def write_prolific(folder: Path) -> list[list[Path]]:
    """The demographic export with a wide, a long, and a Qualtrics file of responses."""
    people = {
        "Submission id": [f"6a{pid[2:]}" for pid in PIDS],
        "Participant id": PIDS,
        "Status": ["APPROVED"] * 7 + ["RETURNED"],
        "Completion code": ["C1ABCDEF"] * 8,
        "Age": [str(20 + 5 * n) for n in range(8)],
        "Sex": ["Female", "Male"] * 3 + ["CONSENT_REVOKED", "Male"],
    }
    pd.DataFrame(people).to_csv(folder / "prolific_export.csv", index=False)
    wide = {"PROLIFIC_PID": PIDS[:7]} | {f"q{k}": [1 + (n * k) % 5 for n in range(7)] for k in (1, 2, 3)}
    pd.DataFrame(wide).to_csv(folder / "wide.csv", index=False)
    rows = [(pid, f"i{k}", 1 + (n + k) % 4) for n, pid in enumerate(PIDS[:7]) for k in range(3)]
    pd.DataFrame(rows, columns=["participant_id", "item", "rating"]).to_csv(folder / "long.csv", index=False)
    head = ["StartDate", "PROLIFIC_PID", "Q1"]
    body = [
        ["Start Date", "PROLIFIC_PID", "How do you like rain?"],
        [json.dumps({"ImportId": name}) for name in ("startDate", "PROLIFIC_PID", "QID1")],
    ]
    body += [["2026-01-01 10:00:00", pid, ("Agree", "Disagree")[n % 2]] for n, pid in enumerate(PIDS[:7])]
    pd.DataFrame(body, columns=head).to_csv(folder / "qualtrics.csv", index=False)
    return [[folder / "prolific_export.csv", folder / name] for name in ("wide.csv", "long.csv", "qualtrics.csv")]


def write_crowdkit(folder: Path) -> list[list[Path]]:
    """Labels, labels with ground truth and texts, and comparisons."""
    rows = [(f"t{t}", f"w{w}", ("cat", "dog", "bird")[(t + w) % 3]) for t in range(6) for w in range(4)]
    pd.DataFrame(rows, columns=["task", "worker", "label"]).to_csv(folder / "labels.csv", index=False)
    pd.DataFrame(rows, columns=["task", "worker", "label"]).to_csv(folder / "labels.tsv", index=False, sep="\t")
    truth = {"task": [f"t{t}" for t in range(6)], "true_label": ["cat"] * 6}
    pd.DataFrame(truth).to_csv(folder / "truth.csv", index=False)
    pairs = [(f"w{w}", "a", f"b{t}", "a" if (t + w) % 2 else f"b{t}") for t in range(4) for w in range(4)]
    pd.DataFrame(pairs, columns=["worker", "left", "right", "label"]).to_csv(folder / "pairs.csv", index=False)
    return [[folder / "labels.csv", folder / "truth.csv"], [folder / "labels.tsv"], [folder / "pairs.csv"]]


def write_pabulib(folder: Path) -> list[list[Path]]:
    """A vote of every type."""
    votes = {
        "approval": ["10,20", "30", "", "20,30"],
        "choose-1": ["10", "30", "20", "10"],
        "ordinal": ["30,10", "10,20", "20,30", "30,20"],
        "cumulative": ["10,20", "30", "20,30", "10,30"],
        "scoring": ["10,20,30", "30", "20,30", "10,30"],
    }
    points = {"cumulative": ["3,2", "5", "1,4", "2,3"], "scoring": ["1,-1,0", "1", "0,1", "-1,1"]}
    groups = []
    for kind, cells in votes.items():
        given = points.get(kind, [""] * 4)
        rows = [
            f"{n + 1};{34 + n};{'FM'[n % 2]};{vote};{points}"
            for n, (vote, points) in enumerate(zip(cells, given, strict=True))
        ]
        limits = "max_sum_points;5\nmin_points;-1\nmax_points;1\nbudget;900\n"
        meta = f"META\nkey;value\ndescription;A vote\nvote_type;{kind}\n{limits}"
        path = folder / f"{kind}.pb"
        path.write_text(
            f"{meta}{PROJECTS}VOTES\nvoter_id;age;sex;vote;points\n" + "\n".join(rows) + "\n", encoding="utf-8"
        )
        groups.append([path])
    return groups


def write_huggingface(folder: Path) -> list[list[Path]]:
    """A data set of another, one with splits, and a study that crowdllm wrote."""
    import numpy as np

    import datasets
    from crowdllm.data.problems import Problems
    from crowdllm.data.profiles import ProfileColumn, Profiles
    from crowdllm.data.responses import Responses
    from crowdllm.data.study import Study
    from crowdllm.integrations.hf_dataset import study_to_dataset
    from crowdllm.responses.ordinal import Ordinal

    rows: dict[str, list[Any]] = {"item": [f"i{n // 3}" for n in range(12)], "user": [f"u{n % 3}" for n in range(12)]}
    ratings = datasets.Dataset.from_dict(rows | {"rating": [n % 5 + 1 for n in range(12)], "tags": [["a"], []] * 6})
    ratings.save_to_disk(folder / "ratings")
    datasets.DatasetDict(train=ratings.select(range(9)), test=ratings.select(range(9, 12))).save_to_disk(
        folder / "splits"
    )
    people = Profiles(
        (ProfileColumn("age", "numeric"),), np.array(["a", "b", "c"], dtype=object), np.array([[1.0], [2], [3]])
    )
    problems = Problems(np.array(["q1", "q2"], dtype=object), np.array(["One?", "Two?"], dtype=object))
    responses = Responses(np.array([0, 1, 2]), np.array([0, 1, 0]), np.array([[0.0], [1], [2]]))
    study_to_dataset(Study("t", Ordinal(("1", "2", "3")), problems, people, responses)).save_to_disk(folder / "study")
    return [[folder / "ratings"], [folder / "splits"], [folder / "study"]]
