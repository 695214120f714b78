"""Can a run be put down and taken up again? Arrays and JSON in one safetensors file.

The file is written whole or not at all, and read without running anything in it.
"""

import json
import os
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

VERSION = "4"  # of the state's meaning; a file of another version is refused


def digest(record: str, arrays: dict[str, np.ndarray]) -> str:
    """Return a hash of a record and of all arrays; any change gives another one."""
    total = sha256(record.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def write(path: str | Path, record: str, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays and a JSON record to `path`, by one rename; folders are made.

    A `~` in front of the path is the home folder, as it is for `read`.
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"version": VERSION, "record": record, "digest": digest(record, arrays)}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        part = Path(folder) / path.name
        save_file(whole, part, metadata=metadata)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())  # on the disk before it gets its name
        part.replace(path)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the record and the arrays of a checkpoint.

    Raises FileNotFoundError, and ValueError, one line, for a file that is not a whole
    checkpoint of this version.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    metadata, arrays = _opened(path)
    version = metadata.get("version")
    if version is None:
        raise ValueError(f"{path} is not a checkpoint of a town; choose another file")
    if version != VERSION:
        raise ValueError(
            f"{path} is a checkpoint of version {version}, this program reads version "
            f"{VERSION}; run the town again, or use the program that wrote it"
        )
    record = metadata.get("record", "")
    if metadata.get("digest") != digest(record, arrays):
        raise ValueError(
            f"{path} is damaged: its contents do not match their digest; "
            "save the town again"
        )
    contents: dict[str, Any] = json.loads(record)
    return contents, arrays


def _opened(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return the metadata and the arrays of a safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            arrays = {name: file.get_tensor(name) for name in names}
            return file.metadata() or {}, arrays
    except SafetensorError as error:
        raise ValueError(
            f"{path} is cut off or not a checkpoint ({error}); save the town again"
        ) from error
