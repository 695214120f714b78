"""What if the model is elsewhere? A brain behind any server that speaks OpenAI's chat API, and all that can go wrong.

The model is asked for `name: letter` and nothing else. Whatever comes instead is a fault: it is counted by kind, the
person does what the plan says, and not a word of it is stored.
"""

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from smallscale.simulation.brains import Fault, Question

GRAMMAR = re.compile(r"\s*(?P<name>[^:]+?)\s*:\s*(?P<letter>[A-Z])\s*\.?\s*")
RULES = "You decide for a person in a small town. Reply with their full name, a colon and the letter of one option."


class ServerBrain:
    """A model at `address`, such as http://127.0.0.1:8000/v1, asked for several people at once.

    timeout: seconds for a try, and once more for the rest of a reply that has begun; tries: how often a busy, slow or
    failing server is asked; workers: questions in flight; longest: tokens of a reply.
    Raises ValueError for numbers that cannot be, and where the package openai is missing.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        api_key: str = "none",
        timeout: float = 30.0,
        tries: int = 2,
        workers: int = 4,
        longest: int = 24,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ValueError("a server needs the package openai: pip install 'smallscale[llm]'") from error
        for name, value in (("timeout", timeout), ("tries", tries), ("workers", workers), ("longest", longest)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0; got {value}")
        self.name, self.model, self.workers, self.longest = f"server model {model}", model, workers, longest
        self.timeout, self._openai = timeout, openai
        self._client = openai.OpenAI(base_url=address, api_key=api_key, timeout=timeout, max_retries=tries - 1)

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._one, questions))

    def _one(self, question: Question) -> Sequence[float] | Fault:
        messages: Any = [{"role": "system", "content": RULES}, {"role": "user", "content": question.text}]
        ask = self._client.chat.completions.with_streaming_response.create
        try:
            with ask(model=self.model, messages=messages, max_tokens=self.longest, temperature=0) as reply:
                body = _whole(reply, self.timeout)
            if isinstance(body, Fault):
                return body
            choice = json.loads(body)["choices"][0]
            text, ended = choice["message"]["content"], choice.get("finish_reason")
        except self._openai.APITimeoutError:
            return Fault("late")
        except self._openai.APIConnectionError:
            return Fault("unreachable")
        except self._openai.APIStatusError as error:
            return Fault(f"status {error.status_code}")
        except (AttributeError, LookupError, TypeError, ValueError, self._openai.OpenAIError):
            return Fault("not a reply")
        return parse(text, question, cut=ended == "length")


def _whole(reply: Any, seconds: float) -> bytes | Fault:
    """What the server sends, unless the connection breaks, or each part is in time but the whole is not."""
    body, end = b"", time.monotonic() + seconds
    try:
        for part in reply.iter_bytes():
            body += part
            if time.monotonic() > end:
                return Fault("late")
    except Exception as error:  # of whatever openai is built on, which differs from version to version
        return Fault("late" if "Timeout" in type(error).__name__ else "cut off")
    return body


def parse(text: object, question: Question, *, cut: bool = False) -> Sequence[float] | Fault:
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
