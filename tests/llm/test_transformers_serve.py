"""A real server, `transformers serve` with tiny random models, answers as the model in this process does.

The server listens on loopback, and ends by itself after five minutes whatever becomes of the tests.
"""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling
from crowdllm.llm.transformers import TransformersBackend

HINT = "for this test: pip install 'crowdllm[local]' fastapi uvicorn openai"
for needed in ("transformers", "accelerate", "fastapi", "uvicorn", "openai"):
    pytest.importorskip(needed, reason=HINT)
pytestmark = pytest.mark.slow

tiny = runpy.run_path(str(Path(__file__).with_name("tiny_model.py")))
build: Callable[..., Path] = tiny["build"]
FAMILIES = tuple(tiny["FAMILIES"])
SERVE = """
import os, sys, threading
end = threading.Timer(300, os._exit, (9,))
end.daemon = True
end.start()
from transformers.cli.transformers import main
sys.argv = ["transformers", "serve", *sys.argv[1:]]
main()
"""
SCORES = Sampling(scores=True)
GREEDY = Sampling(temperature=0, max_tokens=12)
QUESTION = "Which answer does the text ask for?"


@dataclass(frozen=True)
class Served:
    """The server's address, and the folder of each family's model, by which the server knows it."""

    url: str
    folders: dict[str, Path]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import httpx2

    base = tmp_path_factory.mktemp("serve")
    folders = {family: build(base / family, family) for family in FAMILIES}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(base / "hub"), "OMP_NUM_THREADS": "1"}
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--reasoning", "off"]
    log = base / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", SERVE, *options], env=env, stdout=out, stderr=out)
        try:
            for _ in range(240):
                assert process.poll() is None, log.read_text()
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                        break
                except httpx2.TransportError:
                    time.sleep(0.5)
            else:
                pytest.fail(log.read_text())
            yield Served(f"http://127.0.0.1:{port}/v1", folders)
        finally:
            process.kill()
            process.wait()


def over_http(served: Served, family: str, scoring: str = "auto") -> OpenAIBackend:
    folder = str(served.folders[family])
    return OpenAIBackend(folder, served.url, concurrency=2, timeout=60, tries=2, key_variable="", scoring=scoring)


def by_problem(answers: Iterator[Answer]) -> dict[str, Answer]:
    found = {answer.prompt.problem_id: answer for answer in answers}
    assert not [answer.failure for answer in found.values() if answer.failure]
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_chat_completions_at_temperature_zero_are_the_same_texts(served: Served, family: str) -> None:
    system = "" if family == "gemma3" else "You are somebody else."  # the server has no place for it there
    asked = [Prompt("a", "Short?"), Prompt("b", "A longer question. " * 4), Prompt("c", "How are you?", system=system)]
    requests = [Request(prompt) for prompt in asked]
    here = by_problem(TransformersBackend(str(served.folders[family]), device="cpu").ask(requests, GREEDY))
    there = by_problem(over_http(served, family).ask(requests, GREEDY))
    assert there.keys() == here.keys() == {"a", "b", "c"}
    for name, answer in here.items():
        assert there[name].texts == answer.texts
        assert there[name].usage == answer.usage
    assert len({answer.texts for answer in here.values()}) == 3


def shown(state: str, lines: list[str], last: str) -> str:
    """What the server makes of a decision's state, question and options for the user's turn."""
    return "\n".join([f"{state}\n", *lines, last])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["choice", "score"])
def test_probabilities_of_decisions_are_the_same_shares(served: Served, family: str, kind: str) -> None:
    states = ["The river rose by two metres.", "I was charged twice, and want my money back. " * 3]
    meanings = ("calm", "angry", "sad") if kind == "choice" else ()
    asked = [Prompt(str(i), text, options=meanings, answers=("x", "y", "z")) for i, text in enumerate(states)]
    there = by_problem(over_http(served, family, "systemone").ask([Request(p) for p in asked], SCORES))
    if kind == "choice":
        options = ["A. x: calm", "B. y: angry", "C. z: sad"]
        last = "Answer with the letter of the option that fits best (A to C) only."
    else:
        options = ["A. x", "B. y", "C. z"]
        last = "Answer with the letter of the level that fits best (A to C) only."
    turns = [
        Prompt(str(i), shown(text, [QUESTION, *options], last), answers=("A", "B", "C"))
        for i, text in enumerate(states)
    ]
    backend = TransformersBackend(str(served.folders[family]), device="cpu")
    here = by_problem(backend.ask([Request(turn) for turn in turns], SCORES))
    for name, answer in here.items():
        assert there[name].shares == pytest.approx(answer.shares, abs=1e-5)
        assert there[name].usage.prompt_tokens == answer.usage.prompt_tokens
    assert here["0"].shares != pytest.approx(here["1"].shares, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_probability_of_yes_is_the_same_share(served: Served, family: str) -> None:
    import httpx2

    state, instructions = "My parcel never came.", "Is it a complaint?"
    body: dict[str, Any] = {
        "model": str(served.folders[family]),
        "state": state,
        "questions": {"complaint": {"type": "noul", "instructions": instructions}},
    }
    reply = httpx2.post(f"{served.url}/systemone", json=body, timeout=60).json()
    turn = Prompt("a", shown(state, [instructions], "Answer Yes or No only."), answers=("Yes", "No"))
    (answer,) = TransformersBackend(str(served.folders[family]), device="cpu").ask([Request(turn)], SCORES)
    assert reply["answers"]["complaint"]["noul"] == pytest.approx(answer.shares[0], abs=1e-5)
    assert reply["usage"]["input_tokens"] == answer.usage.prompt_tokens
