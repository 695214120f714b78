"""What if the model is elsewhere? A model behind a server with OpenAI's chat API.

`transformers serve`, vLLM, llama.cpp and others have one.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from smallscale.core.validation import finite_number, require, shown, whole_number


class ServerFailed(OSError):
    """A server did not answer, or not as it was asked to."""


def plain_address(address: Any) -> str:
    """Return a server's address without user and password, or refuse it.

    >>> plain_address("http://me:secret@127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    wanted = "address must be a server's, such as http://127.0.0.1:8000/v1"
    refused = f"{wanted}; got {shown(address)}"
    require(isinstance(address, str), refused)
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:  # a port that is no number
        raise ValueError(refused) from error
    require(parts.scheme in ("http", "https") and parts.hostname, refused)
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"


class ServedModel:
    """A model at an address such as http://127.0.0.1:8000/v1, that continues texts.

    model: its name there. timeout: seconds for one answer. workers: questions in flight
    at a time. Where the server wants a key it is read from the environment,
    OPENAI_API_KEY. An answer is kept: what was asked once is not asked again.
    Raises ValueError for an address that is none and without the package openai.
    """

    def __init__(
        self, address: str, model: str, *, timeout: float = 60, workers: int = 4
    ) -> None:
        plain_address(address)
        require(model, "model must be the name of a model that the server has")
        self.address = address
        self.model = model
        self.timeout = finite_number("timeout", timeout, above=0)
        self.workers = whole_number("workers", workers)
        self.kept: dict[tuple[Any, ...], str] = {}
        try:
            import openai
        except ImportError as error:
            raise ValueError(
                "a server needs the package openai: pip install 'smallscale[llm]'"
            ) from error
        self._errors = openai.OpenAIError

    @cached_property
    def _client(self) -> Any:
        import openai

        return openai.OpenAI(
            base_url=self.address,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=self.timeout,
            max_retries=0,
        )

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 64,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Return what the model replies to each prompt, greedily, up to a stop.

        Raises ServerFailed for the first that got no reply; replies that came are kept.
        """
        ends = tuple(stop)
        asked = [(prompt, max_new_tokens, ends) for prompt in prompts]
        new = [each for each in dict.fromkeys(asked) if each not in self.kept]
        if new:
            with ThreadPoolExecutor(min(self.workers, len(new))) as pool:
                faults = list(pool.map(lambda each: self._fault(*each), new))
            for fault in faults:
                if fault:
                    raise ServerFailed(fault)
        return [self.kept[each] for each in asked]

    def _fault(self, prompt: str, tokens: int, stop: tuple[str, ...]) -> str:
        """Ask, keep the reply, and return "", or what went wrong."""
        try:
            reply = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=tokens,
                temperature=0,
            )
            text = reply.choices[0].message.content
        except (self._errors, AttributeError, LookupError, TypeError) as error:
            where = plain_address(self.address)
            return f"{where} gave no reply: {type(error).__name__}: {error}"[:300]
        if not isinstance(text, str):
            return f"{plain_address(self.address)} replied without a text"
        text = text.lstrip()  # a reply begins where a continued text would have a space
        places = [text.find(end) for end in stop if end in text]
        self.kept[prompt, tokens, stop] = text[: min(places)] if places else text
        return ""
