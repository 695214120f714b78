"""What is in an IDX file, the format of MNIST? A magic number, the sizes, the bytes."""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smallscale.core.validation import require

ELEMENT_TYPES = {
    0x08: "unsigned byte",
    0x09: "signed byte",
    0x0B: "short",
    0x0C: "int",
    0x0D: "float",
    0x0E: "double",
}
BLOCK = 1 << 20  # bytes read at once
ONCE_MORE = "copy or download it again"


def read_idx(path: str | Path, *, dimensions: int) -> np.ndarray:
    """Return the array of unsigned bytes in an IDX file, gzipped or not.

    The file holds 0, 0, the element type and the number of dimensions, a byte each;
    then the sizes, 4 bytes each, big-endian; then the values. The header is not
    believed: no more memory is taken than the file has bytes for.
    Raises ValueError, one line with the file's name, for a file that is not exactly
    such an array.
    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"  # by its first bytes: a name can lie
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if zipped else file
            shape = _read_header(path, stream, dimensions)
            return _read_values(path, stream, shape)
    except EOFError as error:
        message = f"{path} is cut off: its gzip stream ends early; {ONCE_MORE}"
        raise ValueError(message) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; {ONCE_MORE}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_header(
    path: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int
) -> tuple[int, ...]:
    """Return the array's shape, once the header is known to be what was asked for."""
    magic = stream.read(4)
    is_idx = len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in ELEMENT_TYPES
    start = magic.hex(" ") or "nothing"
    require(
        is_idx,
        f"{path} is not an IDX file: it starts with {start}, where "
        f"00 00 08 {dimensions:02x} is expected; give MNIST's own files",
    )
    kind = ELEMENT_TYPES[magic[2]]
    require(
        kind == "unsigned byte",
        f"{path} holds elements of type {kind} (0x{magic[2]:02x}); "
        "only unsigned byte (0x08) is read",
    )
    images, labels = "images have 3: count, height, width", "labels have 1: count"
    require(
        magic[3] == dimensions,
        f"{path} has {magic[3]} dimensions; {images if dimensions == 3 else labels}. "
        "Are image and label files swapped?",
    )
    sizes = stream.read(4 * dimensions)
    whole = len(sizes) == 4 * dimensions
    require(whole, f"{path} is cut off inside its header; {ONCE_MORE}")
    shape = tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))
    filled = 0 not in shape
    message = (
        f"{path} is empty: its header says {_sides(shape)}; at least one is needed"
    )
    require(filled, message)
    return shape


def _read_values(
    path: Path, stream: BinaryIO | gzip.GzipFile, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the values, read in blocks until there are more than were promised."""
    promised = prod(shape)
    values = bytearray()
    while len(values) <= promised and (block := stream.read(BLOCK)):
        values += block
    there = f"{len(values):,}" if len(values) < promised else "more"
    require(
        len(values) == promised,
        f"{path} does not hold what its header says: {_sides(shape)} are {promised:,} "
        f"bytes, there are {there}; {ONCE_MORE}",
    )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _sides(shape: tuple[int, ...]) -> str:
    """Return a shape in words: 10 x 28 x 28."""
    return " x ".join(str(side) for side in shape)
