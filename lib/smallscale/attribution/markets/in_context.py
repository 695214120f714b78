"""Whose text makes a completion likelier to a real language model?

A large model cannot be retrained here. But it reads: with some of an author's text in
front, a completion in that author's idiom should become likelier. Such a score needs no
training and no gradient.
"""

from collections.abc import Sequence

import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.attribution.markets.ngram_model import Documents, draw_windows
from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT

# What SmolLM2 found likely of the notebook's completions; it need not be there.
RECORDED = KEPT / "paying.jsonl"
PIECES = 8  # of an author's text
PIECE = 48  # tokens of a piece
BETWEEN = "\n\n"  # pieces, and before a completion's prompt


def excerpts(libraries: Sequence[Documents], *, seed: int = 0) -> list[np.ndarray]:
    """Return PIECES pieces of each author's text, (PIECES, PIECE) tokens each.

    They come from the author's documents in turn, and none is longer than any other
    author's, so that nobody is helped by having written more.
    """
    return [
        draw_windows(documents, PIECES, PIECE, seed=seed) for documents in libraries
    ]


def context_scores(
    model: RecordedModel,
    tokenizer: ByteLevelBPETokenizer,
    pieces: Sequence[np.ndarray],
    windows: np.ndarray,
    prompt: int,
) -> np.ndarray:
    """Return how likely a language model finds completions behind an author's text:
        score = log p(completion | the author's pieces, the completion's prompt)

    (authors, n). tokenizer: of the pieces and windows; the model reads their text, by
    its own tokens. windows: (n, length) tokens, of which the first `prompt` are given.
    Raises NotRecorded for what was not recorded, where the model is not there.
    """
    given = [tokenizer.decode(row[:prompt].tolist()) for row in windows]
    whole = [tokenizer.decode(row.tolist()) for row in windows]
    texts = [
        BETWEEN.join(tokenizer.decode(piece.tolist()) for piece in of_author) + BETWEEN
        for of_author in pieces
    ]
    # Prompt with completion, less the prompt alone: the model reads the pieces once.
    logps = model.option_logps(texts, [*whole, *given]).numpy()
    scores: np.ndarray = logps[:, : len(windows)] - logps[:, len(windows) :]
    return scores
