"""How fast does a model answer? By the rules of MLPerf's inference benchmark.

Reddi et al. 2020. In SingleStream one query is sent when the last is answered, and what
counts is the 90th percentile of latencies. In Offline all samples are there at once,
and what counts is how many are answered a second. The official runs have at least 1,024
queries, and at least ten minutes.
"""

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from time import gmtime, perf_counter, strftime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.evaluation.holistic.comparing import quantile_interval
from smallscale.models.language_model import LanguageModel, quiet_loading
from smallscale.models.served import ServedModel
from smallscale.models.serving import serving

PATIENCE = 300  # seconds for one answer, on a busy machine


class SingleStream(NamedTuple):
    """seconds: of each query that was answered. fault: what ended it early, or ""."""

    seconds: list[float]
    fault: str

    @property
    def p90(self) -> tuple[float, float, float]:
        """The 90th percentile of latencies, in seconds, and its 95 % interval's ends.

        Raises ValueError where nothing was answered.
        """
        return quantile_interval(self.seconds, 0.9)


class Offline(NamedTuple):
    """answered: how many samples. seconds: that they took. fault: as above."""

    answered: int
    seconds: float
    fault: str

    @property
    def throughput(self) -> float:
        """Samples a second."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0


def single_stream(
    ask: Callable[[str], object],
    prompts: Sequence[str],
    *,
    clock: Callable[[], float] = perf_counter,
) -> SingleStream:
    """Return the latencies of asking one prompt after another.

    Where a query fails the run ends, and what was measured is kept.
    """
    require(len(prompts) > 0, "prompts must not be empty")
    seconds: list[float] = []
    for prompt in prompts:
        start = clock()
        try:
            ask(prompt)
        except OSError as error:
            return SingleStream(seconds, str(error))
        seconds.append(clock() - start)
    return SingleStream(seconds, "")


def offline(
    ask: Callable[[Sequence[str]], Sequence[object]],
    prompts: Sequence[str],
    *,
    clock: Callable[[], float] = perf_counter,
) -> Offline:
    """Return how long all prompts took that were handed over at once."""
    require(len(prompts) > 0, "prompts must not be empty")
    start = clock()
    try:
        answered = len(ask(prompts))
    except OSError as error:
        return Offline(0, clock() - start, str(error))
    return Offline(answered, clock() - start, "")


def speed_table(
    models: Mapping[str, Any], prompts: Sequence[str], *, max_new_tokens: int
) -> pd.DataFrame:
    """Return for each model its 90th percentile and its throughput, and what failed.

    models: by name, each with `write`. Each is asked once before the clock starts, as a
    first answer may load what later ones use, and every prompt is timed when it is new:
    SingleStream has the first half of the prompts, Offline the rest.
    """
    require(len(prompts) >= 3, f"prompts must be 3 or more; got {len(prompts)}")
    rows = {
        name: _speed(model, prompts, max_new_tokens) for name, model in models.items()
    }
    return pd.DataFrame(rows).T.infer_objects()


def _speed(model: Any, prompts: Sequence[str], tokens: int) -> dict[str, Any]:
    """Return the row of one model."""

    def ask(some: Sequence[str]) -> list[str]:
        said: list[str] = model.write(some, max_new_tokens=tokens, stop=["\n"])
        return said

    def ask_one(prompt: str) -> list[str]:
        return ask([prompt])

    first, *others = prompts
    half = (len(others) + 1) // 2
    warmed = single_stream(ask_one, [first])
    single = single_stream(ask_one, others[:half])
    at_once = offline(ask, others[half:])
    p90, low, high = single.p90 if single.seconds else (np.nan, np.nan, np.nan)
    return {
        "p90, s": p90,
        "low": low,
        "high": high,
        "queries": len(single.seconds),
        "samples a second": at_once.throughput,
        "samples": at_once.answered,
        "fault": warmed.fault or single.fault or at_once.fault,
    }


def served_speed(
    live: LanguageModel, *, prompts: Sequence[str], max_new_tokens: int
) -> dict[str, Any]:
    """Return the row of `speed_table` for a model that `transformers serve` serves on
    this machine, and under "where" the machine and the day.

    live: a model and its tokenizer. They are saved to a folder that is removed.
    Raises ServerFailed where the server does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        with quiet_loading():
            live.model.save_pretrained(folder)
        live.tokenizer.save_pretrained(folder)
        with serving(folder) as address:
            model = ServedModel(address, folder, timeout=PATIENCE)
            row = _speed(model, prompts, max_new_tokens)
    return row | {"where": _where()}


def _where() -> str:
    """Return what a time depends on: processor cores, how busy, versions, day."""
    busy = ""
    if hasattr(os, "getloadavg"):
        busy = f", {os.getloadavg()[0]:.1f} processes at work"
    return (
        f"{os.cpu_count()} cores of {platform.machine()}{busy}, torch "
        f"{version('torch')}, transformers {version('transformers')}, "
        f"{strftime('%d %B %Y', gmtime())}"
    )
