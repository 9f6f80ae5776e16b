"""Asks a server for answers through a cache, and says how it ended: a process for tests to kill.

python asking_client.py URL CACHE PROMPTS DRAWS [CONCURRENCY]
"""

from __future__ import annotations

import sys
from collections import Counter

from crowdllm.errors import CrowdLLMError
from crowdllm.llm.cache import CachedBackend
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Prompt, Request, Sampling


def main(url: str, cache: str, prompts: int, draws: int, concurrency: int) -> None:
    server = OpenAIBackend("m", url, timeout=3, backoff=0.01, tries=12, concurrency=concurrency)
    backend = CachedBackend(server, cache)
    requests = [Request(Prompt(f"p{i}", f"prompt {i}"), tuple(range(draws))) for i in range(prompts)]
    print("asking", flush=True)
    ended: Counter[str] = Counter()
    for answer in backend.ask(requests, Sampling()):
        ended["failed" if answer.failure else "answered"] += len(answer.draws)
    print(f"ended answered={ended['answered']} failed={ended['failed']} hits={backend.hits}", flush=True)


if __name__ == "__main__":
    url, cache, *numbers = sys.argv[1:]
    prompts, draws, concurrency = [*map(int, numbers), 16][:3]
    try:
        main(url, cache, prompts, draws, concurrency)
    except CrowdLLMError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
