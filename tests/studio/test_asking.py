"""Asking an LLM for the reference of one problem: the cost first, then once, and never again for the same words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import CrowdLLMError, UnknownNameError
from crowdllm.experiments.llm_backends import LLM
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling, Usage
from crowdllm.llm.usage import Price
from crowdllm.studio import asking
from crowdllm.studio.asking import Asker, make_asker
from crowdllm.studio.workspace import PROBLEM, Workspace, reference_of


class Counting:
    """An LLM that says the same to everything, and counts how often it is asked."""

    name = identity = "counting"
    scores = False

    def __init__(self, text: str) -> None:
        self.text, self.prompts = text, list[Prompt]()

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in requests:
            self.prompts.append(request.prompt)
            texts = (self.text,) * len(request.draws)
            yield Answer(request.prompt, request.draws, texts, usage=Usage(1, 100, 20))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Counting]:
    def use(text: str) -> Counting:
        backend = Counting(text)
        monkeypatch.setattr(asking, "open_backend", lambda *_: backend)
        return backend

    return use


GOOD = json.dumps({"1": 10, "2": 20, "3": 30, "4": 25, "5": 15})


def asker(work: Workspace, **more: Any) -> Asker:
    return Asker(LLM("openai", "m"), work.folder, **more)


def test_what_is_asked_is_kept_with_the_problem_and_paid_for_once(
    workspace: Workspace, ask: Callable, counting: Callable
) -> None:
    backend = counting(GOOD)
    entry = ask(workspace, "More trees?", reference=False, context="A city.")
    crowd = workspace.crowd(entry.body["crowd"])
    given = asker(workspace).ask(crowd, entry)
    assert given.distribution_M == pytest.approx((0.1, 0.2, 0.3, 0.25, 0.15))
    assert "A city." in backend.prompts[0].text
    again = asker(workspace).ask(crowd, entry)  # as after a restart
    assert again.distribution_M == given.distribution_M
    assert len(backend.prompts) == 1
    assert "kept from before and cost nothing" in again.account[-1]
    held = workspace.set_reference(entry, given)
    assert reference_of(held) == given
    assert reference_of(workspace.store.get(entry.id, PROBLEM)) == given


def test_two_clicks_at_once_pay_once(workspace: Workspace, ask: Callable, counting: Callable) -> None:
    backend = counting(GOOD)
    entry = ask(workspace, "More trees?", reference=False)
    crowd, one = workspace.crowd(entry.body["crowd"]), asker(workspace)
    threads = [threading.Thread(target=one.ask, args=(crowd, entry)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(backend.prompts) == 1


def test_the_cost_is_told_before_anything_is_asked(workspace: Workspace, ask: Callable, counting: Callable) -> None:
    backend = counting(GOOD)
    entry = ask(workspace, "More trees?", reference=False)
    lines = asker(workspace, price=Price(1.0, 2.0)).lines(workspace.crowd(entry.body["crowd"]), entry)
    assert any(line.startswith("cost: at most about ") for line in lines)
    assert not backend.prompts


def test_spending_is_counted_and_what_is_left_becomes_less(
    workspace: Workspace, ask: Callable, counting: Callable
) -> None:
    counting(GOOD)
    entry = ask(workspace, "More trees?", reference=False)
    one = asker(workspace, price=Price(10_000.0, 10_000.0), max_cost=5.0)
    given = one.ask(workspace.crowd(entry.body["crowd"]), entry)
    assert one.spent.prompt_tokens + one.spent.completion_tokens == 120
    assert one._left() == pytest.approx(5.0 - 1.2)
    assert "1 call, 100 input and 20 output tokens, cost 1.2000" in given.account


def test_an_answer_that_cannot_be_read_is_asked_once_more_and_then_said(
    workspace: Workspace, ask: Callable, counting: Callable
) -> None:
    backend = counting("I would rather not say.")
    entry = ask(workspace, "More trees?", reference=False)
    with pytest.raises(CrowdLLMError, match="no legal answer: 'I would rather not say.'"):
        asker(workspace).ask(workspace.crowd(entry.body["crowd"]), entry)
    assert len(backend.prompts) == 2


def test_a_reference_of_an_earlier_wording_is_not_used(workspace: Workspace, ask: Callable) -> None:
    entry = ask(workspace, "More trees?")
    assert reference_of(entry) is not None
    changed = workspace.store.save(entry, entry.body | {"text": "Fewer trees?"})
    assert changed is not None
    assert reference_of(changed) is None
    with pytest.raises(CrowdLLMError, match="needs one"):
        workspace.answer(changed)


def test_a_reference_is_kept_though_the_problem_was_changed_meanwhile(workspace: Workspace, ask: Callable) -> None:
    entry, given = ask(workspace, "More trees?", reference=False), reference_of(ask(workspace, "x"))
    assert given is not None
    workspace.store.save(entry, entry.body | {"requirements": "Agree?"})
    held = workspace.set_reference(entry, given)
    assert held.body["requirements"] == "Agree?"
    assert held.body["reference"] == given.to_dict()


def test_no_backend_is_no_llm_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert make_asker(tmp_path, "") is None
    with pytest.raises(UnknownNameError, match="choose from"):
        make_asker(tmp_path, "orakle")


def test_a_key_stands_nowhere_in_the_studio_s_folder(
    workspace: Workspace, ask: Callable, counting: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    counting(GOOD)
    entry = ask(workspace, "More trees?", reference=False)
    workspace.set_reference(entry, asker(workspace).ask(workspace.crowd(entry.body["crowd"]), entry))
    files = [path for path in workspace.folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not [path for path in files if b"sk-very-secret-key" in path.read_bytes()]
