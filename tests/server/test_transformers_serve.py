"""The town's OpenAI brain against a real server: `transformers serve` on loopback, with a model made on the spot."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import torch.nn.functional as F

from smallscale.simulation import Town
from smallscale.simulation.brains import Question
from smallscale.simulation.language import experience, new_model, word_tokenizer
from smallscale.simulation.server import RULES, ServerBrain

SERVE = shutil.which(
    "transformers",
    path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
)
pytestmark = pytest.mark.skipif(
    SERVE is None, reason="transformers serve is missing: pip install 'smallscale[llm]'"
)
pytest.importorskip(
    "openai", reason="openai is not installed: pip install 'smallscale[llm]'"
)

TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}Reply :"
HOURS = 12


def reply(question: Question) -> str:
    """What the model is taught to say: the plan, silence, the last topic, no."""
    return f"{question.person.name} : {question.letters[question.fallback]}"


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    return [
        question
        for question, _ in experience(Town(seed=s).run(HOURS) for s in range(6))
    ]


@pytest.fixture(scope="module")
def folder(asked: list[Question], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a tokenizer and a chat template of its own, overfitted to reply in the grammar."""
    lines = [f"{RULES} {question.text} Reply : {reply(question)}" for question in asked]
    tokenizer = word_tokenizer([*lines, "<eos>"])
    tokenizer.add_special_tokens({"eos_token": "<eos>"})
    tokenizer.chat_template = TEMPLATE
    model = new_model(tokenizer, hidden_size=64, intermediate_size=128)
    rows = [
        torch.tensor([*tokenizer(line).input_ids, tokenizer.eos_token_id])
        for line in lines
    ]
    tail = 5  # first name, last name, colon, letter, end
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        for batch in torch.randperm(len(rows), generator=generator).split(32):
            ids = torch.nn.utils.rnn.pad_sequence(
                [rows[i] for i in batch], batch_first=True
            )
            targets = torch.full_like(ids, -100)
            for k, i in enumerate(batch):
                targets[k, len(rows[i]) - tail : len(rows[i])] = rows[i][-tail:]
            logits = model(input_ids=ids).logits[:, :-1]
            loss = F.cross_entropy(
                logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address, once it answers; it is stopped afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("hf")
    (home / "hub").mkdir()
    words = [
        str(SERVE),
        "serve",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    words += ["--device", "cpu", "--dtype", "float32"]
    log = home / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            words,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=1)
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        else:
            pytest.fail(f"the server did not answer:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_the_model_is_asked_and_understood(
    address: str, folder: Path, asked: list[Question]
) -> None:
    brain = ServerBrain(address, str(folder), workers=2)
    some = asked[:: max(1, len(asked) // 25)]
    answers = brain.answer(some)
    right = [
        list(answer)
        == [
            float(letter == question.letters[question.fallback])
            for letter in question.letters
        ]
        for question, answer in zip(some, answers, strict=True)
        if not isinstance(answer, str)
    ]
    assert len(right) >= 0.8 * len(some), answers
    assert sum(right) >= 0.8 * len(right)


def test_a_town_lives_by_a_served_model(address: str, folder: Path) -> None:
    town = Town(seed=2, brain=ServerBrain(address, str(folder), workers=2)).run(HOURS)
    counts = town.answers.counts
    assert counts["asked"] > 50
    assert sum(town.faults.values()) < 0.2 * counts["asked"], town.faults
    assert len(town.answers.said()) == counts["asked"] - sum(town.faults.values())


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"longest": 1}, "cut off"), ({"timeout": 1e-4}, "late")],
)
def test_real_faults_are_counted(
    address: str, folder: Path, asked: list[Question], settings: Any, fault: str
) -> None:
    assert (
        ServerBrain(address, str(folder), tries=1, **settings).answer(asked[:2])
        == [fault] * 2
    )


def test_a_model_that_is_not_there(
    address: str, asked: list[Question], tmp_path: Path
) -> None:
    (answer,) = ServerBrain(address, str(tmp_path / "nothing"), tries=1).answer(
        asked[:1]
    )
    assert answer.startswith("status ")


def test_a_server_that_is_stopped_is_unreachable(
    folder: Path, asked: list[Question]
) -> None:
    assert ServerBrain("http://127.0.0.1:9/v1", str(folder), tries=1).answer(
        asked[:1]
    ) == ["unreachable"]
