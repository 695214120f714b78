"""Which line was it copied from? The place where a completion's words also stand.

A search by text: the longest run of a completion's tokens that somebody's documents
hold, and the line where it first stands there. It says who wrote these words, not that
the model would do without them; that is what exact values say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

from tokenizers import ByteLevelBPETokenizer

from smallscale.attribution.markets.market import Texts
from smallscale.core.validation import one_of

SHORTEST = 4  # characters, without the spaces around them: less is anybody's
COLUMNS = 80  # of a line when it is printed


@dataclass(frozen=True)
class SourceLine:
    """A line of somebody's document, and the run of a completion that begins on it.

    number: of the line in the document as the model reads it, from 1.
    """

    author: str
    document: str
    number: int
    line: str
    run: str

    def __str__(self) -> str:
        """Return the place, and below it the line, cut at COLUMNS characters."""
        place = f"{self.author}, {self.document}, line {self.number}:"
        return f"{place}\n    {shorten(self.line, COLUMNS)}"


def source_line(
    pieces: Sequence[str], texts: Texts, author: str | None = None
) -> SourceLine | None:
    """Return where the longest run of the pieces stands, or None where no run does.

    pieces: the text of each of a completion's tokens. texts: author -> document ->
    text. author: whose documents are searched; None: everybody's, and the first author
    and document of equals is named. A run is measured in characters without the spaces
    and line breaks around it, and has at least SHORTEST of them.

    >>> texts = {"ann": {"a.py": "def f(x):\\n    return x\\n"}}
    >>> print(source_line(["re", "turn", " x", "+1"], texts))
    ann, a.py, line 2:
        return x
    """
    if author is not None:
        texts = {one_of("author", author, texts): texts[author]}
    run = longest_run(pieces, texts)
    if len(run) < SHORTEST:
        return None
    for name, documents in texts.items():
        for document, text in documents.items():
            at = text.find(run)
            if at >= 0:
                number = text.count("\n", 0, at) + 1
                line = text.split("\n")[number - 1]
                return SourceLine(name, document, number, line, run)
    return None


def token_texts(tokenizer: ByteLevelBPETokenizer, tokens: Iterable[int]) -> list[str]:
    """Return the text of each token. Part of a character reads as a question mark."""
    return [tokenizer.decode([int(token)]) for token in tokens]


def longest_run(pieces: Sequence[str], texts: Mapping[str, Mapping[str, str]]) -> str:
    """Return the longest text of consecutive pieces that stands in a document.

    Without the spaces and line breaks around it; "" where nothing stands there.
    """
    # Between documents stands what no piece holds, so that no run crosses them.
    everything = "\0".join(
        text for documents in texts.values() for text in documents.values()
    )
    longest = ""
    end = 0
    for start in range(len(pieces)):
        # What stands there from `start` to `end` also does without its first piece.
        end = max(end, start)
        while end < len(pieces) and "".join(pieces[start : end + 1]) in everything:
            end += 1
        run = "".join(pieces[start:end]).strip()
        longest = max(longest, run, key=len)
    return longest
