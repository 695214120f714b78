"""What if the model is elsewhere? A model behind a server with OpenAI's chat API.

`transformers serve`, vLLM, llama.cpp and others have one.
"""

import asyncio
import json
import os
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

from smallscale.core.validation import finite_number, require, shown, whole_number

Result = TypeVar("Result")
LONGEST_WAIT = 0.2  # seconds until an interruption is noticed, also on Windows
MOST_BYTES = 1 << 20  # of a reply's body
# Why a text ended by itself: the API's word, none at all, and other servers' words.
WHOLE = (None, "stop", "eos", "eos_token", "stop_sequence", "end_turn")


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


async def reply_body(client: Any, **request: Any) -> bytes | None:
    """Return the body of a reply to a chat request, or None beyond `MOST_BYTES`.

    client: openai's, asynchronous. Whoever awaits this bounds its time, whether the
    server sends nothing, or byte after byte for ever.
    """
    body = b""
    sent = client.chat.completions.with_streaming_response.create(**request)
    async with sent as reply:
        async for part in reply.iter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                return None
    return body


def unfinished(choice: dict[str, Any]) -> str:
    """Return how a reply ended that is not the model's own text, or "".

    choice: the first in the body of a reply. A text that was cut at a limit of tokens
    is the model's own: whoever asked set the limit, or asks `was_cut`.

    >>> unfinished({"finish_reason": "content_filter", "message": {"content": "So"}})
    'content_filter'
    >>> unfinished({"finish_reason": "stop", "message": {"content": "So."}})
    ''
    """
    for calls in ("tool_calls", "function_call"):
        if choice["message"].get(calls):
            return calls
    reason = choice.get("finish_reason")
    return "" if reason in WHOLE or was_cut(choice) else str(reason)[:40]


def was_cut(choice: dict[str, Any]) -> bool:
    """Say whether a reply ended at a limit of tokens."""
    return choice.get("finish_reason") == "length"


def result_of(work: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine returns. An interruption of the caller ends it.

    It runs in a thread of its own, for in a notebook the caller's has a running loop.
    """
    loop = asyncio.new_event_loop()
    try:
        with ThreadPoolExecutor(1) as pool:
            task = loop.create_task(work)
            future = pool.submit(loop.run_until_complete, task)
            try:
                while not future.done():  # an interruption comes between two waits
                    wait([future], timeout=LONGEST_WAIT)
                return future.result()
            finally:
                loop.call_soon_threadsafe(task.cancel)  # where it is not done
    finally:
        loop.close()  # which does not wait for a name that is still looked up


class ServedModel:
    """A model at an address such as http://127.0.0.1:8000/v1, that continues texts.

    model: its name there. timeout: seconds for a whole answer, also where the server
    sends it drop by drop. workers: questions in flight
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
        self._openai = openai

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 64,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Return what the model replies to each prompt, greedily, up to a stop.

        As with a model that is here, a text is cut at max_new_tokens. Cut before that
        and before a stop, by a limit of the server's, held back by a filter, or without
        a text, for a tool is called or all tokens went into a reasoning that is not
        shown, it is no reply.
        Raises ServerFailed for the first that got no reply; replies that came are kept.
        """
        ends = tuple(stop)
        asked = [(prompt, max_new_tokens, ends) for prompt in prompts]
        new = [each for each in dict.fromkeys(asked) if each not in self.kept]
        if new:
            for fault in result_of(self._ask_all(new)):
                if fault:
                    raise ServerFailed(f"{plain_address(self.address)} {fault}"[:300])
        return [self.kept[each] for each in asked]

    async def _ask_all(self, new: list[tuple[str, int, tuple[str, ...]]]) -> list[str]:
        places = asyncio.Semaphore(self.workers)
        async with self._openai.AsyncOpenAI(
            base_url=self.address,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=self.timeout,
            max_retries=0,
        ) as client:

            async def ask_one(prompt: str, tokens: int, stop: tuple[str, ...]) -> str:
                async with places:
                    return await self._fault(client, prompt, tokens, stop)

            return await asyncio.gather(*(ask_one(*each) for each in new))

    async def _fault(
        self, client: Any, prompt: str, tokens: int, stop: tuple[str, ...]
    ) -> str:
        """Ask, keep the reply, and return "", or what went wrong.

        Half of a surrogate pair, which no file can hold, becomes U+FFFD.
        """
        try:
            async with asyncio.timeout(self.timeout):
                body = await reply_body(
                    client,
                    model=self.model,
                    messages=[{"role": "user", "content": prompt}],
                    max_tokens=tokens,
                    temperature=0,
                )
            if body is None:
                return f"gave a reply longer than {MOST_BYTES:,} bytes"
            reply = json.loads(body)
            choice = reply["choices"][0]
            text = choice["message"]["content"]
            ended = unfinished(choice)
            written = (reply.get("usage") or {}).get("completion_tokens") or tokens
            early = was_cut(choice) and (written < tokens or text == "")
        except TimeoutError:
            return f"gave no whole reply within {self.timeout:g} seconds"
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            return "gave a reply that is none of the chat API"
        except Exception as error:  # openai's, or its libraries', which differ
            return f"gave no reply: {type(error).__name__}: {error}"
        if ended:
            return f"did not finish its reply: {ended}"
        if not isinstance(text, str):
            return "replied without a text"
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = text.lstrip()  # a reply begins where a continued text would have a space
        places = [text.find(end) for end in stop if end in text]
        if early and not places:
            return (
                f"cut its reply after {written} of the {tokens} tokens asked for, "
                f"behind {len(text)} characters of text"
            )
        self.kept[prompt, tokens, stop] = text[: min(places)] if places else text
        return ""
