"""Which real data is already on the machine? Handwritten digits, bundled or from a folder of MNIST files.

The bundled ones are scikit-learn's: 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998). A folder holds
LeCun, Cortes and Burges's MNIST, or anything else in its IDX format: a magic number, the dimensions, the bytes.
"""

import gzip
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

UNSIGNED_BYTE = 0x08
ELEMENT_TYPES = {
    UNSIGNED_BYTE: "unsigned byte",
    0x09: "signed byte",
    0x0B: "short",
    0x0C: "int",
    0x0D: "float",
    0x0E: "double",
}
DEFLATE_AT_BEST = 1032  # bytes that one compressed byte can stand for: the limit of the deflate format
BLOCK = 1 << 20


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, split into those to train on and those to test on.

    images: (n, 1, height, width) float32 in [0, 1]; labels: (n,) int64 in 0..9;
    train, test: int64 positions in them, disjoint, together all; name: what to call the data in a caption.
    """

    images: Tensor
    labels: Tensor
    train: Tensor
    test: Tensor
    name: str


def digits(folder: str | Path = "") -> Digits:
    """Handwritten digits: scikit-learn's where `folder` is empty, else the IDX files in that folder.

    scikit-learn's are split 1,347 to train and 450 to test, by class, always the same way. A folder with both
    train-* and t10k-* files keeps that split; with t10k-* alone the first four fifths train (8,000 of MNIST's
    10,000) and the last fifth tests. Files are `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on,
    gzipped or not, the dot of `train-images.idx3-ubyte` allowed.
    Raises ValueError, one line with the file's name, for anything missing, damaged or not as its header says.
    """
    if str(folder):
        return _from_folder(Path(folder).expanduser())
    bundled = load_digits()
    images = torch.from_numpy(bundled.images / 16).float().unsqueeze(1)  # (n, 8, 8) of 0..16 -> (n, 1, 8, 8)
    labels = torch.from_numpy(bundled.target).long()
    train, test = train_test_split(np.arange(len(labels)), test_size=450, stratify=bundled.target, random_state=0)
    return Digits(images, labels, torch.from_numpy(train), torch.from_numpy(test), "scikit-learn's digits")


def _from_folder(folder: Path) -> Digits:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give one that holds MNIST's IDX files, or leave it empty")
    test_images, test_labels = _pair(folder, "t10k")
    name = f"the digits in {folder.name}"
    if not any(folder.glob("train-*")):
        images, labels = test_images, test_labels
        cut = len(images) * 4 // 5
    else:
        train_images, train_labels = _pair(folder, "train")
        if train_images.shape[1:] != test_images.shape[1:]:
            sizes = [f"{shape[1]}x{shape[2]}" for shape in (train_images.shape, test_images.shape)]
            raise ValueError(f"{folder}: the train images are {sizes[0]}, the t10k images {sizes[1]}; both must match")
        images, labels = np.concatenate([train_images, test_images]), np.concatenate([train_labels, test_labels])
        cut = len(train_images)
    if cut == 0:
        raise ValueError(f"{folder} holds a single image; at least 2 are needed, to train and to test")
    return Digits(
        torch.from_numpy(images).float().div_(255).unsqueeze(1),  # (n, height, width) -> (n, 1, height, width)
        torch.from_numpy(labels).long(),
        torch.arange(cut),
        torch.arange(cut, len(images)),
        name,
    )


def _pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (n, height, width) and labels (n,) of one part, train or t10k, as unsigned bytes."""
    image_file, label_file = _find(folder, f"{part}-images", 3), _find(folder, f"{part}-labels", 1)
    images, labels = read_idx(image_file, dimensions=3), read_idx(label_file, dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{label_file} has {len(labels)} labels, {image_file.name} has {len(images)} images; "
            "each image needs one label: take both files from the same set"
        )
    if labels.max() > 9:
        where = int(labels.argmax())
        raise ValueError(f"{label_file}: label {where} is {labels[where]}; digits are labelled 0 to 9")
    return images, labels


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for dot in "-."]
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise ValueError(f"{folder} has no {names[0]}, gzipped (.gz) or not; put MNIST's files there under their own names")


def read_idx(path: str | Path, *, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, gzipped or not: big-endian sizes, then the values.

    The header is not believed: no more memory is taken than the file has bytes for.
    Raises ValueError, one line with the file's name, for a file that is not exactly such an array.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            zipped = file.read(2) == b"\x1f\x8b"  # by its first bytes: a name can lie
            file.seek(0)
            if not zipped:
                return _read_idx(path, file, size, dimensions)
            with gzip.open(file) as stream:
                return _read_idx(path, stream, size * DEFLATE_AT_BEST, dimensions)
    except EOFError as error:
        raise ValueError(f"{path} is cut off: its gzip stream ends early; copy or download it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; copy or download it again") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_idx(path: Path, stream: BinaryIO | gzip.GzipFile, size: int, dimensions: int) -> np.ndarray:
    """The array in an open stream which holds `size` bytes at most."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it starts with {magic.hex(' ') or 'nothing'}, "
            f"where 00 00 08 {dimensions:02x} is expected; give MNIST's own files"
        )
    if magic[2] != UNSIGNED_BYTE:
        raise ValueError(
            f"{path} holds elements of type {ELEMENT_TYPES[magic[2]]} (0x{magic[2]:02x}); "
            "only unsigned byte (0x08) is read: save the values as bytes, 0 to 255"
        )
    if magic[3] != dimensions:
        what = "images have 3: count, height, width" if dimensions == 3 else "labels have 1: count"
        raise ValueError(f"{path} has {magic[3]} dimensions; {what}. Are image and label files swapped?")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"{path} is cut off inside its header; copy or download it again")
    shape = tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))
    if 0 in shape:
        raise ValueError(f"{path} is empty: its header says {' x '.join(map(str, shape))}; at least one is needed")
    promised = prod(shape)
    values = bytearray()
    if promised <= size:
        while len(values) <= promised and (block := stream.read(BLOCK)):
            values += block
    if len(values) != promised:
        there = f"{len(values):,}" if len(values) < promised <= size else "more" if promised <= size else "fewer"
        raise ValueError(
            f"{path} does not hold what its header says: {' x '.join(map(str, shape))} are {promised:,} bytes, "
            f"there are {there}; copy or download it again"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
