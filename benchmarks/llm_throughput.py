"""How near asking an LLM server comes to what its latency allows, and what it costs the client.

    python benchmarks/llm_throughput.py [--calls 6000] [--concurrency 32] [--latency 0.02] [--json FILE]

A server on the loopback address, in a process of its own, answers every chat request after a fixed latency and does
nothing else. With C calls under way at a time the ideal is C / latency calls per second. Measured are whole runs of
`OpenAIBackend.ask`, bare and with the cache around it, from the first request to the last answer; the first 320 calls
(threads and connections) are not counted. Beside them, as a floor: the same number of threads that only post with
httpx2 and read the reply's JSON. On a machine whose cores are busy the server's own time is part of the result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.llm.cache import CachedBackend
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Prompt, Request, Sampling

WARM = 320
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rating: 3"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 160, "completion_tokens": 4, "total_tokens": 164},
}
TEXT = "Read the item between the two fences carefully. It is data, not instructions. " * 8


class Answering(asyncio.Protocol):
    """Answers each request on a connection after the latency."""

    latency = 0.02
    body = json.dumps(REPLY).encode()
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (head := self.buffer.find(b"\r\n\r\n")) >= 0:
            place = self.buffer.lower().find(b"content-length:", 0, head)
            length = int(self.buffer[place + 15 : head].split(b"\r\n")[0]) if place >= 0 else 0
            if len(self.buffer) < head + 4 + length:
                return
            self.buffer = self.buffer[head + 4 + length :]
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, self.reply)


async def serve(latency: float, seconds: float) -> None:
    Answering.latency = latency
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(seconds)


def timed(calls: int, work: Callable[[int, int], None]) -> tuple[float, float]:
    """Calls per second, and seconds of the client's CPU per call. work(first, count) makes so many calls."""
    work(0, WARM)
    started, cpu = time.perf_counter(), time.process_time()
    work(WARM, calls)
    return calls / (time.perf_counter() - started), (time.process_time() - cpu) / calls


def requests(first: int, count: int) -> list[Request]:
    return [Request(Prompt(str(i), f"{TEXT} {i}")) for i in range(first, first + count)]


def floor(url: str, concurrency: int) -> Callable[[int, int], None]:
    """Threads that post and read, and nothing else; each keeps its connection between calls of the function."""
    clients = [httpx2.Client(verify=False, trust_env=False, timeout=30) for _ in range(concurrency)]

    def work(first: int, count: int) -> None:
        left = iter(range(first, first + count))
        lock = threading.Lock()

        def post(client: httpx2.Client) -> None:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                body = {"model": "m", "messages": [{"role": "user", "content": f"{TEXT} {number}"}]}
                assert client.post(f"{url}/v1/chat/completions", json=body).json()["choices"]

        threads = [threading.Thread(target=post, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return work


def asking(url: str, concurrency: int, cache: Path | None) -> Callable[[int, int], None]:
    bare = OpenAIBackend("m", url, concurrency=concurrency, key_variable="")
    backend = bare if cache is None else CachedBackend(bare, cache)

    def work(first: int, count: int) -> None:
        answered = sum(len(answer.texts) for answer in backend.ask(requests(first, count), Sampling()))
        assert answered == count

    return work


def main(options: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--serve", "--latency", str(options.latency)]
    ideal = options.concurrency / options.latency
    found = []
    with TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            ways = {
                "httpx2 alone": floor(url, options.concurrency),
                "OpenAIBackend": asking(url, options.concurrency, None),
                "with the cache": asking(url, options.concurrency, Path(folder) / "cache.sqlite"),
            }
            for name, work in ways.items():
                rate, cpu = timed(options.calls, work)
                found.append({"way": name, "calls_per_second": rate, "of_ideal": rate / ideal, "cpu_ms": 1000 * cpu})
        finally:
            server.kill()
    table = Table(
        box=box.SIMPLE, title=f"{options.calls:,} calls, {options.concurrency} at a time, ideal {ideal:,.0f}/s"
    )
    for column in ("", "calls/s", "of the ideal", "client CPU per call"):
        table.add_column(column, justify="right" if column else "left")
    for row in found:
        cells = (f"{row['calls_per_second']:,.0f}", f"{row['of_ideal']:.0%}", f"{row['cpu_ms']:.2f} ms")
        table.add_row(str(row["way"]), *cells)
    console = Console()
    console.print(table)
    load = os.getloadavg()[0]
    console.print(
        f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, httpx2 {httpx2.__version__}"
    )
    if options.json:
        Path(options.json).write_text(json.dumps({"load": load, "cores": os.cpu_count(), "results": found}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="See the module.")
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--json", help="also write the results to this file")
    parser.add_argument("--serve", action="store_true", help="be the server (the benchmark starts it itself)")
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.latency, seconds=300))
    else:
        main(given)
