"""What if the model is elsewhere? A brain behind a server with OpenAI's chat API.

The model is asked for `name: letter` and nothing else. Whatever comes instead is a
fault: it is counted by kind, the person does what the plan says, and not a word of it
is stored.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from smallscale.core.validation import finite_number, whole_number
from smallscale.simulation.brains import Fault
from smallscale.simulation.questions import Question

REPLY = re.compile(r"\s*(?P<name>[^:]+?)\s*:\s*(?P<letter>[A-Z])\s*\.?\s*")
SYSTEM_PROMPT = (
    "You decide for a person in a small town. "
    "Reply with their full name, a colon and the letter of one option."
)


class ServerBrain:
    """A model at an address such as http://127.0.0.1:8000/v1, as a brain.

    timeout: seconds for a try, and as many again for the rest of a reply that has
    begun. tries: how often a busy, slow or failing server is asked. workers: questions
    in flight at a time. max_tokens: of a reply. Where a server wants a key, it is read
    from the environment, OPENAI_API_KEY. Raises ValueError for a number that is not
    above 0, and without the package openai.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        timeout: float = 30,
        tries: int = 2,
        workers: int = 4,
        max_tokens: int = 24,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ValueError(
                "a server needs the package openai: pip install 'smallscale[llm]'"
            ) from error
        self.name = f"server model {model}"
        self.model = model
        self.timeout = finite_number("timeout", timeout, above=0)
        self.workers = whole_number("workers", workers)
        self.max_tokens = whole_number("max_tokens", max_tokens)
        self._client = openai.OpenAI(
            base_url=address,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=self.timeout,
            max_retries=whole_number("tries", tries) - 1,
        )

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        """Return the weights of each question's options, all on the one chosen."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._answer_one, questions))

    def _answer_one(self, question: Question) -> Sequence[float] | Fault:
        try:
            body = self._ask(question.text)
            if body is None:
                return Fault("late")
            choice = json.loads(body)["choices"][0]
            was_cut = choice.get("finish_reason") == "length"
            return parse(choice["message"]["content"], question, cut=was_cut)
        except (AttributeError, LookupError, TypeError, ValueError):
            return Fault("not a reply")
        except (
            Exception
        ) as error:  # openai's, or its libraries', which differ by version
            return _fault_of(error)

    def _ask(self, text: str) -> bytes | None:
        """Return the body of the server's reply, or None if it takes too long."""
        messages: Any = [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": text},
        ]
        request = self._client.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=messages,
            max_tokens=self.max_tokens,
            temperature=0,
        )
        body = b""
        with request as reply:
            end = time.monotonic() + self.timeout
            for part in reply.iter_bytes():
                body += part
                if time.monotonic() > end:  # each part is in time but the whole is not
                    return None
        return body


def _fault_of(error: Exception) -> Fault:
    kind = type(error).__name__
    if "Timeout" in kind:
        return Fault("late")
    if hasattr(error, "status_code"):
        return Fault(f"status {error.status_code}")
    return Fault("unreachable" if kind == "APIConnectionError" else "cut off")


def parse(
    text: object, question: Question, *, cut: bool = False
) -> Sequence[float] | Fault:
    """Return a reply as weights, all on the option it names, or the Fault that it is.

    text: what the server said. cut: whether the server stopped the reply at its limit.
    """
    if cut:
        return Fault("cut off")
    if not isinstance(text, str) or not text.strip():
        return Fault("empty")
    match = REPLY.fullmatch(text)
    if match is None:
        return Fault("not in the grammar")
    if match["name"] != question.person.name:
        return Fault("for somebody else")
    if match["letter"] not in question.letters:
        return Fault("not an option")
    return [float(letter == match["letter"]) for letter in question.letters]
