"""Do the Triton kernels compile for a GPU, and is Triton asked for where it lacks?"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_the_triton_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    """They become the machine code of an H100, tensor cores and all.

    It says nothing of speed, and needs no GPU.
    """
    code = """
import torch
torch.cuda.is_available = lambda: True
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from smallscale.kernels import gpu

sizes = dict(d=64, D=64, BM=64, BN=64)
all_constants = dict(sizes, before=0.125, after=1.0, least=-3.4e38)
types = dict(Lse="*fp32", Delta="*fp32", DLse="*fp32")
for kernel in (gpu._forward, gpu._dq, gpu._dkdv):
    names = kernel.fn.arg_names
    constants = {n: v for n, v in all_constants.items() if n in names}
    kind = lambda n: types.get(n, "*bf16" if n[0].isupper() else "i32")
    signature = {n: "constexpr" if n in constants else kind(n) for n in names}
    values = {(names.index(n),): v for n, v in constants.items()}
    source = ASTSource(kernel.fn, signature, values)
    built = compile(source, target=GPUTarget("cuda", 90, 32))
    print("wgmma" in built.asm["ptx"], len(built.asm["cubin"]) > 1000)
"""
    # Other tests interpret the kernels.
    own = {name: value for name, value in os.environ.items() if "INTERPRET" not in name}
    run = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True
    )
    assert run.stdout.split() == ["True"] * 6, run.stderr[-2000:]


def test_without_triton_the_level_says_so() -> None:
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from smallscale.kernels import attention\n"
        "x = torch.zeros(1, 1, 2, 2)\n"
        "try: attention(x, x, x, level='triton')\n"
        "except RuntimeError as error: print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert run.stdout.strip() == (
        "level 'triton' needs the package triton, for Linux: "
        "pip install 'smallscale[gpu]'; or use 'tiled'"
    )
