"""Can a language model do it? Prompts, replies that are read as actions, and a server.

A reply is read as JSON, never evaluated. Whatever is no action is told in the trace.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.core.validation import finite_number, require, whole_number
from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT
from smallscale.models.served import MOST_BYTES, reply_body, result_of
from smallscale.simulation.research.policies import Policy
from smallscale.simulation.research.workspace import ACTIONS, Episode

# What SmolLM2 answered in the notebook's episodes; it need not be there.
RECORDED = KEPT / "research.jsonl"
TOKENS = 64  # of a reply
MOST_REPLIES = 5
MOST_FAULTS = 3  # one after the other, after which the model is not asked again
MOST_SHOWN = 300  # characters of an observation in the next prompt
SECONDS = re.compile(r"\d+\.\d+ s\b")
EXAMPLE = """\
Task: Predict prices. train.py writes predictions.csv.
Code:
RATE = 0.001
Thought: The rate is too low.
Action: {"action": "edit", "file": "train.py", "old": "RATE = 0.001", "new": \
"RATE = 0.1"}
Observation: written
Thought: Try it.
Action: {"action": "execute", "file": "train.py"}
Observation: validation error: 0.10
Thought: It is better.
Action: {"action": "final answer"}

"""
INSTRUCTION = f"""\
You improve a program. Reply with one thought and one action in JSON, as in the example.
The actions are {", ".join(ACTIONS)}.

"""
Writer = Callable[[str], str]  # a prompt -> the reply; ServerFailed where none came


class ServerFailed(Exception):
    """No reply came; its text says why."""


def opening(episode: Episode) -> str:
    """Return the task as a model is told it: an example, the README, the code."""
    task = episode.judge.task
    return f"{EXAMPLE}Task: {task.readme}Code:\n{task.code}Thought:"


def parse_action(reply: str) -> tuple[str, dict[str, Any], str]:
    """Return action, arguments and words of a reply `thought, Action: {JSON}`.

    Raises ValueError for a reply that holds no such action.

    >>> parse_action('Try it. Action: {"action": "execute", "file": "train.py"}')
    ('execute', {'file': 'train.py'}, 'Try it.')
    """
    words, found, rest = reply.partition("Action:")
    require(found, "the reply is no action")
    try:
        given, _ = json.JSONDecoder().raw_decode(rest.strip())
    except (ValueError, RecursionError) as error:
        raise ValueError("the action is not JSON") from error
    require(isinstance(given, dict), "the action is no JSON object")
    action = given.pop("action", None)
    require(isinstance(action, str), "the JSON names no action")
    return action, given, words.strip()


def model_policy(write: Writer) -> Policy:
    """Return a policy that asks a model for each step: prompt -> reply."""

    def policy(episode: Episode, random: np.random.Generator) -> None:
        prompt = opening(episode)
        faults = 0
        for _ in range(MOST_REPLIES):
            if episode.over or faults == MOST_FAULTS:
                break
            reply = ""
            try:
                reply = write(prompt)
                action, arguments, words = parse_action(reply)
            except (ServerFailed, ValueError) as error:
                told = episode.fault(str(error), reply.strip())
            else:
                told = episode.act(action, arguments, words)
            failed = bool(episode.trace[-1].fault)
            faults = faults + 1 if failed else 0
            told = SECONDS.sub("some s", told)[:MOST_SHOWN]
            prompt += f" {reply.strip()}\nObservation: {told}\nThought:"
        if not episode.over:
            episode.act("final answer")

    return policy


def recorded_policy(model: RecordedModel) -> Policy:
    """Return the policy of a model whose replies may be recorded, greedy.

    Raises NotRecorded, when it runs, where the model would be asked and is not there.
    """

    def write(prompt: str) -> str:
        stop = ["Observation", "Task:"]
        return model.write([prompt], max_new_tokens=TOKENS, stop=stop)[0]

    return model_policy(write)


def server_policy(
    address: str, model: str, *, timeout: float = 60, max_tokens: int = 400
) -> Policy:
    """Return the policy of a model behind a server with OpenAI's chat API.

    Where it wants a key, OPENAI_API_KEY is read from the environment. timeout: seconds
    for a whole reply, also where the server sends it drop by drop. A server that fails
    is told in the trace and costs a step. Raises ValueError without the package openai.
    """
    try:
        import openai
    except ImportError as error:
        raise ValueError(
            "a server needs the package openai: pip install 'smallscale[llm]'"
        ) from error
    limit = finite_number("timeout", timeout, above=0)
    most = whole_number("max_tokens", max_tokens)

    async def asked(prompt: str) -> Any:
        async with (
            asyncio.timeout(limit),
            openai.AsyncOpenAI(
                base_url=address,
                api_key=os.environ.get("OPENAI_API_KEY", "none"),
                timeout=limit,
                max_retries=0,
            ) as client,
        ):
            body = await reply_body(
                client,
                model=model,
                messages=[{"role": "user", "content": INSTRUCTION + prompt}],
                max_tokens=most,
                temperature=0,
            )
            if body is None:
                raise ServerFailed(f"the reply is longer than {MOST_BYTES:,} bytes")
            return json.loads(body)["choices"][0]["message"]["content"]

    def write(prompt: str) -> str:
        try:
            text = result_of(asked(prompt))
        except TimeoutError as error:
            raise ServerFailed(f"no reply within {limit:g} seconds") from error
        except openai.OpenAIError as error:
            raise ServerFailed(f"the server failed: {type(error).__name__}") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ServerFailed("the server's reply is none") from error
        if not isinstance(text, str) or not text.strip():
            raise ServerFailed("the server's reply is empty")
        return text

    return model_policy(write)
