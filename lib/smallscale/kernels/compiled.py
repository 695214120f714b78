"""Level cpp: how does `attention.cpp` come to run? Compiled when it is first asked for, kept for the next process."""

import hashlib
import os
import platform
import shutil
import sys
from functools import cache
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path
from torch import Tensor

SOURCE = Path(__file__).with_name("attention.cpp")
# Not -ffast-math: it may drop the careful steps of exp2, and assumes that no value is infinite or NaN.
FLAGS = ["-O3", "-std=c++20", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += (
    ["-mprefer-vector-width=512"] if platform.machine() in ("x86_64", "AMD64") else []
)
FLAGS += ["-fopenmp" if sys.platform == "linux" else "-fopenmp-simd"]


def forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor]:
    """(out, lse), as `tiled.forward`; tiles of `block` queries and four times as many keys, on torch's threads."""
    if q.device.type != "cpu":
        raise ValueError(
            f"level 'cpp' runs on the CPU; got tensors on {q.device}: move them, or use level 'triton'"
        )
    return library().forward(q, k, v, scale, offset, block)


def backward(
    dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """(dq, dk, dv), as `tiled.backward`; a thread takes whole heads of keys, so that sums keep one order."""
    return library().backward(dout, dlse, *saved, *settings)


@cache
def library() -> Any:
    """The compiled module, built where it has not been before. Raises RuntimeError where it cannot be, saying why."""
    # All that the machine code depends on, this processor's instructions included: home folders are shared.
    capabilities = getattr(
        torch.cpu, "get_capabilities", torch.backends.cpu.get_cpu_capability
    )()
    source = SOURCE.read_text(encoding="utf-8")
    known = "\0".join(
        [source, torch.__version__, sys.version, str(capabilities), *FLAGS]
    )
    name = f"smallscale_attention_{hashlib.sha256(known.encode()).hexdigest()[:16]}"
    folder = (
        Path(
            os.environ.get("TORCH_EXTENSIONS_DIR")
            or user_cache_path("smallscale") / "extensions"
        )
        / name
    )
    folder.mkdir(parents=True, exist_ok=True)
    built = str(folder / f"{name}.so")
    with FileLock(
        folder / "smallscale.lock"
    ):  # two processes that need it at once build it once
        if not os.path.exists(built):
            _build(name, source, folder)
    loader = ExtensionFileLoader(name, built)
    module = module_from_spec(ModuleSpec(name, loader, origin=built))
    loader.exec_module(module)
    return module


def missing() -> str:
    """What this machine lacks to compile, in words; empty where nothing is missing."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    if sys.platform == "win32":
        return "gcc or clang, which Windows has inside WSL"
    if shutil.which(compiler) is None:
        return f"a C++ compiler: {compiler} was not found (install g++ or clang, or name one in CXX)"
    return "" if shutil.which("ninja", path=_path()) else "ninja (pip install ninja)"


def _path() -> str:
    """Where programs are looked for: also beside this Python, whose folder need not be on the path; ninja is there."""
    return os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)])


def _build(name: str, source: str, folder: Path) -> None:
    if lacks := missing():
        raise RuntimeError(
            f"level 'cpp' is compiled when first used, and this machine lacks {lacks}; or use 'tiled'"
        )
    from torch.utils.cpp_extension import load_inline

    print(
        "smallscale: compiling attention.cpp, once, about half a minute",
        file=sys.stderr,
        flush=True,
    )
    before, os.environ["PATH"] = os.environ["PATH"], _path()
    (folder / "lock").unlink(
        missing_ok=True
    )  # load_inline's own; a build that was killed leaves it behind
    try:
        load_inline(
            name,
            source,
            extra_cflags=FLAGS,
            build_directory=str(folder),
            no_implicit_headers=True,
        )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
        raise RuntimeError(
            f"level 'cpp' could not be compiled: {(lines or [str(error)])[0]}; use 'tiled'"
        ) from error
    finally:
        os.environ["PATH"] = before
