"""How likely does SmolLM2 find completions behind each author's text? Records it.

    python benchmarks/paying_in_context.py [SEED ...]

The completions are those of the notebook on paying contributors, at small and at tiny.
What is recorded already is not asked again.
"""

import sys

import numpy as np

from smallscale.attribution.markets import ngram_model
from smallscale.attribution.markets.in_context import (
    RECORDED,
    context_scores,
    excerpts,
)
from smallscale.datasets import authors
from smallscale.models import RecordedModel

PROMPT, LENGTH, VOCABULARY = 16, 32, 1024  # tokens, as in the notebook
AUTHORS = {"tiny": 2, "small": 3}
ASKED = {"tiny": 16, "small": 240}  # completions that the notebook draws
READ = {"tiny": 4, "small": 48}  # of them SmolLM2 reads


def scores(model: RecordedModel, seed: int, scale: str) -> np.ndarray:
    """Return the scores of a seed's completions, (authors, completions)."""
    library = authors("")
    texts = [list(documents.values()) for documents in library.texts.values()]
    every_text = [text for of_author in texts for text in of_author]
    tokenizer = ngram_model.train_tokenizer(every_text, VOCABULARY)
    libraries = [ngram_model.encode(tokenizer, of_author) for of_author in texts]
    elsewhere = ngram_model.encode(tokenizer, list(library.elsewhere.values()))
    further = ngram_model.draw_windows(elsewhere, ASKED[scale], PROMPT, seed=seed + 2)
    everything = [document for of_author in libraries for document in of_author]
    fresh = ngram_model.generate(
        everything, further, LENGTH, tokenizer.get_vocab_size(), seed=seed + 2
    )
    pieces = excerpts(libraries[: AUTHORS[scale]], seed=seed)
    return context_scores(model, tokenizer, pieces, fresh[: READ[scale]], PROMPT)


def main(seeds: list[int]) -> None:
    """Ask what is missing, and print mean scores."""
    model = RecordedModel(RECORDED, record=True)
    scores(model, seeds[0], "tiny")
    for seed in seeds:
        found = scores(model, seed, "small")
        print(f"seed {seed}: mean log p by author {found.mean(1).round(2)}", flush=True)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 1, 2])
