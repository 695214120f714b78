"""Whose preferences? A file of them, read line by line, and refused by line."""

import json
import re
import unicodedata
from difflib import get_close_matches
from operator import eq
from pathlib import Path
from typing import Any, NamedTuple

from smallscale.core.validation import require, shown

FIELDS = ("prompt", "chosen", "rejected")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MARK = r"(?:<s>|<bos>|<\|\w+\|>|<start_of_turn>|\[INST\])"  # of a chat template
ROLE = r"(?:human|user|question|instruction|prompt|q)\b"
# What stands before the prompt in the text of a whole talk: "Human:", "<|user|>".
TALK_BEGINS = re.compile(
    rf"(?:{MARK}\s*)+(?:{ROLE}\s*:?\s*)?(?:{MARK}\s*)*|#*\s*{ROLE}\s*:\s*",
    re.IGNORECASE,
)
SURROGATE = re.compile("[\ud800-\udfff]")  # half of a character beyond U+FFFF


class Preferences(NamedTuple):
    """n pairs of texts.

    prompts, chosen, rejected: (n,) each. identical: how many pairs hold one text twice;
    they are kept.
    """

    prompts: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    identical: int


def read_preferences(path: str | Path) -> Preferences:
    """Return the pairs in a JSONL file, an object a line:
    {"prompt": …, "chosen": …, "rejected": …}, all of them text.

    Empty lines are skipped. Without "prompt", it is what chosen and rejected have in
    common at their start, up to the last white space in it. A `~` at the start of the
    path is the home folder.
    Raises ValueError, in one line with the number of the file's line, for what is not
    such an object; for any other field, or one twice; for a chosen text that begins
    with the prompt, which the text would then hold twice, also behind a role ("Human:")
    or the marks of a chat template; and for half of a surrogate pair.
    """
    try:
        lines = Path(path).expanduser().read_bytes().split(b"\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: of a home that is unknown
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{path} cannot be read: {reason}; give a JSONL file of preferences"
        ) from error
    lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
    rows = [
        _read_pair(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    require(
        rows,
        f"{path} holds no preferences; each line is an object with chosen and rejected",
    )
    prompts, chosen, rejected = zip(*rows, strict=True)
    return Preferences(prompts, chosen, rejected, sum(map(eq, chosen, rejected)))


def _read_pair(line: bytes, where: str) -> tuple[str, str, str]:
    """Return prompt, chosen and rejected of one line; `where` names it in messages."""
    record = _read_object(line, where)
    chosen = record["chosen"]
    rejected = record["rejected"]
    if "prompt" in record:
        prompt = record["prompt"]
        require(
            not _begins_with(prompt, chosen),
            f"{where}: chosen begins with the prompt, so the text would hold it twice; "
            "take it out of chosen and rejected, or leave out the field prompt",
        )
        return prompt, chosen, rejected
    # In two texts that are alike nothing tells where a prompt would end.
    common = _common_start(chosen, rejected) if chosen != rejected else ""
    last_word = re.split(r"\s", common)[-1]
    cut = len(common) - len(last_word)
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _begins_with(prompt: str, answer: str) -> bool:
    """Say whether an answer begins with the prompt, and not with part of a word.

    Spaces may be other ones, letters decomposed, and a role or a chat template's mark
    may stand in front.
    """
    words = _plain(prompt)
    text = _plain(answer)
    if not text.startswith(words):
        begins = TALK_BEGINS.match(text)
        text = text[begins.end() :] if begins else text
    rest = text[len(words) :]
    inside_a_word = words[-1:].isalnum() and rest[:1].isalnum()
    return bool(words) and text.startswith(words) and not inside_a_word


def _plain(text: str) -> str:
    """Return a text with one space between words, and no decomposed letters."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _common_start(first: str, second: str) -> str:
    """Return the characters that two texts have in common at their start."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return first[:length]


class _Fields(list[tuple[str, Any]]):
    """The names and values of a JSON object, in the order of the file."""


def _read_object(line: bytes, where: str) -> dict[str, str]:
    """Return the JSON object in a line, with chosen and rejected and perhaps prompt."""
    try:
        # Of a number only its type is told, so one of any length is read.
        fields = json.loads(
            line.decode(), object_pairs_hook=_Fields, parse_int=lambda digits: 0
        )
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where} is not UTF-8 text; give a JSONL file of preferences"
        ) from error
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise ValueError(
            f"{where} is not JSON: {reason}; one whole object a line"
        ) from error
    require(
        isinstance(fields, _Fields),
        f"{where} must be an object with chosen and rejected; got "
        f"{type(fields).__name__}",
    )
    _check_names([name for name, _ in fields], where)
    for name, value in fields:
        _check_text(name, value, where)
    return dict(fields)


def _check_names(names: list[str], where: str) -> None:
    """Refuse a field that is unknown, missing, or there twice."""
    for name in names:
        close = get_close_matches(name.lower(), FIELDS, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        require(
            name in FIELDS,
            f"{where} has an unknown field {shown(name)}{meant}; a line has chosen, "
            "rejected and perhaps prompt, and nothing else",
        )
        require(names.count(name) == 1, f"{where} has the field {name!r} twice")
    for name in ("chosen", "rejected"):
        listed = ", ".join(map(shown, names)) or "none"
        require(name in names, f"{where} has no field {name!r}; it has {listed}")


def _check_text(name: str, value: Any, where: str) -> None:
    """Refuse a value that is not text, or that no file can hold as text."""
    kind = "object" if isinstance(value, _Fields) else type(value).__name__
    require(
        isinstance(value, str),
        f"{where}: {name} must be text, of type string; got {kind} (write out chat "
        "messages)",
    )
    half = SURROGATE.search(value)
    if half:
        raise ValueError(
            f"{where}: {name} holds {half[0]!r}, half of a surrogate pair, which is no "
            "character; write both halves, or the character itself"
        )
