"""Every way in which a server can fail, by a server made to fail so: each is counted, and nothing of it is kept."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smallscale.simulation import Town, World
from smallscale.simulation.brains import Fault, Question
from smallscale.simulation.server import ServerBrain, parse

openai = pytest.importorskip("openai", reason="openai is not installed: pip install 'smallscale[llm]'")

WORLD = World()
QUESTION = Question(WORLD, "talk", WORLD.names.index("Maya Okoro"), (1,))
Reply = Callable[[str], tuple[int, Any]]  # the question's text -> status and body


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], tuple[str, list[str]]]]:
    """serve(reply) gives the address of a server that replies so, and the texts that it is asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Reply) -> tuple[str, list[str]]:
        seen: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append(asked["messages"][-1]["content"])
                status, body = reply(seen[-1])
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def said(content: Any, finish: str = "stop") -> tuple[int, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    return 200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@pytest.mark.parametrize("text", ["Maya Okoro: B", " Maya Okoro : B.\n", "Maya Okoro:B"])
def test_a_reply_in_the_grammar_decides(text: str, serve: Any) -> None:
    assert parse(text, QUESTION) == [0, 1]
    address, seen = serve(lambda _: said(text))
    assert ServerBrain(address, "m").answer([QUESTION]) == [[0, 1]]
    assert seen == [QUESTION.text]


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (said("Maya Okoro: B", finish="length"), "cut off"),
        (said(None), "empty"),
        (said("  \n"), "empty"),
        (said("I would rather stay at home."), "not in the grammar"),
        (said("Maya Okoro: B, since she is free"), "not in the grammar"),
        (said('{"choice": "B"}'), "not in the grammar"),
        (said("Bo Lindqvist: B"), "for somebody else"),
        (said("Maya Okoro: C"), "not an option"),
        ((429, {"error": {"message": "too many"}}), "status 429"),
        ((500, {"error": {"message": "Maya Okoro: B"}}), "status 500"),
        ((401, b"no key"), "status 401"),
        ((200, {"object": "nothing"}), "not a reply"),
        ((200, b"[]"), "not a reply"),
        ((200, b"<html>"), "not a reply"),
        ((200, {"choices": []}), "not a reply"),
    ],
)
def test_every_other_reply_is_a_fault_of_its_kind(reply: tuple[int, Any], fault: str, serve: Any) -> None:
    address, _ = serve(lambda _: reply)
    (answer,) = ServerBrain(address, "m", tries=1).answer([QUESTION])
    assert isinstance(answer, Fault)
    assert answer == fault


def test_a_busy_server_is_asked_again(serve: Any) -> None:
    replies = [(429, b"{}"), (500, b"{}"), said("Maya Okoro: A")]
    address, seen = serve(lambda _: replies[len(seen) - 1])
    assert ServerBrain(address, "m", tries=3).answer([QUESTION]) == [[1, 0]]
    assert len(seen) == 3


def test_a_slow_server_is_not_waited_for(serve: Any) -> None:
    address, _ = serve(lambda _: (time.sleep(2), said("Maya Okoro: A"))[1])
    begin = time.monotonic()
    assert ServerBrain(address, "m", timeout=0.2, tries=1).answer([QUESTION]) == ["late"]
    assert time.monotonic() - begin < 1.5


def test_a_server_that_is_down() -> None:
    assert ServerBrain("http://127.0.0.1:9/v1", "m", tries=1).answer([QUESTION] * 3) == ["unreachable"] * 3


def test_a_town_goes_on_beside_a_server_that_fails_now_and_then(serve: Any) -> None:
    """A right answer for some, each kind of fault for others: what is stored is only what was decided."""

    def reply(text: str) -> tuple[int, Any]:
        name, letters = text.split(",")[0], [part.split()[0] for part in text.split(". ")[-2].split(", ")]
        bad = {"A": said("gibberish"), "B": (500, b"broken pipe"), "C": said("Zeus: A"), "D": said("", "length")}
        return bad.get(name[0], said(f"{name}: {letters[-1]}"))

    address, seen = serve(reply)
    town = Town(seed=1, brain=ServerBrain(address, "m", tries=1)).run(12)
    assert set(town.faults) == {"not in the grammar", "status 500", "for somebody else", "cut off"}
    assert town.answers.counts["asked"] == len(seen)
    faulty = np_rows(town, "ABCD")
    talkers = set(town.log[town.log[:, 3] > 0, 1]) | set(town.log[town.log[:, 4] > 0, 2])
    assert talkers
    assert not talkers & faulty, "nobody whose brain failed has said a word"
    assert not any(question.person.name[0] in "ABCD" for question in questions(town))


def np_rows(town: Town, initials: str) -> set[int]:
    return {i for i, name in enumerate(town.world.names) if name[0] in initials}


def questions(town: Town) -> list[Question]:
    return [town.answers.question(kind, code) for kind, code in town.answers.known]


@pytest.mark.parametrize("name", ["timeout", "tries", "workers", "longest"])
def test_settings_that_cannot_be_say_why(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0; got 0"):
        ServerBrain("http://127.0.0.1:9/v1", "m", **{name: 0})
