"""Which handwritten digits are already on the machine? scikit-learn's, or a folder of MNIST files.

The bundled ones are 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998). A folder holds
LeCun, Cortes and Burges's MNIST, or anything else in its IDX format.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from smallscale.datasets.idx import read_idx


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
    images = (
        torch.from_numpy(bundled.images / 16).float().unsqueeze(1)
    )  # (n, 8, 8) of 0..16 -> (n, 1, 8, 8)
    labels = torch.from_numpy(bundled.target).long()
    train, test = train_test_split(
        np.arange(len(labels)), test_size=450, stratify=bundled.target, random_state=0
    )
    return Digits(
        images,
        labels,
        torch.from_numpy(train),
        torch.from_numpy(test),
        "scikit-learn's digits",
    )


def _from_folder(folder: Path) -> Digits:
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder; give one that holds MNIST's IDX files, or leave it empty"
        )
    names = ["train", "t10k"] if any(folder.glob("train-*")) else ["t10k"]
    parts = [_pair(folder, part) for part in names]
    sizes = [f"{images.shape[1]}x{images.shape[2]}" for images, _ in parts]
    if sizes[0] != sizes[-1]:
        raise ValueError(
            f"{folder}: the train images are {sizes[0]}, the t10k images {sizes[1]}; both must match"
        )
    images, labels = (
        torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)
    )
    cut = len(parts[0][0]) if len(parts) == 2 else len(images) * 4 // 5
    if cut == 0:
        raise ValueError(
            f"{folder} holds a single image; at least 2 are needed, to train and to test"
        )
    images = (
        images.float().div_(255).unsqueeze(1)
    )  # (n, height, width) -> (n, 1, height, width)
    train, test = torch.arange(len(images)).split([cut, len(images) - cut])
    return Digits(images, labels.long(), train, test, f"the digits in {folder.name}")


def _pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (n, height, width) and labels (n,) of one part, train or t10k, as unsigned bytes."""
    image_file, label_file = (
        _find(folder, f"{part}-images", 3),
        _find(folder, f"{part}-labels", 1),
    )
    images, labels = (
        read_idx(image_file, dimensions=3),
        read_idx(label_file, dimensions=1),
    )
    if len(images) != len(labels):
        counts = f"{len(labels)} labels, {image_file.name} has {len(images)} images"
        raise ValueError(
            f"{label_file} has {counts}; each image needs one label: take both files from the same set"
        )
    if labels.max() > 9:
        where = int(labels.argmax())
        raise ValueError(
            f"{label_file}: label {where} is {labels[where]}; digits are labelled 0 to 9"
        )
    return images, labels


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    names = [
        f"{stem}{dot}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for dot in "-."
    ]
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise ValueError(
        f"{folder} has no {names[0]}, gzipped (.gz) or not; put MNIST's files there under their own names"
    )
