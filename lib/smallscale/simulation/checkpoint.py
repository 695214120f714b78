"""Can a run be put down and taken up again? Arrays and plain JSON in one safetensors file, written whole or not at
all, and read without running anything."""

import json
import os
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

VERSION = "3"  # of the state's meaning; another one is refused


def digest(record: str, arrays: dict[str, np.ndarray]) -> str:
    """A hash of a record and of all that is in the arrays: another one after any change."""
    total = sha256(record.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def write(path: str | Path, record: str, arrays: dict[str, np.ndarray]) -> None:
    """Put arrays and a record, JSON, at `path`, in one rename when all is on the disk; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"version": VERSION, "record": record, "digest": digest(record, arrays)}
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        part = Path(folder) / path.name
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            part,
            metadata=metadata,
        )
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record and the arrays; ValueError, one line, for a file that is not a whole checkpoint of this version."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata, arrays = (
                file.metadata() or {},
                {name: file.get_tensor(name) for name in file.keys()},
            )
    except SafetensorError as error:
        raise ValueError(
            f"{path} is cut off or not a checkpoint ({error}); save the town again"
        ) from error
    version, record = metadata.get("version"), metadata.get("record", "")
    if version != VERSION:
        what = (
            f"a checkpoint of version {version}"
            if version
            else "not a checkpoint of a town"
        )
        how = "run the town again, or use the program that wrote it"
        raise ValueError(
            f"{path} is {what}, this program reads version {VERSION}; {how}"
        )
    if metadata.get("digest") != digest(record, arrays):
        raise ValueError(
            f"{path} is damaged: its contents do not match their digest; save the town again"
        )
    return json.loads(record), arrays
