"""One exchange with an LLM server: a JSON document there, one back, and what a fault means.

A fault is one of three things. `PassingFault`: another try may mend it (429, 5xx, a reset connection, a timeout, half a
reply). `Refusal`: the server will not have this one request (400, 413, 422 and the like). `ServerError`: no request
will ever succeed (401, 403, 404, a redirect, an empty account), so that the run ends.

Nothing that the HTTP stack raises leaves this module, since its frames hold the request's headers: what went wrong is
told in words, from a place where those frames are gone.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from crowdllm import __version__
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.llm.chat_text import neutral
from crowdllm.llm.retry_after import asked_pause
from crowdllm.llm.secret import Key

CONNECT_SECONDS = 10.0
MOST_ERROR_BYTES = 64_000
_FATAL = {401, 402, 403, 404, 405, 410, 501}
_PASSING = {408, 409, 425, 429}
_HEADERS = ("retry-after", "retry-after-ms", "location")


class ServerError(CrowdLLMError):
    """A server that no request can be put to: wrong key, no such model. status: of its reply, 0 without one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NoServerError(ServerError):
    """Nobody answers at the address."""


class PassingFault(Exception):
    """A try that failed in a way that may pass.

    pause: seconds that the server asks to wait, None where it does not say. billed: whether the server may charge for
    the try. unreachable: no connection came about.
    """

    def __init__(
        self, reason: str, pause: float | None = None, billed: bool = False, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.pause, self.billed, self.unreachable = reason, pause, billed, unreachable


class Refusal(Exception):
    """The server's final no to one request, in its own words; `billed` where it may charge for it all the same."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.billed = status, reason, status == 200


@dataclass(frozen=True)
class Reply:
    """What came back, without the key. headers: those of _HEADERS; `cut` where the body went on beyond what is read."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool


@dataclass(frozen=True)
class Server:
    """Where requests go. base_url: checked and with a path; timeout: seconds for a whole exchange."""

    base_url: str
    timeout: float
    key: Key
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    _urls: dict[str, httpx2.URL] = field(default_factory=dict, repr=False, compare=False)

    @property
    def local(self) -> bool:
        return (urlsplit(self.base_url).hostname or "") in ("localhost", "127.0.0.1", "::1")

    def connect(self) -> httpx2.Client:
        """A client with one connection, for one thread. Redirects are not followed: they could carry the key away."""
        return httpx2.Client(
            auth=_Bearer(self.key),
            headers={
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": f"crowdllm/{__version__}",
            },
            verify=self.tls if self.tls is not None else False,
            trust_env=not self.local,
            timeout=httpx2.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout)),
            limits=httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60),
        )

    def post(self, client: httpx2.Client, path: str, body: dict[str, Any], most_bytes: int) -> dict[str, Any]:
        """The reply's JSON object.

        Raises PassingFault, Refusal or ServerError; a reply of more than `most_bytes` is a Refusal.
        """
        outcome = self._exchange(client, path, json.dumps(body).encode(), most_bytes)
        if isinstance(outcome, PassingFault):
            raise outcome
        if outcome.status != 200:
            raise self._verdict(outcome, path)
        if outcome.cut:
            raise Refusal(200, f"the reply goes on beyond {most_bytes:,} bytes, which no answer needs")
        found = parsed(outcome.body.decode("utf-8", "replace"))
        if not isinstance(found, dict):
            raise PassingFault("the reply is no JSON object, or only a part of one", billed=True)
        return found

    def _exchange(self, client: httpx2.Client, path: str, content: bytes, most_bytes: int) -> Reply | PassingFault:
        try:
            return self._read(client, self._url(path), content, most_bytes)
        except Exception as error:  # whatever the HTTP stack raises, its frames hold the headers: see the module
            return self._fault(error)

    def _url(self, path: str) -> httpx2.URL:
        """Parsed once, not once a call."""
        if path not in self._urls:
            self._urls[path] = httpx2.URL(f"{self.base_url}{path}")
        return self._urls[path]

    def _read(self, client: httpx2.Client, url: httpx2.URL, content: bytes, most_bytes: int) -> Reply:
        started = time.monotonic()
        with client.stream("POST", url, content=content) as response:
            most = most_bytes if response.status_code == 200 else MOST_ERROR_BYTES
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > most:
                    break
                if time.monotonic() - started > self.timeout:  # a server that sends a byte now and then
                    raise httpx2.ReadTimeout("the reply does not end")
            body = self.key.scrubbed_bytes(b"".join(chunks)[:most])
            headers = {name: self.key.scrubbed(response.headers.get(name, "")) for name in _HEADERS}
            return Reply(response.status_code, headers, body, size > most)

    def _fault(self, error: Exception) -> PassingFault:
        unreachable = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError)
        known_words: dict[type[Exception], str] = {
            httpx2.ConnectTimeout: f"no connection within {min(CONNECT_SECONDS, self.timeout):g} s",
            httpx2.ReadTimeout: f"no answer within {self.timeout:g} s",
            httpx2.WriteTimeout: f"the request could not be sent within {self.timeout:g} s",
            httpx2.ReadError: "the connection broke",
            httpx2.WriteError: "the connection broke",
            httpx2.RemoteProtocolError: "the connection ended before the reply did",
        }
        words = known_words.get(type(error), "")
        detail = self.shown(str(error))
        known = isinstance(error, httpx2.HTTPError)
        reason = words or f"{'' if known else 'the HTTP client failed: '}{type(error).__name__}: {detail}".rstrip(": ")
        return PassingFault(reason, billed=not unreachable, unreachable=unreachable)

    def models(self, client: httpx2.Client) -> list[str]:
        """The names of the models there, for an error's hint; none where the server does not list them."""
        try:
            found = json.loads(
                client.get(f"{self.base_url}/models", timeout=min(CONNECT_SECONDS, self.timeout)).content
            )
            return [self.shown(str(entry["id"])) for entry in found["data"]]
        except Exception:  # only a hint; and its frames hold the headers
            return []

    def _verdict(self, reply: Reply, path: str) -> Exception:
        """What a reply other than 200 means."""
        said, code = error_words(reply.body)
        said, status = self.shown(said), reply.status
        detail = f": {said}" if said else ""
        if (status == 429 and code == "insufficient_quota") or status == 402:
            return ServerError(f"the account at {self.base_url} has nothing left ({status}){detail}", status)
        if status in _PASSING or (status >= 500 and status not in _FATAL):
            return PassingFault(f"status {status}{detail}", pause=asked_pause(reply.headers, time.time()))
        if status == 401 or (status == 403 and "flagged" not in said):  # a gateway's moderation flags one prompt
            have = "the key in" if self.key else "a key is needed in"
            variable = f"the environment variable {self.key.variable}" if self.key.variable else "the environment"
            have = f"{have} {variable}{' was refused' if self.key else ''}"
            return ServerError(f"{self.base_url}{path} does not let us in ({status}); {have}{detail}", status)
        if 300 <= status < 400:
            to = self.shown(reply.headers.get("location", ""))
            words = f"points elsewhere ({status}), to {to!r}: give the base URL of that place"
            return ServerError(f"{self.base_url}{path} {words}", status)
        if status in _FATAL and status != 403:
            words = f"is not there or knows no such model ({status}){detail}"
            return ServerError(f"{self.base_url}{path} {words}: look at the base URL and the model's name", status)
        return Refusal(status, f"status {status}{detail}")

    def shown(self, text: str) -> str:
        """A server's words on one line, without key, control characters or excess."""
        line = " ".join(neutral(self.key.scrubbed(text)).split())
        return line if len(line) <= 300 else f"{line[:297]}..."


