"""The backend that a user names: checked in words, with its answers kept where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from crowdllm.data.new_study import new_study
from crowdllm.elicitation.modes import Elicitation, Plan, make_plan
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.experiments.llm_backends import LLM, cache_path, keeping, left_to_ask, open_backend, slug
from crowdllm.experiments.sources import Opened, open_study
from crowdllm.llm.cache import CachedBackend
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.recorded import RecordedBackend
from crowdllm.llm.usage import Price


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    new_study(tmp_path / "study")
    return open_study(str(tmp_path / "study"))


@pytest.fixture
def plan(opened: Opened) -> Plan:
    return make_plan(opened.study.problems, opened.study.response_type, Elicitation("samples", 3))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("meta-llama/Llama-3.1-8B:free", "Llama-3.1-8B-free"),
        ("C:\\models\\tiny", "tiny"),
        ("/data/answers.csv", "answers"),
        ("../..", "llm"),
        ("a b,c\n", "a-b-c"),
    ],
)
def test_a_model_names_its_table(model: str, name: str) -> None:
    assert slug(model) == name


def test_answers_are_kept_in_the_study_or_in_the_users_cache(opened: Opened) -> None:
    assert opened.folder is not None
    assert cache_path(opened) == opened.folder / ".crowdllm" / "llm-cache.sqlite"
    assert cache_path(open_study("synthetic")).name == "synthetic.sqlite"


def test_settings_of_a_server_reach_the_backend(plan: Plan) -> None:
    llm = LLM("openai", "m", "http://127.0.0.1:9/v1", 3, 60.0, 1000.0, 7.0)
    llm.check()
    backend = open_backend(llm, plan, Price(1, 2), 5.0)
    assert isinstance(backend, OpenAIBackend)
    assert (backend.base_url, backend.concurrency, backend.timeout) == ("http://127.0.0.1:9/v1", 3, 7.0)
    assert (backend.requests_per_minute, backend.tokens_per_minute) == (60.0, 1000.0)
    assert (backend.price, backend.max_cost) == (Price(1, 2), 5.0)


def test_settings_without_a_server_are_refused() -> None:
    with pytest.raises(ConfigError, match="--requests-per-minute goes with --backend openai"):
        LLM("scripted", requests_per_minute=3.0).check()
    with pytest.raises(UnknownNameError, match="did you mean 'transformers'"):
        LLM("transformer", "m").check()


def test_a_recorded_table_is_a_backend(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "gpt.csv").write_text("problem,decision\nfocus,4\n")
    assert isinstance(open_backend(LLM("recorded", str(tmp_path / "gpt.csv")), plan, None, None), RecordedBackend)


def test_what_is_left_to_ask_makes_no_file_and_knows_what_is_kept(plan: Plan, tmp_path: Path) -> None:
    backend, kept = open_backend(LLM("scripted"), plan, None, None), tmp_path / "deep" / "kept.sqlite"
    assert sum(len(request.draws) for request in left_to_ask(backend, plan, kept)) == 36
    assert not kept.parent.exists()
    with keeping(backend, kept) as around:
        assert isinstance(around, CachedBackend)
        some = left_to_ask(backend, plan, None)[:5]
        assert len(list(around.ask(some, plan.sampling))) == 5
    assert sum(len(request.draws) for request in left_to_ask(backend, plan, kept)) == 21
    with keeping(backend, None) as bare:
        assert bare is backend
