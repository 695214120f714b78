"""Every way in which a server can fail: each is counted, and nothing of it is kept."""

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smallscale.simulation import Town, World
from smallscale.simulation.brains import Fault, Scripted
from smallscale.simulation.questions import Question
from smallscale.simulation.server import ServerBrain, parse
from smallscale.simulation.world import PEOPLE

pytestmark = pytest.mark.filterwarnings("ignore:.* could not be used")
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
        (said("Maya Okoro: B", finish="content_filter"), "not finished"),
        (said("Maya Okoro: B", finish="abort"), "not finished"),
        (said(None, finish="tool_calls"), "not finished"),
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


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """raw(talk) gives the address of a server that does as it likes with a socket."""
    listeners: list[socket.socket] = []

    def start(talk: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve_one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):  # who asked has hung up
                talk(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):  # the test is over
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(
                        target=serve_one, args=(connection,), daemon=True
                    ).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield start
    for listener in listeners:
        listener.close()


def dripping(whole: bytes) -> Callable[[socket.socket], None]:
    """Send a reply a byte at a time, each of them long before the time is up."""

    def talk(connection: socket.socket) -> None:
        connection.recv(100_000)
        for byte in whole:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    return talk


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = b"".join(b"X-%d: 1\r\n" % k for k in range(10_000))
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 10_000


@pytest.mark.parametrize(
    "reply",
    [
        HEAD + ENDLESS,  # headers that never end
        HEAD + CHUNKS,  # a body that never ends
        HEAD + b"Content-Length: 9999\r\n\r\n" + b" " * 9999,
        b"HTTP/1.1 " + b"2" * 9999,  # not even a status
        b"HTTP/1.1 100 Continue\r\n\r\n" * 999,
        b"HTTP/1.1 500 Oh\r\n" + ENDLESS,
        b"HTTP/1.1 307 Go\r\nLocation: /v1/elsewhere\r\n" + ENDLESS,
    ],
)
@pytest.mark.parametrize("tries", [1, 3])
def test_a_whole_question_takes_no_more_than_its_tries(
    raw: Any, reply: bytes, tries: int
) -> None:
    brain = ServerBrain(raw(dripping(reply)), "m", timeout=0.3, tries=tries)
    begin = time.monotonic()
    assert brain.answer([QUESTION, QUESTION]) == ["late", "late"]
    assert time.monotonic() - begin < tries * 0.3 + 10  # a minute and more without


def test_a_server_that_asks_to_wait_is_not_waited_for(raw: Any) -> None:
    busy = (
        b"HTTP/1.1 429 Busy\r\nRetry-After: 50\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )

    def talk(connection: socket.socket) -> None:
        connection.recv(100_000)
        connection.sendall(busy)

    begin = time.monotonic()
    brain = ServerBrain(raw(talk), "m", timeout=0.3, tries=3)
    assert brain.answer([QUESTION]) == ["late"]
    assert time.monotonic() - begin < 30


def test_a_reply_that_is_as_fast_as_endless_is_too_long(raw: Any) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100_000)
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    brain = ServerBrain(raw(talk), "m", timeout=60, tries=1)
    assert brain.answer([QUESTION]) == ["too long"]


def test_a_name_that_is_not_found_in_time_is_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(*given: Any, **more: Any) -> Any:
        time.sleep(3)
        raise socket.gaierror("nobody knows")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    brain = ServerBrain("http://nobody.invalid/v1", "m", timeout=0.2, tries=1)
    begin = time.monotonic()
    assert brain.answer([QUESTION]) == ["late"]
    assert time.monotonic() - begin < 2.9


@pytest.mark.parametrize(
    "content",
    [
        " " * 200_000,
        ":" * 200_000,
        " : " * 60_000,
        "a " * 100_000,
        ("Maya " * 9 + ":") * 999,
    ],
)
def test_a_long_reply_takes_no_longer_than_its_length(content: str) -> None:
    assert parse(content, QUESTION) in ("empty", "not in the grammar")


def test_a_deeply_nested_reply_is_none(serve: Any) -> None:
    address, _ = serve(lambda _: (200, b"[" * 100_000))
    assert ServerBrain(address, "m", tries=1).answer([QUESTION]) == ["not a reply"]


def test_an_interruption_hangs_up(raw: Any) -> None:
    """The question would take minutes, and three more are waiting behind it."""
    brain = ServerBrain(raw(lambda _: time.sleep(60)), "m", timeout=60, workers=1)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    town = Town(seed=1, brain=brain)
    begin = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        town.run(24)
    assert time.monotonic() - begin < 50
    nights = Town(seed=1, brain=brain).run(town.step)  # in which nobody is asked
    assert town.digest() == nights.digest()