class _Bearer(httpx2.Auth):
    """Puts the key into a request when it is sent."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        if self._key:
            request.headers["authorization"] = self._key.bearer()
        yield request


def open_server(base_url: str, timeout: float, key: Key) -> Server:
    """Raises ConfigError for an address that is none; "/v1" is added where it has no path."""
    if any(mark in base_url for mark in "@?#"):  # not shown: it may hold a password or a key
        raise ConfigError("a base URL has no user, password, '?' or '#': keys are read from the environment")
    try:
        parts = urlsplit(base_url.strip())
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ConfigError(f"no base URL: {base_url!r}; it looks like http://localhost:8000/v1")
    path = parts.path.rstrip("/") or "/v1"
    if path.endswith("/chat/completions"):
        raise ConfigError(f"the base URL ends before /chat/completions, not {base_url!r}")
    server = Server(f"{parts.scheme}://{parts.netloc}{path}", timeout, key)
    if server.local and parts.scheme == "http":
        return server
    return replace(server, tls=httpx2.create_ssl_context())  # also for http: a proxy may be reached by TLS


def parsed(text: str) -> Any:
    """What a JSON text says, None where it is none; without an exception, which would hold the whole text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def error_words(body: bytes) -> tuple[str, str]:
    """An error's message and code, in the forms that servers use; the body itself where it is none of them."""
    text = body.decode("utf-8", "replace")
    found = parsed(text)
    if isinstance(found, dict):
        error = found.get("error", found)
        if isinstance(error, dict):
            message = error.get("message", error.get("detail", ""))
            return str(message or json.dumps(error)), str(error.get("code", ""))
        return str(error), ""
    return text, ""
