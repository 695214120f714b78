"""What if the model is elsewhere? A brain behind a server with OpenAI's chat API.

The model is asked for `name: letter` and nothing else. Whatever comes instead is a
fault: it is counted by kind, the person does what the plan says, and not a word of it
is stored.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from smallscale.core.validation import finite_number, whole_number
from smallscale.models.served import (
    plain_address,
    reply_body,
    result_of,
    unfinished,
    was_cut,
)
from smallscale.simulation.brains import Fault
from smallscale.simulation.questions import Question
from smallscale.simulation.world import plain_name

SYSTEM_PROMPT = (
    "You decide for a person in a small town. "
    "Reply with their full name, a colon and the letter of one option."
)


class ServerBrain:
    """A model at an address such as http://127.0.0.1:8000/v1, as a brain.

    A question takes at most tries * timeout seconds, whatever the server does.

    tries: how often a busy, silent or failing server is asked. timeout: seconds for a
    try. workers: questions in flight at a time. max_tokens: of a reply. origin: what a
    checkpoint remembers of the server, by default its address without a password; give
    the old address where the same model has moved. Where a server wants a key, it is
    read from the environment, OPENAI_API_KEY. Raises ValueError for an address that is
    none, a number that is not above 0, and without the package openai.
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
        origin: str | None = None,
    ) -> None:
        try:
            import httpx
            import openai
        except ImportError as error:
            raise ValueError(
                "a server needs the package openai: pip install 'smallscale[llm]'"
            ) from error
        self.name = f"server model {model}"
        self.origin = plain_address(address) if origin is None else origin
        self.model = model
        self.timeout = finite_number("timeout", timeout, above=0)
        self.tries = whole_number("tries", tries)
        self.workers = whole_number("workers", workers)
        self.max_tokens = whole_number("max_tokens", max_tokens)
        certificates = httpx.create_ssl_context()  # read once, for it takes a while

        def client() -> openai.AsyncOpenAI:
            return openai.AsyncOpenAI(
                base_url=address,
                api_key=os.environ.get("OPENAI_API_KEY", "none"),
                timeout=self.timeout,
                max_retries=self.tries - 1,
                http_client=openai.DefaultAsyncHttpxClient(verify=certificates),
            )

        self._client = client

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        """Return the weights of each question's options, all on the one chosen."""
        return result_of(self._answer_all(questions))

    async def _answer_all(
        self, questions: Sequence[Question]
    ) -> list[Sequence[float] | Fault]:
        places = asyncio.Semaphore(self.workers)
        async with self._client() as client:

            async def answer_one(question: Question) -> Sequence[float] | Fault:
                async with places:
                    return await self._answer_one(client, question)

            return await asyncio.gather(*map(answer_one, questions))

    async def _answer_one(
        self, client: Any, question: Question
    ) -> Sequence[float] | Fault:
        try:
            async with asyncio.timeout(self.tries * self.timeout):
                body = await self._ask(client, question.text, SYSTEM_PROMPT)
            if body is None:
                return Fault("too long")
            choice = json.loads(body)["choices"][0]
            said = choice["message"]["content"]
            if unfinished(choice):
                return Fault("not finished")
            return parse(said, question, cut=was_cut(choice))
        except TimeoutError:
            return Fault("late")
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            return Fault("not a reply")
        except (
            Exception
        ) as error:  # openai's, or its libraries', which differ by version
            return fault_of(error)

    async def _ask(self, client: Any, text: str, system: str) -> bytes | None:
        """Return the body of the server's reply, or None if it does not end."""
        return await reply_body(
            client,
            model=self.model,
            messages=[
                {"role": "system", "content": system},
                {"role": "user", "content": text},
            ],
            max_tokens=self.max_tokens,
            temperature=0,
        )


def fault_of(error: Exception) -> Fault:
    """Return what went wrong with a request, for counting."""
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

    text: what the server said, `name: letter`, with or without a full stop. Names may
    hold colons, and are compared as `plain_name` writes them. cut: whether the server
    stopped the reply at its limit.
    """
    if cut:
        return Fault("cut off")
    if not isinstance(text, str) or not text.strip():
        return Fault("empty")
    said, _, rest = text.rpartition(":")
    name = plain_name(said)
    letter = rest.strip().removesuffix(".").rstrip()
    if not name or len(letter) != 1 or letter not in ascii_uppercase:
        return Fault("not in the grammar")
    if name != plain_name(question.person.name):
        others = {plain_name(other) for other in question.world.names}
        known = ":" not in name or name in others
        return Fault("for somebody else" if known else "not in the grammar")
    if letter not in question.letters:
        return Fault("not an option")
    return [float(letter == option) for option in question.letters]
