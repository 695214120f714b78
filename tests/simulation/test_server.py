"""Every way in which a server can fail: each is counted, and nothing of it is kept."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smallscale.simulation import Town, World
from smallscale.simulation.brains import Fault, Scripted
from smallscale.simulation.questions import Question
from smallscale.simulation.server import ServerBrain, parse

openai = pytest.importorskip(
    "openai", reason="openai is not installed: pip install 'smallscale[llm]'"
)

WORLD = World()
QUESTION = Question(WORLD, "talk", WORLD.names.index("Maya Okoro"), (1,))
Reply = Callable[[str], tuple[int, Any]]  # the question's text -> status and body


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """serve(reply) gives the address of a server that replies so, and what it is asked.

    send(write, data) writes the body; by default all of it at once.
    """
    servers: list[ThreadingHTTPServer] = []

    def start(
        reply: Reply, send: Callable[..., Any] = lambda write, data: write(data)
    ) -> tuple[str, list[str]]:
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
                with contextlib.suppress(ConnectionError):  # who asked has hung up
                    send(self.wfile.write, data)

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
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content},
    }
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
    }


@pytest.mark.parametrize(
    "text", ["Maya Okoro: B", " Maya Okoro : B.\n", "Maya Okoro:B"]
)
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
        ((200, b"null"), "not a reply"),
        ((200, b"\xff"), "not a reply"),
        ((200, b""), "not a reply"),
        ((200, {"choices": [{"message": None}]}), "not a reply"),
        ((200, b"<html>"), "not a reply"),
        ((200, {"choices": []}), "not a reply"),
    ],
)
def test_every_other_reply_is_a_fault_of_its_kind(
    reply: tuple[int, Any], fault: str, serve: Any
) -> None:
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
    assert ServerBrain(address, "m", timeout=0.2, tries=1).answer([QUESTION]) == [
        "late"
    ]
    assert time.monotonic() - begin < 1.5


def test_a_reply_that_drips_is_late(serve: Any) -> None:
    """Each byte is in time, the whole is not."""

    def drip(write: Callable[[bytes], Any], data: bytes) -> None:
        for byte in data:
            write(bytes([byte]))
            time.sleep(0.05)

    address, _ = serve(lambda _: said("Maya Okoro: A"), drip)
    begin = time.monotonic()
    assert ServerBrain(address, "m", timeout=0.3, tries=1).answer([QUESTION]) == [
        "late"
    ]
    assert time.monotonic() - begin < 2


def test_a_reply_whose_connection_breaks_is_cut_off(serve: Any) -> None:
    address, _ = serve(
        lambda _: said("Maya Okoro: A"), lambda write, data: write(data[:-20])
    )
    assert ServerBrain(address, "m", tries=1).answer([QUESTION]) == ["cut off"]
    address, _ = serve(
        lambda _: said("Maya Okoro: A"),
        lambda write, data: (write(data[:-20]), time.sleep(1)),
    )
    assert ServerBrain(address, "m", timeout=0.2, tries=1).answer([QUESTION]) == [
        "late"
    ]


def name_in(text: str) -> str:
    """The person whom a question is about."""
    return text.split(",")[0]


def last_letter_in(text: str) -> str:
    """The letter of a question's last option."""
    options = text.split(". ")[-2].split(", ")
    return options[-1].split()[0]


class Silent(Scripted):
    """Says the last option at once, but nothing for those whose names begin with A."""

    name = "server model m"

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [self.one(question) for question in questions]

    def one(self, question: Question) -> Any:
        if question.person.name[0] == "A":
            return Fault("late")
        last = question.letters[-1]
        return [float(letter == last) for letter in question.letters]


def test_a_right_answer_after_the_time_is_a_fault_and_goes_to_nobody(
    serve: Any,
) -> None:
    """Ada's and Anouk's answers come late: the town is as if they had never come."""

    def reply(text: str) -> tuple[int, Any]:
        name = name_in(text)
        if name[0] == "A":
            time.sleep(0.6)
        return said(f"{name}: {last_letter_in(text)}")

    address, seen = serve(reply)
    town = Town(seed=1, brain=ServerBrain(address, "m", timeout=0.3, tries=1)).run(9)
    late = [text for text in seen if text[0] == "A"]
    assert town.faults == {"late": len(late)}
    assert len(late) > 5
    assert town.digest() == Town(seed=1, brain=Silent()).run(9).digest()
    time.sleep(0.7)  # by now the last of them has been sent
    assert town.run(1).digest() == Town(seed=1, brain=Silent()).run(10).digest()
    assert not np_rows(town, "A") & set(town.log[town.log[:, 3] > 0, 1])


def test_a_server_that_is_down() -> None:
    assert (
        ServerBrain("http://127.0.0.1:9/v1", "m", tries=1).answer([QUESTION] * 3)
        == ["unreachable"] * 3
    )


def test_a_town_goes_on_beside_a_server_that_fails_now_and_then(serve: Any) -> None:
    """A right answer for some, kinds of faults for others; only the first is kept."""

    def reply(text: str) -> tuple[int, Any]:
        name = name_in(text)
        bad = {
            "A": said("gibberish"),
            "B": (500, b"broken pipe"),
            "C": said("Zeus: A"),
            "D": said("", "length"),
        }
        return bad.get(name[0], said(f"{name}: {last_letter_in(text)}"))

    address, seen = serve(reply)
    town = Town(seed=1, brain=ServerBrain(address, "m", tries=1)).run(12)
    assert set(town.faults) == {
        "not in the grammar",
        "status 500",
        "for somebody else",
        "cut off",
    }
    assert town.answers.counts["asked"] == len(seen)
    faulty = np_rows(town, "ABCD")
    talkers = set(town.log[town.log[:, 3] > 0, 1]) | set(
        town.log[town.log[:, 4] > 0, 2]
    )
    assert talkers
    assert not talkers & faulty, "nobody whose brain failed has said a word"
    assert not any(question.person.name[0] in "ABCD" for question in questions(town))


def np_rows(town: Town, initials: str) -> set[int]:
    return {i for i, name in enumerate(town.world.names) if name[0] in initials}


def questions(town: Town) -> list[Question]:
    return [question for question, _ in town.answers.answered()]


@pytest.mark.parametrize("name", ["timeout", "tries", "workers", "max_tokens"])
def test_settings_that_cannot_be_say_why(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"{name} must be a .*(above 0|at least 1); got 0"
    ):
        ServerBrain("http://127.0.0.1:9/v1", "m", **{name: 0})
