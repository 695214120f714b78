"""What is in an IDX file, the format of MNIST? A magic number, the sizes, then the bytes."""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

ELEMENT_TYPES = {
    0x08: "unsigned byte",
    0x09: "signed byte",
    0x0B: "short",
    0x0C: "int",
    0x0D: "float",
    0x0E: "double",
}
BLOCK = 1 << 20  # bytes read at once


def read_idx(path: str | Path, *, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, gzipped or not: big-endian sizes, then the values.

    The header is not believed: no more memory is taken than the file has bytes for.
    Raises ValueError, one line with the file's name, for a file that is not exactly such an array.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"  # by its first bytes: a name can lie
            file.seek(0)
            return _read_idx(
                path, gzip.GzipFile(fileobj=file) if zipped else file, dimensions
            )
    except EOFError as error:
        raise ValueError(
            f"{path} is cut off: its gzip stream ends early; copy or download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is damaged: {error}; copy or download it again"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_idx(
    path: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int
) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES:
        start = f"{magic.hex(' ') or 'nothing'}, where 00 00 08 {dimensions:02x} is expected"
        raise ValueError(
            f"{path} is not an IDX file: it starts with {start}; give MNIST's own files"
        )
    kind = ELEMENT_TYPES[magic[2]]
    if kind != "unsigned byte":
        raise ValueError(
            f"{path} holds elements of type {kind} (0x{magic[2]:02x}); only unsigned byte (0x08) is read"
        )
    if magic[3] != dimensions:
        what = (
            "images have 3: count, height, width"
            if dimensions == 3
            else "labels have 1: count"
        )
        raise ValueError(
            f"{path} has {magic[3]} dimensions; {what}. Are image and label files swapped?"
        )
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(
            f"{path} is cut off inside its header; copy or download it again"
        )
    shape = tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))
    sides = " x ".join(map(str, shape))
    if 0 in shape:
        raise ValueError(
            f"{path} is empty: its header says {sides}; at least one is needed"
        )
    promised, values = prod(shape), bytearray()
    while len(values) <= promised and (block := stream.read(BLOCK)):
        values += block
    if len(values) != promised:
        there = f"{len(values):,}" if len(values) < promised else "more"
        said = f"{sides} are {promised:,} bytes, there are {there}"
        raise ValueError(
            f"{path} does not hold what its header says: {said}; copy or download it again"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
