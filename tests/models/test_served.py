"""Is a server asked once, understood, and what it said before it failed kept?"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from smallscale.models.served import ServedModel, ServerFailed, plain_address

pytest.importorskip(
    "openai", reason="openai is not installed: pip install 'smallscale[llm]'"
)


class Handler(BaseHTTPRequestHandler):
    """Replies with the prompt's last word; to some prompts, with a fault."""

    asked: ClassVar[list[dict]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        prompt = body["messages"][0]["content"]
        if "fail" in prompt:
            self.send_error(500)
            return
        content: object = f"  {prompt.split()[-1]}\nand more"
        if "nothing" in prompt:
            content = None
        if "half" in prompt:
            content = "a\ud83d b\U0001f600 \ude00"
        message = {"role": "assistant", "content": content}
        choice: dict = {"message": message}
        reply: dict = {"choices": [choice]}
        if prompt.startswith("{"):  # what the server is to say
            wanted = json.loads(prompt)
            choice["finish_reason"] = wanted.pop("finish", "stop")
            reply["usage"] = wanted.pop("usage", None)
            message.update(wanted)
        data = json.dumps(reply).encode()
        if "garbage" in prompt:
            data = b"[]"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if not {"drip", "endless"} & set(prompt.split()):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "drip" in prompt:  # a byte now and then, for ever
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
        if "endless" in prompt:
            with suppress(OSError):
                while True:
                    self.wfile.write(b" " * 65536)
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_half_of_a_surrogate_pair_is_no_part_of_a_reply(address: str) -> None:
    (said,) = ServedModel(address, "m").write(["half"])
    assert said == "a\ufffd b\U0001f600 \ufffd"
    said.encode()


CALL = [{"id": "1", "type": "function", "function": {"name": "look"}}]
FILTERED = {"finish": "content_filter"}
CUT = {"finish": "length"}


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (FILTERED | {"content": "Sorry"}, "did not finish its reply: content_filter"),
        (FILTERED | {"content": ""}, "did not finish its reply: content_filter"),
        (FILTERED | {"content": None}, "did not finish its reply: content_filter"),
        ({"finish": "tool_calls", "content": ""}, "did not finish its.*: tool_calls"),
        ({"content": "", "tool_calls": CALL}, "did not finish its.*: tool_calls"),
        ({"content": "", "function_call": CALL[0]}, "did not.*: function_call"),
        ({"finish": "abort", "content": "So"}, "did not finish its reply: abort"),
        ({"finish": "error", "content": "So"}, "did not finish its reply: error"),
        ({"content": None, "refusal": "I will not."}, "replied without a text"),
        (CUT | {"content": ""}, "cut its reply after 64 of the 64 tokens"),
        (CUT | {"content": None}, "replied without a text"),
        (
            CUT | {"content": "So it", "usage": {"completion_tokens": 16}},
            "cut its reply after 16 of the 64 tokens asked for, behind 5 characters",
        ),
    ],
)
def test_a_reply_that_is_not_whole_is_none(
    address: str, reply: dict, word: str
) -> None:
    model = ServedModel(address, "m")
    with pytest.raises(ServerFailed, match=word) as raised:
        model.write([json.dumps(reply)])
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(ServerFailed):  # nor was it kept
        model.write([json.dumps(reply)])


@pytest.mark.parametrize(
    ("reply", "stop"),
    [
        ({"content": "So it", "usage": None}, []),
        ({"content": "So it", "tool_calls": [], "function_call": None}, []),
        ({"content": "So it", "finish": "eos_token"}, []),
        (CUT | {"content": "So it"}, []),  # at max_new_tokens, as a model that is here
        (CUT | {"content": "So it", "usage": {"completion_tokens": 64}}, []),
        (CUT | {"content": "So it\nis", "usage": {"completion_tokens": 9}}, ["\n"]),
    ],
)
def test_a_reply_that_is_whole_as_far_as_it_was_asked_for(
    address: str, reply: dict, stop: list[str]
) -> None:
    said = ServedModel(address, "m").write([json.dumps(reply)], stop=stop)
    assert said == ["So it"]


def test_a_model_may_have_nothing_to_say(address: str) -> None:
    assert ServedModel(address, "m").write([json.dumps({"content": ""})]) == [""]


def test_a_reply_ends_at_the_stop_and_is_asked_for_once(address: str) -> None:
    model = ServedModel(address, "m")
    said = model.write(["say one", "say two", "say one"], stop=["\n"])
    assert said == ["one", "two", "one"]
    assert model.write(["say two"], stop=["\n"]) == ["two"]
    assert model.write(["say two"]) == ["two\nand more"]
    assert len(Handler.asked) == 3
    first = Handler.asked[0]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("m", 0, 64)


@pytest.mark.parametrize("word", ["fail", "nothing", "garbage"])
def test_what_was_said_before_a_fault_is_kept(address: str, word: str) -> None:
    model = ServedModel(address, "m", workers=1)
    with pytest.raises(ServerFailed, match=r"127\.0\.0\.1"):
        model.write(["say one", f"say {word}", "say three"])
    asked = len(Handler.asked)
    assert model.write(["say one", "say three"], stop=[])[0].startswith("one")
    assert len(Handler.asked) == asked


def test_a_reply_that_drips_takes_no_longer_than_the_timeout(address: str) -> None:
    model = ServedModel(address, "m", timeout=0.5)
    with pytest.raises(ServerFailed, match=r"no whole reply within 0\.5 seconds"):
        model.write(["say one", "drip"])  # it drips for ever
    assert model.write(["say one"])[0].startswith("one")


def test_a_reply_without_an_end_is_not_kept_in_memory(address: str) -> None:
    model = ServedModel(address, "m", timeout=60)
    with pytest.raises(ServerFailed, match="longer than"):
        model.write(["endless"])


def test_it_answers_where_an_event_loop_runs(address: str) -> None:
    """As in a notebook."""

    async def inside() -> list[str]:
        return ServedModel(address, "m").write(["say one"], stop=["\n"])

    assert asyncio.run(inside()) == ["one"]


def test_no_server_is_told_in_one_line_without_the_password() -> None:
    model = ServedModel("http://me:secret@127.0.0.1:9/v1", "m", timeout=5)
    with pytest.raises(ServerFailed) as raised:
        model.write(["hello"])
    assert "secret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "address", ["", "here", "ftp://x/v1", "http://", 3, "http://a:b"]
)
def test_an_address_that_is_none_is_refused(address: object) -> None:
    with pytest.raises(ValueError, match="address must be a server's"):
        plain_address(address)
    with pytest.raises(ValueError, match="address must be a server's"):
        ServedModel(address, "m")


def test_a_model_needs_a_name() -> None:
    with pytest.raises(ValueError, match="model must be"):
        ServedModel("http://127.0.0.1:9/v1", "")
