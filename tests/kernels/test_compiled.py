"""Does level cpp say what it lacks, and what it cannot take?"""

import sys
from typing import Any

import pytest
import torch

from smallscale.kernels import attention, compiled

needs_compiler = pytest.mark.skipif(
    bool(compiled.missing()), reason=f"no {compiled.missing()}"
)
Q, K = torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 6, 8)


def test_without_a_compiler_cpp_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiled.library.cache_clear()
    with pytest.raises(
        RuntimeError, match="lacks a C\\+\\+ compiler: no-such-compiler was not found"
    ):
        attention(Q, K, K, level="cpp")
    monkeypatch.setattr(compiled, "_search_path", str)  # nowhere to look
    monkeypatch.setenv("CXX", sys.executable)
    with pytest.raises(
        RuntimeError, match="lacks ninja \\(pip install ninja\\); or use 'tiled'"
    ):
        attention(Q, K, K, level="cpp")


def test_a_compiler_that_fails_is_quoted_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    if compiled.missing():
        pytest.skip(compiled.missing())
    broken = tmp_path / "attention.cpp"
    broken.write_text("int main( {")
    monkeypatch.setattr(compiled, "SOURCE", broken)
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    compiled.library.cache_clear()
    with pytest.raises(
        RuntimeError,
        match=r"level 'cpp' could not be compiled: .*error: .*; use 'tiled'",
    ) as caught:
        attention(Q, K, K, level="cpp")
    assert "\n" not in str(caught.value)
    compiled.library.cache_clear()


@needs_compiler
def test_cpp_turns_away_what_is_not_on_the_cpu() -> None:
    with pytest.raises(
        ValueError, match="level 'cpp' runs on the CPU; got tensors on meta"
    ):
        attention(Q.to("meta"), K.to("meta"), K.to("meta"), level="cpp")
