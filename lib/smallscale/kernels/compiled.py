"""Level cpp: how does `attention.cpp` come to run? It is compiled once, then kept."""

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
# Not -ffast-math: it may drop the careful steps of exp2, and assumes that no value is
# infinite or NaN.
FLAGS = ["-O3", "-std=c++20", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS.append("-mprefer-vector-width=512")
FLAGS.append("-fopenmp" if sys.platform == "linux" else "-fopenmp-simd")


def forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor]:
    """Return (out, lse), as `tiled.forward`.

    A tile has `block` queries and four times as many keys; it runs on torch's threads.
    """
    if q.device.type != "cpu":
        raise ValueError(
            f"level 'cpp' runs on the CPU; got tensors on {q.device}: move them, "
            "or use level 'triton'"
        )
    results: tuple[Tensor, Tensor] = library().forward(q, k, v, scale, offset, block)
    return results


def backward(
    dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dq, dk, dv), as `tiled.backward`.

    One thread takes whole heads of keys, so that sums keep one order.
    """
    gradients: tuple[Tensor, Tensor, Tensor]
    gradients = library().backward(dout, dlse, *saved, *settings)
    return gradients


@cache
def library() -> Any:
    """Return the compiled module; build it where it was never built before.

    Raises RuntimeError, with the reason, where it cannot be built.
    """
    source = SOURCE.read_text(encoding="utf-8")
    name = _build_name(source)
    folder = _extensions_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / f"{name}.so"
    # Two processes that need it at once build it once.
    with FileLock(folder / "smallscale.lock"):
        if not built.exists():
            _build(name, source, folder)
    loader = ExtensionFileLoader(name, str(built))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(built)))
    loader.exec_module(module)
    return module


def missing() -> str:
    """Return in words what this machine lacks to compile; empty if it lacks nothing."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    if sys.platform == "win32":
        return "gcc or clang, which Windows has inside WSL"
    if shutil.which(compiler) is None:
        advice = "install g++ or clang, or name one in CXX"
        return f"a C++ compiler: {compiler} was not found ({advice})"
    if shutil.which("ninja", path=_search_path()) is None:
        return "ninja (pip install ninja)"
    return ""


def _search_path() -> str:
    """Return where programs are looked for: PATH, and the folder of this Python.

    ninja is there, and that folder need not be on PATH.
    """
    return os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)])


def _build_name(source: str) -> str:
    """Return a name made of all that the machine code depends on.

    The processor's instructions belong to it, since several machines may share a home
    folder.
    """
    older_torch = torch.backends.cpu.get_cpu_capability
    capabilities = getattr(torch.cpu, "get_capabilities", older_torch)()
    known = [source, torch.__version__, sys.version, str(capabilities), *FLAGS]
    digest = hashlib.sha256("\0".join(known).encode()).hexdigest()
    return f"smallscale_attention_{digest[:16]}"


def _extensions_folder() -> Path:
    """Return the folder for compiled modules: torch's if it was named, else our own."""
    named = os.environ.get("TORCH_EXTENSIONS_DIR")
    return (
        Path(named).expanduser()
        if named
        else user_cache_path("smallscale") / "extensions"
    )


def _build(name: str, source: str, folder: Path) -> None:
    """Compile the source into the folder."""
    if lacks := missing():
        raise RuntimeError(
            f"level 'cpp' is compiled when first used, and this machine lacks {lacks}; "
            "or use 'tiled'"
        )
    from torch.utils import cpp_extension  # only here: it looks for compilers

    compile_inline: Any = cpp_extension.load_inline
    words = "smallscale: compiling attention.cpp, once, about half a minute"
    print(words, file=sys.stderr, flush=True)
    # load_inline has a lock of its own, which a build that was killed leaves behind.
    (folder / "lock").unlink(missing_ok=True)
    path_before = os.environ["PATH"]
    os.environ["PATH"] = _search_path()
    try:
        compile_inline(
            name,
            source,
            extra_cflags=FLAGS,
            build_directory=str(folder),
            no_implicit_headers=True,
        )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
        reason = lines[0] if lines else str(error)
        message = f"level 'cpp' could not be compiled: {reason}; use 'tiled'"
        raise RuntimeError(message) from error
    finally:
        os.environ["PATH"] = path_before
