"""An LLM server that misbehaves as told, on the loopback address only, for a bounded time; every request is logged.

    python fault_server.py --log FILE [--seconds 60] [--latency 0] [--faults 0.3] [--seed 0] [--hang 5]
                           [--n yes|ignored|refused] [--logprobs TOP] [--ways systemone,decisions] [--models a,b]

Prints `port NUMBER` when it listens. Speaks /v1/chat/completions, /v1/systemone, /v1/decisions and /v1/models.

Faults come at random with the probability `--faults` (the k-th request has the same fault in every run of a seed), or
where a prompt asks for them: always for `[[reset]]`, and for the first two requests with this prompt for
`[[reset*2]]`. Those of PASSING pass; those of ANSWERS are answers.
A line of the log is written when the reply is delivered (flushed to the connection) or lost: its fields are `number`,
`path`, `prompt`, `n`, `fault`, `status`, `choices` (how many answers were delivered), `came` and `at` (when it came and
when it ended, in seconds since 1970), and `key` (whether an Authorization header came).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, TextIO

PASSING = (
    "limited",
    "limited_seconds",
    "limited_date",
    "error_500",
    "error_502",
    "error_503",
    "error_504",
    "reset",
    "reset_halfway",
    "hang",
    "drip",
    "half_json",
    "doubled_body",
    "no_json",
    "deep_json",
    "empty_choices",
    "error_in_200",
)
ANSWERS = {
    "other_language": "Ich würde sagen: vier von fünf Punkten.",
    "refusal": "I'm sorry, but I can't help with that.",
    "words": "Rating: four",
    "two_numbers": "Rating: 3 or 4",
    "fraction": "5/5",
    "off_scale": "Rating: 11",
    "long_text": "Rating: 3 " + "x" * 200_001,
    "control": "\x00\x1b[2J\x07Rating: \u202e3\ud800",
    "not_utf8": "Rating: \udcff3",
    "empty_text": "",
}
SHAPES = ("few", "many", "doubled_choices")
EVERY = (*PASSING, *ANSWERS, *SHAPES)
_TOLD = re.compile(r"\[\[([a-z_0-9]+)(?:\*([0-9]+))?\]\]")


@dataclass
class Asked:
    """One request as it came."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    came: float

    @property
    def prompt(self) -> str:
        if "messages" in self.body:
            return str(self.body["messages"][-1]["content"])
        return str(self.body.get("state", self.body.get("input", "")))


