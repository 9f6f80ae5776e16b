"""LLM backends: where reference decisions come from. One file per backend, found by name."""

from __future__ import annotations

BACKENDS = {
    "openai": "crowdllm.llm.openai:OpenAIBackend",
    "recorded": "crowdllm.llm.recorded:RecordedBackend",
    "scripted": "crowdllm.llm.scripted:ScriptedBackend",
    "transformers": "crowdllm.llm.transformers:TransformersBackend",
    "tuned": "crowdllm.survey_tuning.backend:TunedBackend",
}
