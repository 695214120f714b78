"""Can a run be put down and taken up again? Arrays and plain JSON in one safetensors file, written whole or not at
all, and read without running anything."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

VERSION = 2  # of the state's meaning; another one is refused


class Damaged(ValueError):
    """What is wrong inside a file, without its name."""


def write(path: str | Path, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
    """Put arrays and a record of plain values at `path`, in one rename when all is on the disk; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"version": str(VERSION), "record": json.dumps(record)}
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        part = Path(stream.name)
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part, metadata=metadata)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the record; ValueError, one line, for a file that is not a whole checkpoint of this version."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    with explained(path), safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if "version" not in metadata or "record" not in metadata:
            raise Damaged("it is not a checkpoint of a town")
        if metadata["version"] != str(VERSION):
            raise ValueError(
                f"{path} is a checkpoint of version {metadata['version']}, this program reads version {VERSION}; "
                "run the town again, or use the program that wrote it"
            )
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata["record"])  # noqa: SIM118


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Whatever is wrong with the file, in one line that begins with its name."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{path} is cut off or not a checkpoint ({error}); save the town again") from error
    except (Damaged, KeyError, TypeError, IndexError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}; save the town again") from error
