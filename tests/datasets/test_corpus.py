"""Are the parts of a corpus apart, complete, and the same everywhere?"""

from pathlib import Path

import numpy as np
import pytest

from smallscale.datasets import corpus
from smallscale.datasets.source_code import stdlib_modules

SIZE = 300_000  # characters


def test_every_document_is_in_one_part_and_its_tokens_are_its_text() -> None:
    text = corpus(characters=SIZE, vocabulary=400)
    parts = (text.validation, text.test, text.train)
    decoded = "".join(text.tokenizer.decode(part.tolist()) for part in parts)
    assert decoded == "".join(module + "\n" for module in stdlib_modules(SIZE))
    for name, part in zip(("validation", "test", "train"), parts, strict=True):
        length = len(text.tokenizer.decode(part.tolist()).encode())
        assert text.bytes_per_token[name] == pytest.approx(length / len(part))
        assert part.dtype == np.int64
        assert 0 <= part.min() <= part.max() < text.vocabulary == 400
    # Whole documents: a part may be longer than a tenth by one of them.
    assert 0.1 <= len(text.validation) / sum(map(len, parts)) < 0.3
    assert 0.1 <= len(text.test) / sum(map(len, parts)) < 0.3


def test_the_encoding_is_learnt_from_the_training_part_alone(tmp_path: Path) -> None:
    """Each text has a word of its own: the words that were merged into one token are
    those of the training part."""
    words = ["zebra", "quokka", "walrus", "gecko", "lemur", "bison", "otter", "heron"]
    for word in words:
        (tmp_path / f"{word}.txt").write_text(f"{word} " * 30)
    text = corpus(tmp_path, vocabulary=400)
    for part in (text.train, text.validation, text.test):
        for word in set(text.tokenizer.decode(part.tolist()).split()):
            merged = f"Ġ{word}" in text.tokenizer.get_vocab()
            assert merged == (part is text.train)


def test_a_folder_is_read_in_an_order_of_its_texts(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    for folder, names in ((here, "xyzuv"), (there, "vuzyx")):
        folder.mkdir()
        for k, name in enumerate(names if folder == here else names[::-1]):
            (folder / f"{name if folder == here else k}.txt").write_text(
                f"text {k} " * 9
            )
    assert np.array_equal(corpus(here).train, corpus(there).train)
    assert corpus(here).name == "a"
    few = corpus(here, characters=150)
    assert sum(map(len, (few.train, few.validation, few.test))) < len(
        corpus(here).train
    ) + len(corpus(here).validation) + len(corpus(here).test)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="folder must be a folder of text files"):
        corpus(tmp_path / "nothing")
    (tmp_path / "one.txt").write_text("one")
    (tmp_path / "two.txt").write_text("two")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(ValueError, match="training, validation and test; got 2"):
        corpus(tmp_path)
    with pytest.raises(ValueError, match=r"vocabulary must be .* at least 256"):
        corpus(vocabulary=100)
    with pytest.raises(ValueError, match="characters must be"):
        corpus(characters=0)
