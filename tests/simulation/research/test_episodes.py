"""Tasks, actions, policies, replies and exercises: what goes wrong is told."""

import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smallscale.models import RecordedModel
from smallscale.models.language_model import is_here
from smallscale.simulation.research.exercises import (
    check_edit,
    check_inside,
    check_policy,
)
from smallscale.simulation.research.explorer import code_diff, trace_explorer
from smallscale.simulation.research.judge import Judge
from smallscale.simulation.research.language import (
    RECORDED,
    model_policy,
    parse_action,
    recorded_policy,
    server_policy,
)
from smallscale.simulation.research.policies import run_policy
from smallscale.simulation.research.table import success_table
from smallscale.simulation.research.tasks import FOLDER, NAMES, draw, load_task
from smallscale.simulation.research.workspace import Episode

LEAK = {"file": "train.py", "old": "slice(0, 14)", "new": "slice(0, 13)"}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(load_task("leak"), 0)


@pytest.mark.parametrize("file", ["README.txt", "train.py.txt", "task.json"])
def test_a_folder_with_a_missing_or_damaged_file_is_refused(
    tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "leak"
    shutil.copytree(FOLDER / "leak", folder)
    assert load_task("leak", folder) == load_task("leak")
    if file == "task.json":
        (folder / file).write_text("{")
        with pytest.raises(ValueError, match="damaged"):
            load_task("leak", folder)
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"has no {file}"):
        load_task("leak", folder)


@pytest.mark.parametrize("name", NAMES)
def test_data_is_the_seeds(name: str) -> None:
    first, again, other = draw(name, 0), draw(name, 0), draw(name, 1)
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert set(load_task(name).expert) <= {edit.name for edit in load_task(name).edits}


def test_every_fault_is_told_and_costs_a_step(judge: Judge) -> None:
    with Episode(judge, steps=6) as episode:
        assert "no such action" in episode.act("dance")
        assert "needs a text" in episode.act("edit", {"file": "train.py"})
        wrong = LEAK | {"old": "nowhere"}
        assert "does not apply: old fits 0" in episode.act("edit", wrong)
        assert "nothing to undo" in episode.act("undo")
        assert episode.fault("the reply is no action") == (
            "refused: the reply is no action"
        )
        assert episode.steps_left == 1
        assert all(step.fault for step in episode.trace)
        assert episode.act("list").split()[0] == "README.txt"
        assert episode.over
        assert episode.act("list") == "the episode is over"
        assert len(episode.trace) == 6


@pytest.mark.parametrize("text", ["x = '\ud800'", "\udcff"])
def test_a_text_that_cannot_be_written_leaves_the_file_as_it_was(
    judge: Judge, text: str
) -> None:
    with Episode(judge) as episode:
        before = episode.code
        told = episode.act("write", {"file": "train.py", "text": text})
        assert told == "refused: the text holds half of a surrogate pair"
        first = before.splitlines()[0]
        given = {"file": "train.py", "old": first + "\n", "new": text}
        assert "half of a surrogate pair" in episode.act("edit", given)
        assert episode.code == before
        assert episode.act("undo") == "refused: nothing to undo"


def test_undo_takes_back_an_edit_and_a_new_file(judge: Judge) -> None:
    with Episode(judge) as episode:
        episode.act("edit", LEAK)
        episode.act("write", {"file": "new.py", "text": "1"})
        assert episode.act("undo") == "undone"
        assert not (episode.workspace / "new.py").exists()
        assert "13" in episode.code
        episode.act("undo")
        assert episode.code == judge.task.code


def test_running_code_uses_up_the_seconds(judge: Judge) -> None:
    with Episode(judge, seconds=0.3) as episode:
        episode.act("write", {"file": "x.py", "text": "while True: pass"})
        assert episode.act("execute", {"file": "x.py"}).startswith("out of time")
        assert episode.over


def test_nothing_is_no_success_and_the_expert_is(judge: Judge) -> None:
    nothing = run_policy("do nothing", judge)
    expert = run_policy("expert", judge)
    assert (nothing.gain, nothing.success) == (0, False)
    assert expert.success
    assert expert.gain > 0.5
    table = success_table([nothing, expert])
    assert table.set_index(["policy", "task"]).share["expert", "all"] == 1
    scene, sliders = trace_explorer([nothing, expert], start=("expert", "leak"))
    shown = scene("expert", "leak", 999)
    assert "success" in shown
    assert "+COLUMNS = slice(0, 13)" in shown
    assert code_diff(nothing, 1) == "unchanged"
    assert "was not run" in scene("expert", "outliers", 1)
    assert set(sliders) == {"policy", "task", "step"}


