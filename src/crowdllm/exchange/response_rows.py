"""Responses as rows of a table: participant, problem, text, response, profile columns, weight, and the marks.

    ordinal      the level's text            ballot     the picked options, a|b, or a JSON list where one contains |
    continuous   the number                  ranking    the same, best first
    choice       the option's text           points     a=60|b=40, or a JSON object where an option contains | or =

Shapes: R responses, U distinct ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.cell_values import write_options
from crowdllm.data.study import Study
from crowdllm.data.tables import Cells, number_text
from crowdllm.exchange.export_protocol import RESPONSES, WriteOptions
from crowdllm.exchange.export_source import Source
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType

OWN = ("participant", "problem", "text", "response", "weight", "simulated", "model", "seed")


def table_frames(source: Source, options: WriteOptions) -> Iterator[pd.DataFrame]:
    """The table that is exported, piece by piece, each with the same columns; calls `options.progress` after each."""
    if options.table != RESPONSES:
        yield source.frames[options.table]()
        return
    done = 0
    for piece in source.pieces():
        frame = response_frame(piece, source, options.slim)
        yield frame
        done += len(frame)
        if options.progress:
            options.progress("exporting responses", done, source.responses)


def response_frame(piece: Study, source: Source, slim: bool = False) -> pd.DataFrame:
    """The rows of some responses. Ids and texts are categorical: each distinct one stands once in memory."""
    responses, problems = piece.responses, piece.problems
    columns: dict[str, object] = {
        "participant": _coded(responses.participant_R, piece.profiles.ids),
        "problem": _coded(responses.problem_R, problems.ids),
    }
    if not slim:
        columns["text"] = _coded(responses.problem_R, problems.texts)
    columns["response"] = response_words(piece)
    if not slim:
        columns |= _profile(piece)
    if piece.weights_N is not None:
        columns["weight"] = piece.weights_N[responses.participant_R]
    return pd.DataFrame(columns | source.marks.columns(len(responses)))


def _profile(piece: Study) -> dict[str, object]:
    """The profile columns of who answered; one that is called like another column gets `profile_` in front."""
    out: dict[str, object] = {}
    for c, column in enumerate(piece.profiles.columns):
        value_R = piece.profiles.values_NC[piece.responses.participant_R, c]
        name = profile_name(column.name, {*OWN, *out})
        if column.kind == "numeric":
            out[name] = value_R
        else:
            code_R = np.where(np.isnan(value_R), -1, value_R).astype(np.int64)
            out[name] = categorical(code_R, column.levels)
    return out


def profile_name(name: str, taken: set[str]) -> str:
    """The name of a profile column clear of those that are taken."""
    while name in taken:
        name = f"profile_{name}"
    return name


def _coded(code_R: NDArray[np.int64], ids: Cells) -> pd.Categorical[Any]:
    used, code = np.unique(code_R, return_inverse=True)
    at: dict[str, int] = {}
    place_U = np.array([at.setdefault(str(ids[u]), len(at)) for u in used.tolist()], dtype=np.int64)
    return categorical(place_U[code] if len(code) else code, list(at))


def categorical(code_R: NDArray[np.int64], words: Sequence[str]) -> pd.Categorical[Any]:
    """Texts of which each distinct one is held once; missing where the code is -1."""
    return pd.Categorical.from_codes(code_R, categories=pd.Index(list(words), dtype=object))


def response_words(piece: Study) -> object:
    """(R,) each response as a number (continuous) or a text, each distinct one written once."""
    kind, responses = piece.response_type, piece.responses
    if isinstance(kind, Continuous):
        return responses.values_RD[:, 0]
    set_R = np.zeros(len(responses), dtype=np.int64)
    if kind.has_options:
        position: dict[tuple[str, ...], int] = {}
        set_T = np.array([position.setdefault(o, len(position)) for o in piece.problems.options], dtype=np.int64)
        set_R = set_T[responses.problem_R]
    code_R = pd.factorize(set_R)[0].astype(np.int64)
    for d in range(responses.values_RD.shape[1]):
        digit_R, digit_U = pd.factorize(responses.values_RD[:, d])
        code_R = pd.factorize(code_R * max(len(digit_U), 1) + digit_R)[0].astype(np.int64)
    first_U = np.unique(code_R, return_index=True)[1]
    words = [
        answer_text(kind, responses.values_RD[row], piece.problems.options[responses.problem_R[row]])
        for row in first_U.tolist()
    ]
    at: dict[str, int] = {}
    place_U = np.array([at.setdefault(word, len(at)) for word in words], dtype=np.int64)
    return categorical(place_U[code_R] if len(code_R) else code_R, list(at))


def answer_text(kind: ResponseType, value_D: Array, options: Sequence[str]) -> str:
    """One response in words."""
    if kind.kind == "choice":
        return options[int(value_D[0])]
    if kind.kind == "ballot":
        return write_options(tuple(options[m] for m in np.flatnonzero(value_D).tolist()))
    if kind.kind == "ranking":
        ranked = np.flatnonzero(value_D)
        return write_options(tuple(options[m] for m in ranked[np.argsort(value_D[ranked])].tolist()))
    if kind.kind == "points":
        given = {options[m]: value_D[m] for m in np.flatnonzero(value_D).tolist()}
        if any("|" in word or "=" in word for word in given):
            return json.dumps({word: float(points) for word, points in given.items()}, ensure_ascii=False)
        return "|".join(f"{word}={number_text(float(points))}" for word, points in given.items())
    return kind.write_cell(value_D, options)
