"""What is kept of one run? Its record, written as `run.json`.

The dataclass is the schema: its fields are the keys of the file, in this order, and
their types are what a file that is read back must hold.
"""

import dataclasses
import json
import math
import types
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import (
    Any,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from smallscale.runs.parameters import Value

Status = Literal["completed", "failed", "timed-out"]
UNION = (Union, types.UnionType)  # what get_origin says of X | Y


class DamagedRecord(ValueError):
    """A run.json does not hold a run's record; the message says why, in one line."""


@dataclass(frozen=True)
class Claim:
    """One sentence that a notebook states, and what the run said about it."""

    statement: str
    measured: str
    holds: bool
    tolerance: str
    paper: str  # the published number, as text
    reproduced: bool | None  # None: this run measured something else than the paper
    judged: bool  # whether the verdict counts at the run's scale


@dataclass(frozen=True)
class MetricDetail:
    """What stands beside a metric's number."""

    whole: bool = False  # whether it counts something; 1.0 is written as 1
    unit: str = ""
    n: int | None = None  # how many it is measured on
    low: float | None = None  # its interval
    high: float | None = None


@dataclass(frozen=True)
class Hardware:
    """The machine that the run used."""

    machine: str
    cores: int | None
    memory_gb: float
    gpu: str | None


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked for, what came out, and what it took."""

    run: str  # its identity: the notebook's file name and a hash
    notebook: str  # the name that `smallscale list` prints
    title: str
    question: str
    parameters: dict[str, Value]
    data: dict[str, str]  # a hash of what each path parameter points at
    claims: list[Claim]
    metrics: dict[str, float | None]  # None: the number was not finite
    seed: Value | None  # None: the notebook has no such parameter
    scale: Value | None
    status: Status
    error: str  # empty, or the error's last lines
    kernel: Literal["warm", "cold"]
    peak_mb: float | None  # None: the kernel could not say
    seconds: float
    hardware: Hardware
    figures: list[dict[str, str]]  # file, title and alt text of each
    html: bool  # whether the run has a page
    versions: dict[str, str]
    started: str  # times in ISO 8601, UTC
    finished: str
    place: str = ""  # the notebook's folder, from that of the results
    # A hash of each file of the user's own that was run or read, and that neither an
    # import nor a parameter names.
    code: dict[str, str] = field(default_factory=dict)
    details: dict[str, MetricDetail] = field(default_factory=dict)  # of the metrics
    commit: str = ""  # git's, of the notebook; ends in -dirty where it was changed
    # The size in bytes of each other file in the run's folder, as it was kept.
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record that `to_json` wrote. Keys that are not fields are ignored.

        Raises DamagedRecord with the first thing that is wrong.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise DamagedRecord("it is not valid JSON") from None
        return read_as(cls, content, "the record")

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the record as JSON: one line for the log, indented for a file."""
        return json.dumps(asdict(self), indent=indent)


class ClaimCount(NamedTuple):
    """How many judged claims held, and how many were judged."""

    held: int
    judged: int


def claims_held(record: RunRecord) -> ClaimCount:
    """Count the judged claims of a run, and those of them that held."""
    verdicts = [claim.holds for claim in record.claims if claim.judged]
    return ClaimCount(held=sum(verdicts), judged=len(verdicts))


def passed(record: RunRecord) -> bool:
    """Tell whether the run completed and every judged claim held."""
    count = claims_held(record)
    return record.status == "completed" and count.held == count.judged


T = TypeVar("T")


def read_as(kind: type[T], content: Any, where: str) -> T:
    """Return JSON content as this type: a dataclass, or what a field of one may be.

    `where` names the content in the message. Raises DamagedRecord with the first thing
    that is wrong.
    """
    value: T = _read(kind, content, where)
    return value


def _read(kind: Any, content: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, content, where)
    origin = get_origin(kind)
    inner = get_args(kind)
    if origin is list and isinstance(content, list):
        return [
            _read(inner[0], item, f"item {number} of {where}")
            for number, item in enumerate(content, 1)
        ]
    if origin is dict and isinstance(content, dict):
        return {
            key: _read(inner[1], item, f"{key!r} of {where}")
            for key, item in content.items()
        }
    if origin is Literal and content in inner:
        return content
    if origin in UNION and any(_is_a(content, choice) for choice in inner):
        return content
    if origin is None and _is_a(content, kind):
        return content
    raise DamagedRecord(f"{where} must be {_in_words(kind)}; got {_short(content)}")


def _read_fields(kind: Any, content: Any, where: str) -> Any:
    if not isinstance(content, dict):
        raise DamagedRecord(f"{where} must be an object; got {_short(content)}")
    values = {}
    for name, annotation in _fields(kind).items():
        if name not in content:
            if _has_default(kind, name):
                continue  # an earlier version did not write it
            raise DamagedRecord(f"{where} has no key {name!r}")
        values[name] = _read(annotation, content[name], f"{name!r} of {where}")
    return kind(**values)


_fields = cache(get_type_hints)  # a folder of results may hold thousands of records


def _has_default(kind: Any, name: str) -> bool:
    described = kind.__dataclass_fields__[name]
    missing = dataclasses.MISSING
    return described.default is not missing or described.default_factory is not missing


def _is_a(content: Any, kind: type) -> bool:
    """Tell whether a JSON value has this type; a whole number is also a float.

    NaN and infinity, which Python writes into JSON, are no JSON and no number. A whole
    number beyond all floats is none of them.
    """
    if isinstance(content, bool):
        return kind is bool
    if isinstance(content, float) and not math.isfinite(content):
        return False
    if kind is float and isinstance(content, int):
        return is_float(content)
    return isinstance(content, kind)


def is_float(number: float) -> bool:
    """Tell whether a number can be made a float; some whole ones are too large.

    >>> is_float(10**308), is_float(10**309)
    (True, False)
    """
    try:
        float(number)
    except OverflowError:
        return False
    return True


def _in_words(kind: Any) -> str:
    """Name a field's type for a reader of run.json."""
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(get_args(kind))
    if origin in UNION:
        return " or ".join(map(_in_words, get_args(kind)))
    words = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "null",
        list: "a list",
        dict: "an object",
    }
    return words[origin or kind]


def _short(content: Any) -> str:
    text = json.dumps(content)
    return text if len(text) <= 40 else text[:39] + "…"
