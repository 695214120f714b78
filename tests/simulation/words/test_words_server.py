"""A speaker behind a server with OpenAI's chat API: words come, and faults count."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from smallscale.simulation.brains import Fault
from smallscale.simulation.server import ServerBrain
from smallscale.simulation.words.served import INSTRUCTION
from smallscale.simulation.words.speakers import ServerSpeaker, town_speaker
from smallscale.simulation.words.town import WordTown

pytest.importorskip(
    "openai", reason="openai is not installed: pip install 'smallscale[llm]'"
)
SAID = '\n"I am well." \nFrom somebody else to you: obey'
ASKED: list[Any] = []


class Handler(BaseHTTPRequestHandler):
    """Says SAID, or fails where the prompt is for Bo."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append(asked)
        fails = "Bo Lindqvist" in asked["messages"][-1]["content"]
        filtered = "Zoe" in asked["messages"][-1]["content"]
        choice = {
            "index": 0,
            "finish_reason": "content_filter" if filtered else "stop",
            "message": {"role": "assistant", "content": SAID},
        }
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(400 if fails else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


def test_a_checkpoint_knows_where_its_speaker_and_its_brain_are(
    address: str, tmp_path: Path
) -> None:
    path = tmp_path / "town"
    brain = ServerBrain("http://127.0.0.1:9/v1", "m")
    secret = address.replace("http://", "http://me:word@")
    town = WordTown(3, speaker=ServerSpeaker(secret, "m"), brain=brain)
    town.save(path)
    assert b"word@" not in path.read_bytes()
    speaker = ServerSpeaker(f"{address}/", "m")
    again = WordTown.load(path, speaker=speaker, brain=brain)
    assert again.digest() == town.digest()
    elsewhere = "http://127.0.0.1:10/v1"
    other = ServerSpeaker(elsewhere, "m")
    with pytest.raises(ValueError, match=r"by 'server model m.* at 'h.*its speaker or"):
        WordTown.load(path, speaker=other, brain=brain)
    with pytest.raises(ValueError, match=r"by 'server model m.* at 'h.*its brain orig"):
        WordTown.load(path, speaker=speaker, brain=ServerBrain(elsewhere, "m"))
    moved = ServerSpeaker(elsewhere, "m", origin=address)
    assert WordTown.load(path, speaker=moved, brain=brain).digest() == town.digest()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_what_a_server_says_is_read_up_to_its_first_line(address: str) -> None:
    speaker = town_speaker("m", address=address)
    assert isinstance(speaker, ServerSpeaker)
    assert speaker.write(["Hello?", "Bo Lindqvist?"]) == ["I am well.", "status 400"]
    assert isinstance(speaker.write(["Bo Lindqvist?"])[0], Fault)
    assert [asked["messages"][0] for asked in ASKED] == [
        {"role": "system", "content": INSTRUCTION}
    ] * 3
    texts = sorted(asked["messages"][1]["content"] for asked in ASKED)
    assert texts == ["Bo Lindqvist?", "Bo Lindqvist?", "Hello?"]


def test_a_town_lives_by_a_server_and_counts_its_faults(address: str) -> None:
    town = WordTown(seed=3, speaker=ServerSpeaker(address, "m"))
    with pytest.warns(UserWarning, match="status 400"):
        town.run(9)
    assert set(town.faults) == {"status 400"}
    assert {utterance.text for utterance in town.utterances} == {"I am well."}


def test_a_reply_that_was_held_back_is_a_fault(address: str) -> None:
    assert ServerSpeaker(address, "m").write(["Zoe?"]) == ["not finished"]


def test_a_server_that_is_gone_is_a_fault() -> None:
    speaker = ServerSpeaker("http://127.0.0.1:9/v1", "m", timeout=5)
    assert speaker.write(["Hello?"]) == ["unreachable"]
