"""Can a page show a real model's words where the model is not? What it said is kept.

A store is a file of JSON lines. Each holds one answer and all on which it depends: the
model's identity, the prompt and the settings. Its key is the hash of these, so that a
changed prompt is another question.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Generator, Tensor

from smallscale.core.validation import one_of, require, shown
from smallscale.models import smollm2
from smallscale.models.generation import write
from smallscale.models.identity import model_hash
from smallscale.models.language_model import SMOLLM2, LanguageModel, language_model
from smallscale.models.options import option_logps, option_table
from smallscale.models.smollm2 import ModelMissing

# Where this checkout keeps what SmolLM2 said to the notebooks; it need not be there.
KEPT = Path(__file__).parents[3] / "data" / "language_model"
FIELDS = {"key", "model", "prompt", "settings", "answer"}
ASK = ("never", "if new", "always")


class NotRecorded(ModelMissing):
    """A question is not in the store, and the model that could answer is not here."""


class RecordedModel:
    """A language model that is asked only what is not recorded of it.

    path: the store, a file of JSON lines; it need not be there. name: as in
    `language_model`. record: whether new answers are added to the store. The model is
    loaded when it is first needed. asked: how many answers came from the model itself.
    Raises ValueError, with its number, for a line of the store that is damaged or whose
    key is not the hash of what it says.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str | os.PathLike[str] = SMOLLM2,
        *,
        record: bool = False,
    ) -> None:
        self.path = Path(path).expanduser()
        self.name = name
        self.record = record
        self.asked = 0
        self._answers = read_store(self.path)

    @cached_property
    def live(self) -> LanguageModel:
        """The model itself and its tokenizer. Raises ModelMissing where it is not."""
        return language_model(self.name)

    @cached_property
    def identity(self) -> str:
        """What the store calls the model: a name with the hash of what it computes."""
        if self.name == SMOLLM2:  # known without the model
            return f"{SMOLLM2} {smollm2.GGUF_SHA256[:16]}"
        return f"{Path(self.name).name} {model_hash(*self.live)[:16]}"

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        seed: int = 0,
    ) -> list[str]:
        """Return how the model continues each prompt, as `generation.write` does.

        seed: of what is drawn at a temperature above 0. Equal prompts with equal
        settings have equal answers.
        """
        settings: dict[str, Any] = {"max_new_tokens": max_new_tokens}
        if temperature:
            settings |= {"temperature": temperature, "seed": seed}
        if stop:
            settings["stop"] = list(stop)

        def ask(missing: list[int]) -> list[Any]:
            asked = [prompts[i] for i in missing]
            generators = [
                Generator().manual_seed(int(self._key(prompt, settings)[:15], 16))
                for prompt in asked
            ]
            return list(
                write(
                    *self.live,
                    asked,
                    max_new_tokens=max_new_tokens,
                    temperature=temperature,
                    stop=stop,
                    generator=generators,
                )
            )

        return self._answered(prompts, [settings] * len(prompts), ask)

    def option_logps(
        self,
        prompts: Sequence[str],
        options: Sequence[str] | Sequence[Sequence[str]],
        *,
        normalize: str = "none",
    ) -> Tensor:
        """Return log p(option | prompt), (prompts, options), as `option_logps` does.

        options: strings offered after every prompt, or for each prompt a list of as
        many.
        """
        table = option_table(prompts, options)
        settings = [{"options": row, "normalize": normalize} for row in table]

        def ask(missing: list[int]) -> list[Any]:
            logps = option_logps(
                *self.live,
                [prompts[i] for i in missing],
                [table[i] for i in missing],
                normalize=normalize,
            )
            return [[round(value, 6) for value in row] for row in logps.tolist()]

        rows = self._answered(prompts, settings, ask)
        return torch.tensor(rows, dtype=torch.double)

    def result_of(
        self,
        work: Callable[..., Any],
        /,
        *,
        ask: str = "if new",
        **settings: Any,
    ) -> Any:
        """Return work(language_model, **settings), recorded like an answer.

        For what takes minutes, such as a training and what the model writes after it.
        work is given a model of its own, which it may change; settings and result must
        be what JSON can hold, and tuples among them become lists. In the store its
        module and name stand in place of a prompt: a change of its code is not seen, so
        a test should do a short part of it again.
        ask: "never" gives what is recorded and starts no work; "if new" does the work
        where nothing is recorded; "always" does it whatever is recorded, and records
        nothing.
        Raises NotRecorded where there is no record, and no model or ask is "never".
        Raises ValueError for a work that its module does not have under its name, such
        as a lambda or a function within another: others have that name too. Raises it
        for settings that JSON cannot hold, such as a dict whose keys are numbers.

        >>> model = RecordedModel("none.jsonl")
        >>> model.result_of(len, ask="never", steps=2)
        Traceback (most recent call last):
        ...
        smallscale.models.recorded.NotRecorded: "builtins.len" with these settings is \
not recorded in none.jsonl, and is too long a work to be done here
        """
        one_of("ask", ask, ASK)
        for setting, value in settings.items():
            require(
                _is_json(value),
                f"{setting} must be what JSON can hold: numbers, text, True, False, "
                "None, and lists and dicts of these whose keys are text; got "
                f"{shown(value)}",
            )
        settings = _as_json(settings)
        name, question = _work_question(work, settings)
        if ask == "always":
            try:
                model = language_model(self.name)
            except ModelMissing as error:
                raise NotRecorded(f'"{name}" cannot be done: {error}') from error
            return _as_json(work(model, **settings))
        if ask == "never" and self._key(name, question) not in self._answers:
            raise NotRecorded(
                f'"{name}" with these settings is not recorded in {self.path}, and is '
                "too long a work to be done here"
            )

        def do(missing: list[int]) -> list[Any]:
            return [_as_json(work(language_model(self.name), **settings))]

        (result,) = self._answered([name], [question], do)
        return result

    def _answered(
        self,
        prompts: Sequence[str],
        settings: list[dict[str, Any]],
        ask: Callable[[list[int]], list[Any]],
    ) -> list[Any]:
        """Return the recorded answers, and those of the model where there is none.

        ask: the places of prompts that are new -> the model's answers to them.
        """
        require(
            not isinstance(prompts, str),
            "prompts must be a list of strings; got one string",
        )
        keys = [self._key(p, s) for p, s in zip(prompts, settings, strict=True)]
        missing = {
            key: i for i, key in enumerate(keys) if key not in self._answers
        }  # equal questions are asked once
        if missing:
            try:
                answers = ask(list(missing.values()))
            except ModelMissing as error:
                raise NotRecorded(
                    f"{len(missing)} of {len(set(keys))} prompts are not recorded in "
                    f"{self.path}, the first {prompts[min(missing.values())]!r:.80}; "
                    f"and {error}"
                ) from error
            self.asked += len(answers)
            lines = [
                {
                    "key": key,
                    "model": self.identity,
                    "prompt": prompts[i],
                    "settings": settings[i],
                    "answer": answer,
                }
                for (key, i), answer in zip(missing.items(), answers, strict=True)
            ]
            self._answers |= {line["key"]: line["answer"] for line in lines}
            if self.record:
                append(self.path, lines)
        return [self._answers[key] for key in keys]

    def _key(self, prompt: str, settings: dict[str, Any]) -> str:
        return question_key(self.identity, prompt, settings)