@dataclass
class Said:
    """What goes back. choices: how many answers it holds."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    choices: int = 0


class FaultServer:
    def __init__(self, options: argparse.Namespace, log: TextIO) -> None:
        self.options, self.log = options, log
        self.rng = random.Random(options.seed)
        self.count = 0
        self.told: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await self.read(reader)) is not None:
                if not await self.answer(asked, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.count += 1
        return Asked(self.count, first.split()[1], headers, json.loads(body or b"{}"), time.time())

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        fault = self.fault(asked)
        said, delivered = Said(0), False
        try:
            await asyncio.sleep(self.options.latency)
            if fault == "hang":
                await asyncio.sleep(self.options.hang)
                return False
            if fault == "reset":
                reset(writer)
                return False
            said = self.reply(asked, fault)
            await self.send(writer, said, fault)
            delivered = fault not in ("reset_halfway", "half_json", "drip")
            return delivered
        finally:
            self.write_line(asked, fault, said, delivered)

    async def send(self, writer: asyncio.StreamWriter, said: Said, fault: str) -> None:
        length = len(said.content)
        content = said.content[: length // 2] if fault in ("reset_halfway", "half_json", "drip") else said.content
        declared = len(content) if fault == "half_json" else length
        headers = {"content-type": "application/json", "content-length": str(declared), **said.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {said.status} Fault\r\n{head}\r\n".encode("latin-1"))
        if fault == "drip":
            for byte in content[:1000]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(content)
        await writer.drain()
        if fault == "reset_halfway":
            await asyncio.sleep(0.01)
            reset(writer)

    def fault(self, asked: Asked) -> str:
        told = _TOLD.search(asked.prompt)
        if told:
            self.told[asked.prompt] += 1
            return told[1] if not told[2] or self.told[asked.prompt] <= int(told[2]) else ""
        rng = random.Random(f"{self.options.seed}/{asked.number}")  # whatever the order in which replies are made up
        return rng.choice(EVERY) if rng.random() < self.options.faults else ""

    def reply(self, asked: Asked, fault: str) -> Said:
        known = fault if fault in EVERY else ""
        if fault and not known:  # a status, or one of the few below
            return self.particular(asked, fault)
        if fault.startswith("error_5"):
            return Said(int(fault[6:]), b"overloaded")
        if fault.startswith("limited"):
            later = {"limited_seconds": "1", "limited_date": formatdate(time.time() + 1, usegmt=True)}
            return failure(429, "too fast", {"retry-after": later[fault]} if fault in later else {})
        if fault == "no_json":
            return Said(200, b"<html>Bad gateway</html>")
        if fault == "deep_json":
            return Said(200, b"[" * 100_000)
        if fault == "error_in_200":
            return Said(200, json.dumps({"error": {"message": "the provider failed"}}).encode())
        path = asked.path.removeprefix("/v1")
        if path == "/chat/completions":
            return self.chat(asked, fault)
        if path == "/models":
            return as_json({"data": [{"id": name} for name in filter(None, self.options.models.split(","))]})
        if path.removeprefix("/") in self.options.ways.split(","):
            return systemone(asked.body) if path == "/systemone" else decisions(asked.body)
        return failure(404, "no such path")

    def particular(self, asked: Asked, fault: str) -> Said:
        if fault == "echo_key":
            return failure(401, f"wrong key: {asked.headers.get('authorization', '')}")
        if fault == "tell_key":
            return chat_reply([f"Rating: 3 {asked.headers.get('authorization', '')}"], asked.body)
        if fault == "redirect":
            return Said(307, b"", {"location": "http://127.0.0.1:9/v1/chat/completions"})
        if fault == "patience":
            return failure(429, "come back tomorrow", {"retry-after": "86400"})
        if fault == "quota":
            return failure(429, "you have no money left", {}, "insufficient_quota")
        if fault == "no_usage":
            reply = json.loads(chat_reply(["Rating: 2"], asked.body).content)
            return as_json({**reply, "usage": None}, 1)
        if fault == "long_error":
            return Said(400, b'{"error": {"message": "' + b"\\u001b[31m" + b"y" * 300_000 + b'"}}')
        if fault == "endless":
            return Said(200, b'{"choices": "' + b"z" * 3_000_000 + b'"}')
        return failure(int(fault.removeprefix("status_")), "as told")

    def chat(self, asked: Asked, fault: str) -> Said:
        body = asked.body
        if self.options.models and body["model"] not in self.options.models.split(","):
            return failure(404, f"no model {body['model']}")
        for name in filter(None, self.options.refuse.split(",")):
            if name in body:
                return failure(400, f"Unsupported parameter: '{name}'. Use 'max_completion_tokens' instead.")
        wanted = int(body.get("n", 1))
        if wanted > 1 and self.options.n == "refused":
            return failure(400, "n must be 1")
        given = 1 if self.options.n == "ignored" else wanted
        given = max(1, given - 1) if fault == "few" else given + 2 if fault == "many" else given
        if fault == "empty_choices":
            given = 0
        texts = [ANSWERS.get(fault, f"Rating: {self.rng.randint(1, 5)}") for _ in range(given)]
        said = chat_reply(texts, body, self.options.logprobs)
        if fault == "doubled_choices":
            reply = json.loads(said.content)
            reply["choices"] = [choice for choice in reply["choices"] for _ in range(2)]
            said = as_json(reply, len(texts))
        if fault == "doubled_body":
            said = Said(200, said.content * 2)
        if fault == "not_utf8":
            said.content = said.content.replace(b"\\udcff", b"\xff\xfe")
        return said

    def write_line(self, asked: Asked, fault: str, said: Said, delivered: bool) -> None:
        line = {
            "number": asked.number,
            "path": asked.path,
            "prompt": asked.prompt[:80],
            "n": asked.body.get("n", 1),
            "fault": fault,
            "status": said.status,
            "choices": said.choices if delivered else 0,
            "came": asked.came,
            "at": time.time(),
            "key": "authorization" in asked.headers,
            "temperature": asked.body.get("temperature"),
        }
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection as a crash would: by a reset, not by a close."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def as_json(reply: dict[str, Any], choices: int = 0) -> Said:
    return Said(200, json.dumps(reply).encode(), choices=choices)


def failure(status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None) -> Said:
    return Said(status, json.dumps({"error": {"message": message, "code": code}}).encode(), headers or {})


def chat_reply(texts: list[str], body: dict[str, Any], top: int = 0) -> Said:
    tokens = {str(level): level / 15 for level in range(1, 6)}  # 1/15, 2/15, ... 5/15
    listed = [
        {"token": token, "logprob": math.log(p)} for token, p in sorted(tokens.items(), key=lambda pair: -pair[1])
    ]
    entry = {"token": "5", "logprob": math.log(5 / 15), "top_logprobs": listed[: min(top, body.get("top_logprobs", 0))]}
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        | ({"logprobs": {"content": [entry]}} if body.get("logprobs") and top else {})
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 100, "completion_tokens": 4 * len(texts), "total_tokens": 100 + 4 * len(texts)}
    reply = {"id": "x", "object": "chat.completion", "model": body["model"], "choices": choices, "usage": usage}
    return as_json(reply, len(texts))


def systemone(body: dict[str, Any]) -> Said:
    """As transformers 5.23 answers: uneven probabilities, by option or number of the level."""
    unknown = set(body) - {"model", "state", "questions", "assets"}
    if unknown:
        return failure(422, f"extra fields {unknown}")
    answers = {}
    for name, question in body["questions"].items():
        criteria = question["criteria"]
        options = list(criteria) if question["type"] == "choice" else [str(i) for i in range(len(criteria))]
        if len(options) > 26:
            return failure(422, "this model reads at most 26 options")
        total = sum(range(1, len(options) + 1))
        answers[name] = {
            "type": question["type"],
            "confidence": 0.5,
            "probabilities": {option: (i + 1) / total for i, option in enumerate(options)},
        }
    reply = {"model": body["model"], "answers": answers, "usage": {"input_tokens": 50, "output_tokens": 0}}
    return as_json(reply, len(answers))


def decisions(body: dict[str, Any]) -> Said:
    """As OpenAI's decisions are typed in openai-python 3.52."""
    answers: list[dict[str, Any]] = []
    for question in body["questions"]:
        if "declined" in json.dumps(body["input"]):
            answers.append({"type": "refusal", "name": question.get("name")})
            continue
        score = question["type"] == "score"
        values = (
            [level["label"] for level in question["levels"]] if score else [c["value"] for c in question["choices"]]
        )
        total = sum(range(1, len(values) + 1))
        shares = [
            {"label": v, "value": i, "probability": (i + 1) / total}
            if score
            else {"value": v, "probability": (i + 1) / total}
            for i, v in enumerate(values)
        ]
        answers.append({"type": question["type"], "confidence": 0.5, "probabilities": shares})
    usage = {"input_tokens": 50, "output_tokens": 1, "total_tokens": 51}
    return as_json({"model": body["model"], "answers": answers, "usage": usage}, len(answers))


async def main(options: argparse.Namespace) -> None:
    with Path(options.log).open("a", encoding="utf-8") as log_file:
        handler = FaultServer(options, log_file)
        server = await asyncio.start_server(handler.serve, "127.0.0.1", 0, limit=10_000_000, backlog=512)
        print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.sleep(options.seconds)
        server.close()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An LLM server that misbehaves as told; see the module.")
    parser.add_argument("--log", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hang", type=float, default=5.0)
    parser.add_argument("--n", choices=("yes", "ignored", "refused"), default="yes")
    parser.add_argument("--logprobs", type=int, default=0, help="the most alternatives it lists")
    parser.add_argument("--ways", default="")
    parser.add_argument("--models", default="")
    parser.add_argument("--refuse", default="", help="names of fields that it refuses")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(read_options()))
