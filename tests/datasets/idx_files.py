"""IDX files, made on the spot."""

import numpy as np


def idx_bytes(
    array: np.ndarray, *, kind: int = 0x08, sizes: tuple[int, ...] | None = None
) -> bytes:
    """An IDX file: 0, 0, element type, dimensions, big-endian sizes, values."""
    sizes = array.shape if sizes is None else sizes
    header = bytes([0, 0, kind, len(sizes)]) + b"".join(
        n.to_bytes(4, "big") for n in sizes
    )
    return header + array.astype(">u1").tobytes()


def random_digits(
    n: int, height: int = 5, width: int = 7, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(seed).integers(0, 256, (n, height, width))
    return images, np.arange(n) % 10
