"""The server brain against `transformers serve`, with a model made on the spot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from smallscale.evaluation.holistic.latency import served_speed, speed_table
from smallscale.models.language_model import language_model
from smallscale.models.served import ServedModel, ServerFailed
from smallscale.models.serving import serve_command, serving
from smallscale.simulation import Town
from smallscale.simulation.brains import Fault
from smallscale.simulation.language import (
    experience,
    untrained_diarist,
    word_tokenizer,
)
from smallscale.simulation.questions import Question
from smallscale.simulation.server import SYSTEM_PROMPT, ServerBrain
from smallscale.simulation.words.speakers import ServerSpeaker
from smallscale.training.optimizers import make_optimizer

pytestmark = pytest.mark.skipif(
    serve_command() is None,
    reason="transformers serve is missing: pip install 'smallscale[llm]'",
)
pytest.importorskip(
    "openai", reason="openai is not installed: pip install 'smallscale[llm]'"
)

TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}Reply :"
HOURS = 12
REPLY = 5  # tokens: first name, last name, colon, letter, end
IGNORED = -100  # the target of tokens that the loss leaves out


def reply(question: Question) -> str:
    """What the model is taught to say: the plan, silence, the last topic, no."""
    return f"{question.person.name} : {question.letters[question.fallback]}"


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    towns = [Town(seed=seed).run(HOURS) for seed in range(6)]
    return [question for question, _ in experience(towns)]


@pytest.fixture(scope="module")
def folder(asked: list[Question], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a chat template, overfitted to reply in the grammar."""
    lines = [
        f"{SYSTEM_PROMPT} {question.text} Reply : {reply(question)}"
        for question in asked
    ]
    tokenizer = word_tokenizer([*lines, "<eos>"])
    tokenizer.add_special_tokens({"eos_token": "<eos>"})
    tokenizer.chat_template = TEMPLATE
    model = untrained_diarist(tokenizer)
    overfit(model, tokenizer, lines)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def overfit(model: Any, tokenizer: Any, lines: list[str]) -> None:
    """Teach the model the last tokens of these lines: the reply and its end."""
    rows = []
    for line in lines:
        ids = [*tokenizer(line).input_ids, tokenizer.eos_token_id]
        rows.append(torch.tensor(ids))
    optimizer = make_optimizer("adamw", model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        for batch in torch.randperm(len(rows), generator=generator).split(32):
            texts = [rows[i] for i in batch]
            ids = pad_sequence(texts, batch_first=True)
            targets = torch.full_like(ids, IGNORED)
            for k, text in enumerate(texts):
                targets[k, len(text) - REPLY : len(text)] = text[-REPLY:]
            logits = model(input_ids=ids).logits[:, :-1]
            loss = F.cross_entropy(
                logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The server's address, once it answers; it is stopped afterwards."""
    with serving(folder) as found:
        yield found


def test_the_model_is_asked_and_understood(
    address: str, folder: Path, asked: list[Question]
) -> None:
    brain = ServerBrain(address, str(folder), workers=2)
    some = asked[:: max(1, len(asked) // 25)]
    answers = brain.answer(some)
    right = []
    for question, answer in zip(some, answers, strict=True):
        if not isinstance(answer, Fault):
            taught = np.eye(len(question.letters))[question.fallback]
            right.append(list(answer) == taught.tolist())
    assert len(right) >= 0.8 * len(some), answers
    assert sum(right) >= 0.8 * len(right)


def test_a_town_lives_by_a_served_model(address: str, folder: Path) -> None:
    town = Town(seed=2, brain=ServerBrain(address, str(folder), workers=2)).run(HOURS)
    counts = town.answers.counts
    assert counts["asked"] > 50
    assert sum(town.faults.values()) < 0.2 * counts["asked"], town.faults
    assert len(town.answers.answered()) == counts["asked"] - sum(town.faults.values())


def test_a_served_model_is_asked_for_words(
    address: str, folder: Path, asked: list[Question]
) -> None:
    speaker = ServerSpeaker(address, str(folder))
    words = speaker.write([question.text for question in asked[:3]])
    assert not any(isinstance(each, Fault) for each in words), words
    assert all(words)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"max_tokens": 1}, "cut off"), ({"timeout": 1e-4}, "late")],
)
def test_real_faults_are_counted(
    address: str, folder: Path, asked: list[Question], settings: Any, fault: str
) -> None:
    assert (
        ServerBrain(address, str(folder), tries=1, **settings).answer(asked[:2])
        == [fault] * 2
    )


def test_latency_and_throughput_by_the_benchmarks_rules(
    address: str, folder: Path, asked: list[Question]
) -> None:
    prompts = list(dict.fromkeys(question.text for question in asked))[:21]
    served = ServedModel(address, str(folder), workers=2)
    found = speed_table({"served": served}, prompts, max_new_tokens=REPLY)
    row = found.loc["served"]
    assert (row.queries, row.samples, row.fault) == (10, 10, "")
    assert row.low <= row["p90, s"] <= row.high
    assert row["p90, s"] > 0
    assert row["samples a second"] > 0
    assert len(served.kept) == 21


def test_a_model_is_served_timed_and_the_server_ended(
    folder: Path, asked: list[Question]
) -> None:
    prompts = list(dict.fromkeys(question.text for question in asked))[:7]
    row = served_speed(language_model(folder), prompts=prompts, max_new_tokens=2)
    assert (row["queries"], row["samples"], row["fault"]) == (3, 3, "")
    assert row["p90, s"] > 0
    assert "cores" in row["where"]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "no model").write_text("")
    with (
        pytest.raises(ServerFailed, match="did not answer"),
        serving(tmp_path / "no model"),
    ):
        pass


def test_a_wrong_name_is_a_fault_and_no_measurement(
    address: str, asked: list[Question], tmp_path: Path
) -> None:
    served = ServedModel(address, str(tmp_path / "nothing"))
    prompts = [question.text for question in asked[:3]]
    row = speed_table({"served": served}, prompts, max_new_tokens=2).loc["served"]
    assert row.queries == row.samples == 0
    assert "gave no reply" in row.fault


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
