"""Which real data is already on the machine? Handwritten digits, bundled or from a folder of MNIST files; and code.

The bundled ones are scikit-learn's: 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998). A folder holds
LeCun, Cortes and Burges's MNIST, or anything else in its IDX format: a magic number, the dimensions, the bytes.
The code is the standard library's own source, package by package; or a folder of documents by author.
"""

import ast
import gzip
import json
import sysconfig
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

ELEMENT_TYPES = {0x08: "unsigned byte", 0x09: "signed byte", 0x0B: "short", 0x0C: "int", 0x0D: "float", 0x0E: "double"}
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
    names = ["train", "t10k"] if any(folder.glob("train-*")) else ["t10k"]
    parts = [_pair(folder, part) for part in names]
    sizes = [f"{images.shape[1]}x{images.shape[2]}" for images, _ in parts]
    if sizes[0] != sizes[-1]:
        raise ValueError(f"{folder}: the train images are {sizes[0]}, the t10k images {sizes[1]}; both must match")
    images, labels = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True))
    cut = len(parts[0][0]) if len(parts) == 2 else len(images) * 4 // 5
    if cut == 0:
        raise ValueError(f"{folder} holds a single image; at least 2 are needed, to train and to test")
    images = images.float().div_(255).unsqueeze(1)  # (n, height, width) -> (n, 1, height, width)
    train, test = torch.arange(len(images)).split([cut, len(images) - cut])
    return Digits(images, labels.long(), train, test, f"the digits in {folder.name}")


def _pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (n, height, width) and labels (n,) of one part, train or t10k, as unsigned bytes."""
    image_file, label_file = _find(folder, f"{part}-images", 3), _find(folder, f"{part}-labels", 1)
    images, labels = read_idx(image_file, dimensions=3), read_idx(label_file, dimensions=1)
    if len(images) != len(labels):
        counts = f"{len(labels)} labels, {image_file.name} has {len(images)} images"
        raise ValueError(f"{label_file} has {counts}; each image needs one label: take both files from the same set")
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
            zipped = file.read(2) == b"\x1f\x8b"  # by its first bytes: a name can lie
            file.seek(0)
            return _read_idx(path, gzip.GzipFile(fileobj=file) if zipped else file, dimensions)
    except EOFError as error:
        raise ValueError(f"{path} is cut off: its gzip stream ends early; copy or download it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; copy or download it again") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_idx(path: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES:
        start = f"{magic.hex(' ') or 'nothing'}, where 00 00 08 {dimensions:02x} is expected"
        raise ValueError(f"{path} is not an IDX file: it starts with {start}; give MNIST's own files")
    kind = ELEMENT_TYPES[magic[2]]
    if kind != "unsigned byte":
        raise ValueError(f"{path} holds elements of type {kind} (0x{magic[2]:02x}); only unsigned byte (0x08) is read")
    if magic[3] != dimensions:
        what = "images have 3: count, height, width" if dimensions == 3 else "labels have 1: count"
        raise ValueError(f"{path} has {magic[3]} dimensions; {what}. Are image and label files swapped?")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"{path} is cut off inside its header; copy or download it again")
    shape = tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))
    sides = " x ".join(map(str, shape))
    if 0 in shape:
        raise ValueError(f"{path} is empty: its header says {sides}; at least one is needed")
    promised, values = prod(shape), bytearray()
    while len(values) <= promised and (block := stream.read(BLOCK)):
        values += block
    if len(values) != promised:
        there = f"{len(values):,}" if len(values) < promised else "more"
        said = f"{sides} are {promised:,} bytes, there are {there}"
        raise ValueError(f"{path} does not hold what its header says: {said}; copy or download it again")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


# Packages and modules that Python 3.11 to 3.14 all have, in groups of similar size: at least 185 kB once stripped.
CONTRIBUTORS, ELSEWHERE = json.loads(Path(__file__).with_name("stdlib.json").read_text("utf-8")).values()
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_LINE = 120
LARGEST_DOCUMENT = 4 << 20  # bytes
MOST_AUTHORS = 10  # 1,024 coalitions


@dataclass(frozen=True)
class Authors:
    """Texts by author. texts: author -> document -> text; elsewhere: document -> text, by nobody of them.

    name: what to call the texts in a caption.
    """

    texts: dict[str, dict[str, str]]
    elsewhere: dict[str, str]
    name: str


def authors(folder: str | Path = "") -> Authors:
    """Texts by several authors: the standard library's packages where `folder` is empty, else that folder's.

    Of the standard library, code alone is read, as `bare_code` leaves it, from the groups of packages CONTRIBUTORS;
    `elsewhere` are modules of no group. In a folder each subfolder is an author, and every file below it that is
    UTF-8 text is a document; hidden files, links and what is not text are left out. The last fifth of each
    document's lines goes to `elsewhere`: nothing else there is by nobody.
    What is read is only ever counted and shown, never run.
    Raises ValueError for a folder without at least 2 authors, for more than 10, and for an author without text.
    """
    if not str(folder):
        root = Path(sysconfig.get_paths()["stdlib"])
        texts = {name: _modules(root, parts) for name, parts in CONTRIBUTORS.items()}
        return Authors(texts, _modules(root, ELSEWHERE), "the standard library")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give one with a subfolder of documents for each author")
    homes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    if not 2 <= len(homes) <= MOST_AUTHORS:
        wanted = f"2 to {MOST_AUTHORS} subfolders, one for each author, as every coalition is counted"
        raise ValueError(f"{folder} must hold {wanted}; got {len(homes)}")
    texts, elsewhere = {}, {}
    for home in homes:
        texts[home.name] = {}
        for name, text in _documents(home):
            lines = text.splitlines(keepends=True)
            cut = len(lines) - len(lines) // 5
            texts[home.name][name] = "".join(lines[:cut])
            elsewhere[f"{home.name}/{name}"] = "".join(lines[cut:])
        if not any(text.strip() for text in texts[home.name].values()):
            raise ValueError(f"{home} holds no text; an author needs at least one document, or no folder")
    return Authors(texts, {name: text for name, text in elsewhere.items() if text.strip()}, folder.name)


def bare_code(text: str) -> str:
    """Python source without comments, docstrings, blank lines, and lines over 120 characters or beyond ASCII.

    One logical line a line, as `ast.unparse` writes it. Raises SyntaxError for what is not Python.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    lines = [line for line in ast.unparse(tree).splitlines() if line.strip()]
    return "".join(f"{line}\n" for line in lines if line.isascii() and len(line) <= LONGEST_LINE)


def _modules(root: Path, parts: Iterable[str]) -> dict[str, str]:
    """The bare code of modules and whole packages, by their path below the standard library."""
    files = [file for part in parts for file in sorted([root / f"{part}.py", *(root / part).rglob("*.py")])]
    ours = [file for file in files if file.is_file() and not {"test", "tests"} & set(file.relative_to(root).parts)]
    bare = {file.relative_to(root).as_posix(): bare_code(file.read_text(encoding="utf-8")) for file in ours}
    return {name: text for name, text in bare.items() if text}


def _documents(home: Path) -> list[tuple[str, str]]:
    """(name, text) of every text file below a folder, in order of name."""
    found = []
    for file in sorted(home.rglob("*")):
        inside = file.relative_to(home)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_DOCUMENT:
            continue
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found.append((inside.as_posix(), text))
    return found