def _work_question(
    work: Callable[..., Any], settings: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return what stands in a store as the prompt and the settings of a work.

    No prompt has these settings. Those of this package's works are recorded as they
    are, under the bare name, which one of its works has.
    """
    module = str(getattr(work, "__module__", None))
    name = str(getattr(work, "__qualname__", None))
    require(
        getattr(sys.modules.get(module), name, None) is work,
        "work must be a function that its module has under its own name, not a lambda "
        f"or a function within another; got {shown(name)} of {module}",
    )
    if module.partition(".")[0] == __name__.partition(".")[0]:
        return name, settings
    return f"{module}.{name}", {"work": settings}


def _as_json(value: Any) -> Any:
    """Return a value as it comes back from a store: tuples as lists."""
    return json.loads(json.dumps(value))


def _is_json(value: Any) -> bool:
    """Tell whether JSON holds this value as it is, but for tuples."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def question_key(model: str, prompt: str, settings: dict[str, Any]) -> str:
    """Return the hash that names a question: 64 hexadecimal digits."""
    question = [model, prompt, settings]
    return sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def read_store(path: Path) -> dict[str, Any]:
    """Return the answers of a store by key; none where the file is not there.

    Raises ValueError, with its number, for a line that is damaged or does not match its
    key.
    """
    answers: dict[str, Any] = {}
    if not path.exists():
        return answers
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = json.loads(text)
            whole = isinstance(line, dict) and line.keys() == FIELDS
        except ValueError:
            whole = False
        require(
            whole
            and line["key"]
            == question_key(line["model"], line["prompt"], line["settings"]),
            f"{path}, line {number}: not a recorded answer with the key of its "
            "question; remove the line",
        )
        answers[line["key"]] = line["answer"]
    return answers


def append(path: Path, lines: list[dict[str, Any]]) -> None:
    """Add lines to a store, whole, whoever else writes there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with FileLock(f"{path}.lock"), path.open("a", encoding="utf-8") as file:
        file.write(text)
