"""What if the model is elsewhere? A brain behind any server that speaks OpenAI's chat API, and all that can go wrong.

The model is asked for `name: letter` and nothing else. Whatever comes instead is a fault: it is counted by kind, the
person does what the plan says, and not a word of it is stored.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from smallscale.simulation.brains import Fault, Question
from smallscale.simulation.checks import require

GRAMMAR = re.compile(r"\s*(?P<name>[^:]+?)\s*:\s*(?P<letter>[A-Z])\s*\.?\s*")
RULES = "You decide for a person in a small town. Reply with their full name, a colon and the letter of one option."


class ServerBrain:
    """A model at `address`, such as http://127.0.0.1:8000/v1, asked for several people at once.

    timeout: seconds for a try, and once more for the rest of a reply that has begun; tries: how often a busy, slow or
    failing server is asked; workers: questions in flight; longest: tokens of a reply. Where a server wants a key, it
    is read from the environment, OPENAI_API_KEY.
    Raises ValueError for numbers that cannot be, and where the package openai is missing.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        timeout: float = 30,
        tries: int = 2,
        workers: int = 4,
        longest: int = 24,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ValueError(
                "a server needs the package openai: pip install 'smallscale[llm]'"
            ) from error
        for name, value in {
            "timeout": timeout,
            "tries": tries,
            "workers": workers,
            "longest": longest,
        }.items():
            require(value > 0, f"{name} must be above 0; got {value}")
        self.name, self.model, self.workers, self.longest = (
            f"server model {model}",
            model,
            workers,
            longest,
        )
        self.timeout, key = timeout, os.environ.get("OPENAI_API_KEY", "none")
        self._client = openai.OpenAI(
            base_url=address, api_key=key, timeout=timeout, max_retries=tries - 1
        )

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._one, questions))

    def _one(self, question: Question) -> Sequence[float] | Fault:
        messages: Any = [
            {"role": "system", "content": RULES},
            {"role": "user", "content": question.text},
        ]
        ask = self._client.chat.completions.with_streaming_response.create
        body = b""
        try:
            with ask(
                model=self.model,
                messages=messages,
                max_tokens=self.longest,
                temperature=0,
            ) as reply:
                end = time.monotonic() + self.timeout
                for part in reply.iter_bytes():
                    body += part
                    if (
                        time.monotonic() > end
                    ):  # each part is in time but the whole is not
                        return Fault("late")
            choice = json.loads(body)["choices"][0]
            return parse(
                choice["message"]["content"],
                question,
                cut=choice.get("finish_reason") == "length",
            )
        except (AttributeError, LookupError, TypeError, ValueError):
            return Fault("not a reply")
        except Exception as error:  # of openai, or of what it is built on, which differs from version to version
            return _fault(error)


def _fault(error: Exception) -> Fault:
    kind = type(error).__name__
    if "Timeout" in kind:
        return Fault("late")
    if hasattr(error, "status_code"):
        return Fault(f"status {error.status_code}")
    return Fault("unreachable" if kind == "APIConnectionError" else "cut off")


def parse(
    text: object, question: Question, *, cut: bool = False
) -> Sequence[float] | Fault:
    """A reply as weights, all on the option it names; or the Fault that it is. cut: the server stopped it."""
    if cut:
        return Fault("cut off")
    if not isinstance(text, str) or not text.strip():
        return Fault("empty")
    match = GRAMMAR.fullmatch(text)
    if match is None:
        return Fault("not in the grammar")
    if match["name"] != question.person.name:
        return Fault("for somebody else")
    if match["letter"] not in question.letters:
        return Fault("not an option")
    return [float(letter == match["letter"]) for letter in question.letters]