@pytest.mark.parametrize(
    "reply",
    [
        "I would try more epochs.",
        "Action: edit train.py",
        "Action: [1]",
        'Action: {"file": "train.py"}',
        "Action: " + "[" * 100_000,
        'Action: {"action": 3}',
    ],
)
def test_a_reply_that_is_no_action_is_refused(judge: Judge, reply: str) -> None:
    with pytest.raises(ValueError, match="action"):
        parse_action(reply)
    with Episode(judge) as episode:
        model_policy(lambda _: reply)(episode, np.random.default_rng(0))
        assert [step.action for step in episode.trace][:3] == ["none"] * 3
        assert episode.finished


@pytest.fixture
def serve() -> Iterator[Callable[[list[Any]], str]]:
    """serve(replies) gives the address of a server that sends them in turn."""
    servers = []

    def start(replies: list[Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                status, body = (200, reply) if isinstance(reply, str) else reply
                message = {"message": {"role": "assistant", "content": body}}
                data = json.dumps({"choices": [message]}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()


def test_a_model_behind_a_server_solves_a_task(judge: Judge, serve: Any) -> None:
    pytest.importorskip("openai")
    edit = "The shelf leaks. Action: " + json.dumps({"action": "edit"} | LEAK)
    address = serve([edit, 'Action: {"action": "final answer"}'])
    result = run_policy("server", judge, server_policy(address, "m"))
    assert result.success
    assert result.trace[0].words == "The shelf leaks."


@pytest.mark.parametrize("reply", [(500, "x"), "", (200, None), (429, "wait")])
def test_a_server_that_fails_is_told(judge: Judge, serve: Any, reply: Any) -> None:
    pytest.importorskip("openai")
    result = run_policy("server", judge, server_policy(serve([reply]), "m"))
    assert not result.success
    assert result.trace[0].fault.startswith("the server")
    assert len(result.trace) == 4  # three faults and the answer
    assert result.trace[0].words != "x"


def test_a_server_that_is_not_there_is_told(judge: Judge) -> None:
    pytest.importorskip("openai")
    policy = server_policy("http://127.0.0.1:9/v1", "m", timeout=5)
    assert "the server failed" in run_policy("server", judge, policy).trace[0].fault


def test_a_server_that_drips_is_not_waited_for(judge: Judge) -> None:
    """A byte now and then keeps every read within its time, and not the reply."""
    pytest.importorskip("openai")
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
                while not over.wait(0.1):
                    connection.sendall(b" ")

    threading.Thread(target=drip, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        policy = server_policy(address, "m", timeout=0.5)
        result = run_policy("server", judge, policy)
    finally:
        over.set()
        listener.close()
    assert result.trace[0].fault == "no reply within 0.5 seconds"
    assert not result.success


def test_what_is_recorded_of_smollm2_is_what_it_says(
    judge: Judge, tmp_path: Path
) -> None:
    recorded = run_policy("m", judge, recorded_policy(RecordedModel(RECORDED)))
    assert not recorded.success
    if not is_here():
        pytest.skip("SmolLM2 is not here")
    live = RecordedModel(tmp_path / "empty.jsonl")
    asked = run_policy("m", judge, recorded_policy(live))
    assert live.asked > 0
    assert [s.words for s in asked.trace] == [s.words for s in recorded.trace]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "Not answered"),
        ("slice", "Give an action"),
        ({"action": "edit"} | LEAK | {"file": "README.txt"}, "Only train.py"),
        ({"action": "edit"} | LEAK | {"old": "x"}, "refused"),
        ({"action": "edit"} | LEAK | {"new": "slice("}, "no score"),
        ({"action": "edit"} | LEAK | {"new": "slice(13, 14)"}, "At seed"),
        ({"action": "edit"} | LEAK, "Right"),
    ],
)
def test_an_edit_is_checked(given: Any, told: str) -> None:
    assert told in check_edit(given, task="leak", seeds=range(50, 51))


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda folder, name: None, "Not answered"),
        (lambda folder, name: True, "climbs out"),
        (lambda folder, name: False, "plain name"),
        (lambda folder, name: ".." not in name, "stays inside"),
        (lambda folder, name: not name.startswith(("/", "..")), "only a name"),
        (
            lambda folder, name: str((folder / name).resolve()).startswith(str(folder)),
            "compare parts",
        ),
        (
            lambda folder, name: (folder / name).resolve().is_relative_to(folder),
            "Right",
        ),
    ],
)
def test_a_fence_is_checked(function: Any, told: str) -> None:
    assert told in check_inside(function)


def test_a_policy_is_checked() -> None:
    how = {"goal": 1, "seed": 3, "tasks": ("leak",)}

    def answers(hands: Any, random: Any) -> None:
        hands.act("final answer")

    def solves(hands: Any, random: Any) -> None:
        assert not hasattr(hands, "judge")
        hands.act("edit", LEAK)

    assert "Not answered" in check_policy(lambda hands, random: None, **how)
    assert "0 of 1" in check_policy(answers, **how)
    assert "Right" in check_policy(solves, **how)