def test_it_answers_where_a_loop_is_running_as_in_a_notebook(serve: Any) -> None:
    address, _ = serve(lambda _: said("Maya Okoro: A"))
    brain = ServerBrain(address, "m", workers=2)

    async def cell() -> Any:
        return brain.answer([QUESTION] * 5)

    assert asyncio.run(cell()) == [[1, 0]] * 5
    assert brain.answer([]) == []


def test_no_more_questions_are_in_flight_than_there_are_workers(serve: Any) -> None:
    flying = [0]
    most = [0]
    lock = threading.Lock()

    def reply(text: str) -> tuple[int, Any]:
        with lock:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        time.sleep(0.05)
        with lock:
            flying[0] -= 1
        return said("Maya Okoro: A")

    address, seen = serve(reply)
    ServerBrain(address, "m", workers=3).answer([QUESTION] * 12)
    assert len(seen) == 12
    assert 1 < most[0] <= 3


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


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9/v1", "localhost", "", "ftp://a/v1", "http://:9", None, 9]
)
def test_an_address_that_is_none_says_why(address: Any) -> None:
    with pytest.raises(ValueError, match="address must be a server's, such as http:"):
        ServerBrain(address, "m")


NAMES = [
    "Dr: Ada",
    "  Padded   Person ",
    unicodedata.normalize("NFD", "Zoë Ångström"),
    "Ends with:",
    ": Begins",
    "A: B: C",
    "Ḍr. \u00a0 D",
    "X",
    "日本 太郎",
    "Maya: A",
]


def settled(name: str, **changed: Any) -> Any:
    return replace(PEOPLE[0], name=name, friends=(), **changed)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", NAMES)
def test_everybody_can_be_answered(name: str, form: Any, serve: Any) -> None:
    world = World([settled(each) for each in NAMES])
    question = Question(world, "talk", world.names.index(name), (1,))
    address, _ = serve(lambda _: said(f"{unicodedata.normalize(form, name)}: B"))
    assert ServerBrain(address, "m").answer([question]) == [[0, 1]]
    for said_name in (name, name.strip(), " ".join(name.split()), f"\n{name} "):
        assert parse(f"{said_name}: A", question) == [1, 0]
        assert parse(f"{said_name} :B.\n", question) == [0, 1]
    for other in NAMES:
        if other != name:
            assert parse(f"{other}: B", question) == "for somebody else"
    assert parse(f"I think {name}: B: A", question) == "not in the grammar"


def test_a_town_of_hard_names_lives_by_a_server(serve: Any) -> None:
    """Everybody's plan is followed, everybody's news is told: nothing is lost."""
    people = [
        replace(person, name=name, friends=())
        for person, name in zip(PEOPLE, NAMES, strict=False)
    ]
    world = World(people)
    by_start = {f"{name}, ": name for name in NAMES}

    def reply(text: str) -> tuple[int, Any]:
        (name,) = [name for start, name in by_start.items() if text.startswith(start)]
        before, _, _ = text.rpartition(f". {name} ")
        choices = before.split(". ")[-1]
        letter = choices.split(", ")[-1].split()[0]
        return said(f"{unicodedata.normalize('NFC', name).strip()}: {letter}")

    address, seen = serve(reply)
    town = Town(world, seed=1, brain=ServerBrain(address, "m")).run(10)
    assert town.faults == {}
    assert len(seen) > 30


def test_a_server_that_is_down_for_a_day_is_told_once_with_the_count() -> None:
    brain = ServerBrain("http://127.0.0.1:9/v1", "m", tries=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        town = Town(seed=1, brain=brain).run(24)
    (warning,) = caught
    count = town.faults["unreachable"]
    assert f"{count} answers of the brain 'server model m'" in str(warning.message)
    assert f"(unreachable: {count})" in str(warning.message)
    assert "\n" not in str(warning.message)
    assert warning.filename == __file__
    assert count > 300


def test_a_checkpoint_knows_the_server_and_the_model(serve: Any, tmp_path: Any) -> None:
    def reply(text: str) -> tuple[int, Any]:
        return said(f"{name_in(text)}: {last_letter_in(text)}")

    address, _ = serve(reply)
    elsewhere, _ = serve(reply)
    secret = address.replace("http://", "http://me:word@")
    path = tmp_path / "town"
    town = Town(3, seed=1, brain=ServerBrain(secret, "m")).run(8)
    town.save(path)
    assert b"word@" not in path.read_bytes()
    same = ServerBrain(f"{address}/", "m", timeout=5, workers=1)
    assert Town.load(path, brain=same).run(4).digest() == town.run(4).digest()
    with pytest.raises(ValueError, match=r"was run by .*server model m.* at 'h") as e:
        Town.load(path, brain=ServerBrain(elsewhere, "m"))
    assert "\n" not in str(e.value)
    moved = ServerBrain(elsewhere, "m", origin=address)
    assert Town.load(path, brain=moved).run(4).digest() == town.digest()
    with pytest.raises(ValueError, match="not 'server model other'"):
        Town.load(path, brain=ServerBrain(address, "other"))
