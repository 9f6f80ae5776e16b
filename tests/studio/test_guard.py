"""Who is refused: other hosts, other pages, no token, too much; and what every answer forbids the browser."""

from __future__ import annotations

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from crowdllm.studio.guard import MOST_BODY, POLICY


def test_the_token_in_the_address_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(server: Any) -> None:
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(server.access.address, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert client.get(f"{server.base}/").status_code == 200


@pytest.mark.parametrize("place", ["/", "/data", "/static/studio.css", "/export/study.zip", "/nowhere"])
def test_without_the_token_nothing_is_shown(server: Any, place: str) -> None:
    assert httpx2.get(f"{server.base}{place}", trust_env=False).status_code == 403


@pytest.mark.parametrize("token", ["wrong", "", "x" * 43, "é"])
def test_a_wrong_token_is_refused(server: Any, token: str) -> None:
    assert httpx2.get(f"{server.base}/", params={"token": token}, trust_env=False).status_code == 403
    with server.client() as client:
        client.cookies.set(server.access.cookie, "wrong")
        client.cookies.jar.clear()
        assert client.get("/").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}"])
def test_another_host_name_is_refused_even_with_the_token(server: Any, host: str) -> None:
    """DNS rebinding: a foreign name that was made to point at this machine."""
    with server.client() as client:
        answer = client.get("/", headers={"host": host.format(port=server.access.port)})
    assert answer.status_code == 421
    assert "crowdllm" not in answer.text


def test_two_host_headers_are_refused(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{server.access.port}")
    connection.putheader("Host", "evil.example")
    connection.putheader("Cookie", f"{server.access.cookie}={server.access.token}")
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_request_of_another_page_is_refused(server: Any, headers: dict[str, str]) -> None:
    before = len(server.problems())
    crowd = server.work.crowds()[0].id
    with server.client(headers=headers) as client:
        assert client.post("/problems", data={"crowd": crowd, "text": "from elsewhere"}).status_code == 403
        assert client.get("/").status_code == 403
    assert len(server.problems()) == before


def test_a_change_without_an_origin_is_refused(server: Any) -> None:
    with server.client() as client:
        del client.headers["origin"]
        assert client.get("/").status_code == 200
        assert client.post("/open", data={"place": "x"}).status_code == 403


def test_other_methods_are_refused(server: Any) -> None:
    with server.client() as client:
        assert [client.request(method, "/").status_code for method in ("PUT", "DELETE", "OPTIONS", "PATCH")] == [
            405
        ] * 4


def test_an_oversized_form_is_refused_by_what_it_says_and_by_what_it_sends(server: Any) -> None:
    with server.client() as client:
        assert client.post("/problems", data={"text": "x" * (MOST_BODY + 1)}).status_code == 413

        def chunks() -> Any:
            for _ in range(40):
                yield b"&text=" + b"x" * 65536

        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post("/problems", content=chunks(), headers=kind).status_code == 413
        assert client.get("/").status_code == 200


def test_an_oversized_address_is_refused(server: Any) -> None:
    with server.client() as client:
        assert client.get("/", params={"notice": "x" * 20_000}).status_code in (400, 414, 431)


def test_a_text_beyond_the_limit_is_refused_in_words_and_not_cut(server: Any) -> None:
    crowd = server.work.crowds()[0].id
    with server.client() as client:
        answer = client.post("/problems", data={"crowd": crowd, "text": "x" * 250_000})
    assert answer.status_code == 400
    assert "at most 200,000 are possible" in answer.text


def test_every_answer_forbids_foreign_content_frames_and_keeping(server: Any) -> None:
    with server.client() as client:
        answers = [client.get(place) for place in ("/", "/static/studio.js", "/nowhere", "/export/answers.csv")]
    answers.append(httpx2.get(f"{server.base}/", trust_env=False))
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_a_token_cannot_send_the_browser_elsewhere(server: Any) -> None:
    for place in ("//evil.example/", "/%5cevil.example", "/\\evil.example"):
        answer = httpx2.get(
            f"{server.base}{place}?token={server.access.token}", follow_redirects=False, trust_env=False
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"


def test_only_the_loopback_interface_listens(server: Any) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as tried:
            tried.settimeout(2)
            assert address.startswith("127.") or tried.connect_ex((address, server.access.port)) != 0


def test_documentation_that_needs_a_cdn_is_off(server: Any) -> None:
    with server.client() as client:
        assert [client.get(place).status_code for place in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_fifty_requests_at_once_lose_nothing(server: Any) -> None:
    crowd = server.work.crowds()[0].id
    before = {entry.id for entry in server.problems()}

    def post(number: int) -> int:
        with server.client() as client:
            return int(client.post("/problems", data={"crowd": crowd, "text": f"At once {number}"}).status_code)

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(post, range(50)))
    assert statuses == [303] * 50
    made = [entry for entry in server.problems() if entry.id not in before]
    assert sorted(entry.body["text"] for entry in made) == sorted(f"At once {number}" for number in range(50))
    for entry in made:
        assert server.work.store.remove(entry)


def test_fifty_readers_at_once_get_the_same_answer(server: Any, ask: Any) -> None:
    entry = ask(server.work, "Read by many.")

    def read(number: int) -> tuple[int, str]:
        with server.client() as client:
            answer = client.get(f"/problems/{entry.id}")
            return answer.status_code, answer.text.partition('<p class="lead"')[2].partition("</p>")[0]

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(read, range(50)))) == 1


def test_two_tabs_that_change_the_same_problem_lose_nothing(server: Any, ask: Any) -> None:
    entry = ask(server.work, "The first wording.")
    form = {"crowd": entry.body["crowd"], "revision": str(entry.revision)}
    with server.client() as client:
        one = client.post(f"/problems/{entry.id}", data={**form, "text": "The wording of tab one."})
        two = client.post(f"/problems/{entry.id}", data={**form, "text": "The wording of tab two."})
        assert one.headers["location"].startswith(f"/problems/{entry.id}?")
        assert "kept-both" in two.headers["location"]
        assert (
            client.post(f"/problems/{entry.id}/delete", data={"revision": "1"}).headers["location"].endswith("changed")
        )
    texts = [problem.body["text"] for problem in server.problems()]
    assert "The wording of tab one." in texts
    assert "The wording of tab two." in texts
