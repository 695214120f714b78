"""Which text does a language model learn from? The standard library's, or a folder's.

The text is split by document, so that what a model is judged on is no continuation of
what it has read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.core.validation import require, whole_number
from smallscale.datasets.authors import documents_below
from smallscale.datasets.source_code import stdlib_modules

WHOLE_LIBRARY = 4_000_000  # characters of bare code, nearly all there is
HELD_OUT = 0.1  # of the characters, for validation, and as much for the test


@dataclass(frozen=True)
class Corpus:
    """Text as tokens, in three parts that share no document.

    train, validation, test: (tokens,) int64 each, the documents one after another.
    bytes_per_token: of each part by its name; a loss in nats per token divided by it
        and by log 2 is in bits per byte, which can be compared across tokenizers.
    tokenizer: byte-pair encoding, learnt from the training part alone.
    name: what to call the text in a caption.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    bytes_per_token: dict[str, float]
    tokenizer: ByteLevelBPETokenizer
    name: str

    @property
    def vocabulary(self) -> int:
        """How many tokens the tokenizer knows."""
        return int(self.tokenizer.get_vocab_size())


def corpus(
    folder: str | Path = "",
    *,
    characters: int = WHOLE_LIBRARY,
    vocabulary: int = 1024,
) -> Corpus:
    """Return a text to train language models on.

    folder: every file below it that is UTF-8 text is a document; empty: the modules of
        the standard library, as `stdlib_modules` leaves them.
    characters: how much of it to take, at least; whole documents only.
    vocabulary: the most tokens of the byte-pair encoding, 256 for bytes among them.
    Documents come in the order of a hash of their name or text, the same everywhere;
    the first tenth of the characters is for validation, the next for the test.
    Raises ValueError for what is not a folder, for one with fewer than three documents
    that hold text, and for sizes below 1 or a vocabulary below 256.

    >>> text = corpus(characters=100_000, vocabulary=300)
    >>> text.vocabulary, bool(text.train.max() < 300)
    (300, True)
    """
    characters = whole_number("characters", characters)
    vocabulary = whole_number("vocabulary", vocabulary, least=256)
    if str(folder):
        home = Path(folder).expanduser()
        documents, name = _in_folder(home, characters), home.name
    else:
        documents, name = stdlib_modules(characters), "the standard library"
    cut = HELD_OUT * sum(map(len, documents))
    parts: dict[str, list[str]] = {"validation": [], "test": [], "train": []}
    for document in documents:
        for part, texts in parts.items():
            if part == "train" or sum(map(len, texts)) < cut:
                texts.append(document)
                break
    require(
        all(parts.values()),
        f"{name} must hold documents for training, validation and test; got "
        f"{len(documents)} of any length: give a folder with more, or ask for more "
        "characters",
    )
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        parts["train"], vocabulary, min_frequency=0, show_progress=False
    )
    tokens = {part: _encoded(tokenizer, texts) for part, texts in parts.items()}
    size = {
        part: sum(len(text.encode()) + 1 for text in texts)  # 1: the newline
        for part, texts in parts.items()
    }
    return Corpus(
        **tokens,
        bytes_per_token={part: size[part] / len(tokens[part]) for part in parts},
        tokenizer=tokenizer,
        name=name,
    )


def _encoded(tokenizer: ByteLevelBPETokenizer, texts: Sequence[str]) -> np.ndarray:
    """Return the tokens of the texts one after another, a newline after each."""
    encodings = tokenizer.encode_batch([text + "\n" for text in texts])
    return np.concatenate([np.array(each.ids, dtype=np.int64) for each in encodings])


def _in_folder(folder: Path, characters: int) -> tuple[str, ...]:
    """Return documents of a folder until there are that many characters."""
    require(
        folder.is_dir(),
        f"folder must be a folder of text files, or empty for the standard library; "
        f"got {folder}",
    )
    found = [text for _, text in documents_below(folder) if text.strip()]
    found.sort(key=lambda text: sha256(text.encode()).digest())
    documents: list[str] = []
    for text in found:
        if sum(map(len, documents)) >= characters:
            break
        documents.append(text)
    return tuple(documents)
