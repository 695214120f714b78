"""Level cpp: how does `attention.cpp` come to run? Compiled when it is first asked for, kept for the next process."""

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path
from torch import Tensor

SOURCE = Path(__file__).with_name("attention.cpp")


def forward(q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int) -> tuple[Tensor, Tensor]:
    """(out, lse), as `tiled.forward`; tiles of `block` queries and four times as many keys, on torch's threads."""
    _on_cpu(q)
    return library().forward(q, k, v, scale, offset, block)


def backward(
    dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(dq, dk, dv), as `tiled.backward`; a thread takes whole heads of keys, so that sums keep one order."""
    return library().backward(dout, dlse, *saved, scale, offset, block)


def _on_cpu(q: Tensor) -> None:
    if q.device.type != "cpu":
        raise ValueError(f"level 'cpp' runs on the CPU; got tensors on {q.device}: move them, or use level 'triton'")


@cache
def library() -> Any:
    """The compiled module, built where it has not been before. Raises RuntimeError where it cannot be, saying why."""
    # All that the machine code depends on, this processor's instructions included: home folders are shared.
    capabilities = getattr(torch.cpu, "get_capabilities", torch.backends.cpu.get_cpu_capability)()
    known = [SOURCE.read_text(encoding="utf-8"), torch.__version__, sys.version, str(capabilities), *_flags()]
    name = "smallscale_attention_" + hashlib.sha256("\0".join(known).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or user_cache_path("smallscale") / "extensions") / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "smallscale.lock"):  # two processes that need it at once build it once
        built = folder / f"{name}.so"
        if not built.exists():
            _build(name, folder)
        spec = importlib.util.spec_from_file_location(name, built)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def _flags() -> list[str]:
    # Not -ffast-math: it may drop the careful steps of exp2, and assumes that no value is infinite or NaN.
    flags = ["-O3", "-std=c++20", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
    if platform.machine() in ("x86_64", "AMD64"):
        flags.append("-mprefer-vector-width=512")
    return [*flags, "-fopenmp" if sys.platform == "linux" else "-fopenmp-simd"]


def missing() -> str:
    """What this machine lacks to compile, in words; empty where nothing is missing."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    if sys.platform == "win32":
        return "gcc or clang, which Windows has inside WSL"
    if shutil.which(compiler) is None:
        return f"a C++ compiler: {compiler} was not found (install g++ or clang, or name one in CXX)"
    if _ninja() is None:
        return "ninja (pip install ninja)"
    return ""


def _ninja() -> str | None:
    """Where ninja is: on the path, or beside this Python, whose folder need not be on the path."""
    return shutil.which("ninja") or shutil.which("ninja", path=str(Path(sys.executable).parent))


def _build(name: str, folder: Path) -> None:
    lacks = missing()
    if lacks:
        raise RuntimeError(f"level 'cpp' is compiled when first used, and this machine lacks {lacks}; or use 'tiled'")
    from torch.utils.cpp_extension import load_inline

    print("smallscale: compiling attention.cpp, once, about half a minute", file=sys.stderr, flush=True)
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([before, str(Path(_ninja() or "").parent)])
    (folder / "lock").unlink(missing_ok=True)  # load_inline's own; a build that was killed leaves it behind
    try:
        load_inline(
            name,
            cpp_sources=SOURCE.read_text(encoding="utf-8"),
            extra_cflags=_flags(),
            build_directory=str(folder),
            no_implicit_headers=True,
        )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
        raise RuntimeError(f"level 'cpp' could not be compiled: {(lines or [str(error)])[0]}; use 'tiled'") from error
    finally:
        os.environ["PATH"] = before
