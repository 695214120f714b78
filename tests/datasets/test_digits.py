"""Is the data what it says, and is every damaged file refused in one line?"""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from smallscale.datasets.digits import digits
from tests.datasets.idx_files import idx_bytes, random_digits

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def write(
    folder: Path,
    part: str,
    n: int,
    *,
    dash: str = "-",
    zipped: bool = True,
    **shape: int,
) -> None:
    for kind, array in zip(
        ("images", "labels"), random_digits(n, **shape), strict=True
    ):
        data = idx_bytes(array)
        name = f"{part}-{kind}{dash}idx{array.ndim}-ubyte" + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(data) if zipped else data)


def test_the_bundled_digits():
    data = digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert data.images.dtype == torch.float32
    assert (data.images.min(), data.images.max()) == (0, 1)
    assert data.labels.dtype == torch.int64
    assert data.labels.unique().tolist() == list(range(10))
    assert (len(data.train), len(data.test)) == (1347, 450)
    assert sorted(torch.cat([data.train, data.test]).tolist()) == list(range(1797))
    shares = data.labels[data.test].bincount() / data.labels.bincount()
    assert shares.min() > 0.24  # stratified: a quarter of every digit
    assert shares.max() < 0.26
    assert torch.equal(digits().test, data.test)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dash", ["-", "."])
def test_a_round_trip(tmp_path, dash, zipped):
    write(tmp_path, "t10k", 10, dash=dash, zipped=zipped)
    data = digits(str(tmp_path))
    images, labels = random_digits(10)
    assert data.images.shape == (10, 1, 5, 7)
    assert data.images.dtype == torch.float32
    np.testing.assert_allclose(data.images[:, 0].numpy(), images / 255, rtol=1e-6)
    assert data.labels.tolist() == labels.tolist()
    assert data.train.tolist() == list(
        range(8)
    )  # t10k alone: four fifths train, one fifth tests
    assert data.test.tolist() == [8, 9]


def test_both_parts_keep_the_published_split(tmp_path):
    write(tmp_path, "train", 6)
    write(tmp_path, "t10k", 4, zipped=False)
    data = digits(tmp_path)
    assert data.train.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test.tolist() == [6, 7, 8, 9]
    assert data.labels[data.test].tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(
    not MNIST.is_dir(),
    reason="the shared folder with MNIST's test set is not beside this checkout",
)
def test_mnist():
    data = digits(MNIST)
    assert data.images.shape == (10_000, 1, 28, 28)
    assert (len(data.train), len(data.test)) == (8_000, 2_000)
    assert data.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert (data.images.min(), data.images.max()) == (0, 1)


# Whatever is wrong with a folder or a file: one line, with the name

GOOD, LABELS = random_digits(10)


def faults() -> dict[str, tuple[str, bytes, str]]:
    """What is wrong: which file, its bytes, what is said."""
    good, labels = idx_bytes(GOOD), idx_bytes(LABELS)
    zipped = gzip.compress(good)
    damaged = bytearray(zipped)
    damaged[len(damaged) // 2] ^= 0xFF
    return {
        "nothing in it": ("images", b"", "is not an IDX file: it starts with nothing"),
        "text": (
            "images",
            b"<!DOCTYPE html>",
            "is not an IDX file: it starts with 3c 21 44 4f",
        ),
        "bad magic": (
            "images",
            b"\1" + good[1:],
            "is not an IDX file: it starts with 01 00 08 03",
        ),
        "unknown type": ("images", idx_bytes(GOOD, kind=0x0A), "is not an IDX file"),
        "floats": (
            "images",
            idx_bytes(GOOD, kind=0x0D),
            r"elements of type float \(0x0d\); only unsigned byte",
        ),
        "swapped": (
            "images",
            labels,
            "has 1 dimensions; images have 3: count, height, width",
        ),
        "labels swapped": ("labels", good, "has 3 dimensions; labels have 1: count"),
        "short header": ("images", good[:9], "cut off inside its header"),
        "short": (
            "images",
            good[:-1],
            r"10 x 5 x 7 are 350 bytes, there are 349; copy or download",
        ),
        "short, zipped": (
            "images",
            gzip.compress(good[:-1]),
            "350 bytes, there are 349",
        ),
        "long": ("images", good + b"\0", "350 bytes, there are more"),
        "long, zipped": (
            "images",
            gzip.compress(good + b"\0"),
            "350 bytes, there are more",
        ),
        "truncated gzip": (
            "images",
            zipped[:-20],
            "cut off: its gzip stream ends early",
        ),
        "truncated in the middle": (
            "images",
            zipped[:40],
            "cut off: its gzip stream ends early",
        ),
        "damaged gzip": ("images", bytes(damaged), "is damaged: .*; copy or download"),
        "wrong checksum": (
            "images",
            zipped[:-8] + b"\0\0\0\0" + zipped[-4:],
            "is damaged: CRC",
        ),
        "no images": (
            "images",
            idx_bytes(GOOD[:0]),
            "is empty: its header says 0 x 5 x 7",
        ),
        "no pixels": (
            "images",
            idx_bytes(GOOD[:, :0]),
            "is empty: its header says 10 x 0 x 7",
        ),
        "no labels": ("labels", idx_bytes(LABELS[:0]), "is empty: its header says 0"),
        "counts differ": (
            "labels",
            idx_bytes(LABELS[:9]),
            "has 9 labels, .* has 10 images",
        ),
        "eleven": (
            "labels",
            idx_bytes(np.where(LABELS == 3, 11, LABELS)),
            "label 3 is 11; digits are labelled 0 to 9",
        ),
        "a lying header": (
            "images",
            idx_bytes(GOOD, sizes=(2**32 - 1,) * 3),
            "does not hold what its header says",
        ),
        "a lying header, zipped": (
            "images",
            gzip.compress(idx_bytes(GOOD, sizes=(2**32 - 1,) * 3)),
            "does not hold what its header says.* there are 350",
        ),
    }


@pytest.mark.parametrize("fault", faults())
def test_a_damaged_file_is_refused_in_one_line(tmp_path, fault):
    which, data, message = faults()[fault]
    write(tmp_path, "t10k", 10)
    name = f"t10k-{which}-idx{3 if which == 'images' else 1}-ubyte"
    (tmp_path / f"{name}.gz").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        digits(tmp_path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "missing", ["t10k-images", "t10k-labels", "train-images", "train-labels"]
)
def test_a_missing_file_is_named(tmp_path, missing):
    for part in ("train", "t10k"):
        write(tmp_path, part, 10)
    next(tmp_path.glob(f"{missing}*")).unlink()
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} has no {missing}-idx")):
        digits(tmp_path)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"nowhere is not a folder; give one that holds MNIST's IDX files",
    ):
        digits(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is not a folder"):
        digits(tmp_path / "file")
    with pytest.raises(ValueError, match="has no t10k-images-idx3-ubyte"):
        digits(tmp_path)


def test_a_folder_in_place_of_a_file(tmp_path):
    write(tmp_path, "t10k", 10)
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte cannot be read"):
        digits(tmp_path)


def test_sizes_of_both_parts_must_match(tmp_path):
    write(tmp_path, "train", 10)
    write(tmp_path, "t10k", 10, height=6)
    with pytest.raises(
        ValueError,
        match="the train images are 5x7, the t10k images 6x7; both must match",
    ):
        digits(tmp_path)


def test_one_image_cannot_be_split(tmp_path):
    write(tmp_path, "t10k", 1)
    with pytest.raises(ValueError, match="holds a single image; at least 2 are needed"):
        digits(tmp_path)
