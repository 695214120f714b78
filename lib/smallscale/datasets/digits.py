"""Which handwritten digits are already on the machine? scikit-learn's, or a folder's.

The bundled ones are 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998). A folder
holds LeCun, Cortes and Burges's MNIST, or anything else in its IDX format.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from smallscale.core.validation import require
from smallscale.datasets.idx import read_idx


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, split into those to train on and those to test on.

    images: (n, 1, height, width) float32 in [0, 1]. labels: (n,) int64 in 0..9.
    train, test: int64 positions in them; no position is in both, together they are all.
    name: what to call the data in a caption.
    """

    images: Tensor
    labels: Tensor
    train: Tensor
    test: Tensor
    name: str


def digits(folder: str | Path = "") -> Digits:
    """Return handwritten digits: scikit-learn's, or those in a folder of IDX files.

    scikit-learn's are split 1,347 to train and 450 to test, by class, always the same
    way.

    A folder holds `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on,
    gzipped or not; the dot of `train-images.idx3-ubyte` is allowed. With both train-*
    and t10k-* files it keeps that split. With t10k-* alone the first four fifths train
    (8,000 of MNIST's 10,000) and the last fifth tests.

    Raises ValueError, one line with the file's name, for a file that is missing,
    damaged, or not what its header says.

    >>> data = digits()
    >>> data.images.shape, len(data.train), len(data.test)
    (torch.Size([1797, 1, 8, 8]), 1347, 450)
    """
    if str(folder):
        return _from_folder(Path(folder).expanduser())
    bundled = load_digits()
    pixels = torch.from_numpy(bundled.images / 16).float()  # (n, 8, 8); they were 0..16
    labels = torch.from_numpy(bundled.target).long()
    train, test = train_test_split(
        np.arange(len(labels)), test_size=450, stratify=bundled.target, random_state=0
    )
    return Digits(
        images=pixels.unsqueeze(1),  # (n, 1, 8, 8)
        labels=labels,
        train=torch.from_numpy(train),
        test=torch.from_numpy(test),
        name="scikit-learn's digits",
    )


def _from_folder(folder: Path) -> Digits:
    """Return the digits in a folder of IDX files, with their split."""
    wanted = "give one that holds MNIST's IDX files, or leave it empty"
    require(folder.is_dir(), f"{folder} is not a folder; {wanted}")
    names = ["train", "t10k"] if any(folder.glob("train-*")) else ["t10k"]
    parts = [_images_and_labels(folder, name) for name in names]
    sizes = [f"{images.shape[1]}x{images.shape[2]}" for images, _ in parts]
    require(
        sizes[0] == sizes[-1],
        f"{folder}: the train images are {sizes[0]}, the t10k images {sizes[-1]}; "
        "both must match",
    )
    pixels = torch.from_numpy(np.concatenate([images for images, _ in parts]))
    labels = torch.from_numpy(np.concatenate([labels for _, labels in parts]))
    n = len(pixels)
    n_train = len(parts[0][0]) if len(parts) == 2 else n * 4 // 5
    message = "holds a single image; at least 2 are needed, to train and to test"
    require(n_train > 0, f"{folder} {message}")
    return Digits(
        images=pixels.float().div_(255).unsqueeze(1),  # (n, 1, height, width)
        labels=labels.long(),
        train=torch.arange(n_train),
        test=torch.arange(n_train, n),
        name=f"the digits in {folder.name}",
    )


def _images_and_labels(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one part's images (n, height, width) and labels (n,), as unsigned bytes.

    part: "train" or "t10k".
    """
    image_file = _find(folder, f"{part}-images", 3)
    label_file = _find(folder, f"{part}-labels", 1)
    images = read_idx(image_file, dimensions=3)
    labels = read_idx(label_file, dimensions=1)
    require(
        len(images) == len(labels),
        f"{label_file} has {len(labels)} labels, {image_file.name} has {len(images)} "
        "images; each image needs one label: take both files from the same set",
    )
    largest = int(labels.argmax())
    found = f"{label_file}: label {largest} is {labels[largest]}"
    require(labels[largest] <= 9, f"{found}; digits are labelled 0 to 9")
    return images, labels


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    """Return the IDX file whose name starts with `stem`."""
    dashed = f"{stem}-idx{dimensions}-ubyte"
    dotted = f"{stem}.idx{dimensions}-ubyte"
    for name in (dashed, dotted, f"{dashed}.gz", f"{dotted}.gz"):
        if (folder / name).exists():
            return folder / name
    advice = "put MNIST's files there under their own names"
    raise ValueError(f"{folder} has no {dashed}, gzipped (.gz) or not; {advice}")
