"""Are latency and throughput counted by the rules, with a clock that is ours?"""

from collections.abc import Callable, Sequence

import pytest

from smallscale.evaluation.holistic.latency import offline, single_stream, speed_table


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taking(clock: Clock, seconds: Sequence[float]) -> Callable[[str], str]:
    left = iter(seconds)

    def ask(prompt: str) -> str:
        clock.now += next(left)
        return prompt

    return ask


def test_the_90th_percentile_of_one_after_another() -> None:
    clock = Clock()
    seconds = [k / 100 for k in range(100, 0, -1)]
    found = single_stream(taking(clock, seconds), ["q"] * 100, clock=clock)
    assert found.seconds == pytest.approx(seconds)
    assert found.p90[0] == pytest.approx(0.9)
    assert found.fault == ""


def test_a_server_that_fails_midway_keeps_what_was_measured() -> None:
    clock = Clock()

    def ask(prompt: str) -> None:
        clock.now += 1
        if prompt == "bad":
            raise ConnectionError("cut off")

    found = single_stream(ask, ["good", "good", "bad", "good"], clock=clock)
    assert found.seconds == [1, 1]
    assert found.fault == "cut off"
    nothing = single_stream(ask, ["bad"], clock=clock)
    with pytest.raises(ValueError, match="values"):
        _ = nothing.p90


def test_throughput_is_samples_a_second() -> None:
    clock = Clock()

    def ask(prompts: Sequence[str]) -> Sequence[str]:
        clock.now += 4
        return prompts

    found = offline(ask, ["q"] * 10, clock=clock)
    assert (found.answered, found.seconds, found.throughput) == (10, 4, 2.5)

    def fail(prompts: Sequence[str]) -> Sequence[str]:
        raise OSError("gone")

    assert offline(fail, ["q"], clock=clock) == (0, 0, "gone")
    assert offline(fail, ["q"], clock=clock).throughput == 0
    with pytest.raises(ValueError, match="prompts"):
        offline(ask, [])


def test_every_prompt_is_new_when_it_is_timed() -> None:
    asked: list[list[str]] = []

    class Model:
        def write(self, prompts, *, max_new_tokens, stop):
            asked.append(list(prompts))
            if "bad" in prompts:
                raise OSError("gone")
            return ["x"] * len(prompts)

    row = speed_table({"m": Model()}, list("abcde"), max_new_tokens=2).loc["m"]
    assert asked == [["a"], ["b"], ["c"], ["d", "e"]]
    assert (row.queries, row.samples, row.fault) == (2, 2, "")
    row = speed_table({"m": Model()}, ["a", "b", "bad", "d", "e"], max_new_tokens=2)
    assert (row.queries["m"], row.samples["m"], row.fault["m"]) == (1, 2, "gone")
    with pytest.raises(ValueError, match="3 or more"):
        speed_table({}, ["a"], max_new_tokens=2)
