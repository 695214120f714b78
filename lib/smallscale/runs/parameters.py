"""What may be asked of this notebook? Its parameters: read with `ast`, typed, checked, spread into a grid.

The cell tagged `parameters` holds one `name: type = literal  # help` a line. Help that ends in `[0, 1]` is a
closed range, help that ends in `one of: a, b` a choice, and help that says `a folder` or `a file` makes a path.
"""

import ast
import io
import itertools
import math
import re
import tokenize
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

from smallscale.runs import Refused, refusing

Value = str | int | float | bool
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
READ: dict[type, Callable[[str], Value]]  # raises ValueError or KeyError
READ = {
    str: str,
    int: int,
    float: float,
    bool: lambda text: {"true": True, "false": False}[text.lower()],
}
MOST = 100_000  # a longer list is a slip of the finger

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"({NUMBER}):({NUMBER}):({NUMBER})")
BOUNDS = re.compile(r"\[\s*([^\s,\]]+)\s*,\s*([^\s,\]]+)\s*\]\s*$")
CHOICES = re.compile(r"one of:\s*(.+)$")
PATH = re.compile(r"\ba (folder|file)\b")
# One value of a comma list and its comma: quoted, or up to the comma.
ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(?![\s"'])([^,]*?))\s*,""")


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    kind: type
    default: Value
    help: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Value, ...] = ()
    path: str = ""  # "folder" or "file" where the value is one

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.choices:
            return "one of: " + ", ".join(map(str, self.choices))
        if self.path:
            return f"a {self.path}"
        bounded = math.isfinite(self.low) or math.isfinite(self.high)
        return KINDS[self.kind] + (
            f" in [{self.low:g}, {self.high:g}]" if bounded else ""
        )

    def check(self, value: Value) -> Value:
        """The value, or Refused with what is allowed."""
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(
                f"{self.name}={value} is not finite; allowed is {self.allowed}"
            )
        if self.choices and value not in self.choices:
            raise Refused(
                f"{self.name}={value} is not allowed; allowed is {self.allowed}{near(value, self.choices)}"
            )
        if not isinstance(value, str) and not self.low <= value <= self.high:
            raise Refused(
                f"{self.name}={value} is out of range; allowed is {self.allowed}"
            )
        return value

    def parse(self, text: str) -> list[Value]:
        """The values that a command-line text asks for: one, a comma list, or a:b:step; in order, each once."""
        values: list[Value] = []
        for item, quoted in _split(self.name, text):
            spread = ":" in item and self.kind in (int, float) and not quoted
            values += map(
                self._cast, map(str, _range(self.name, item)) if spread else [item]
            )
        return list(dict.fromkeys(map(self.check, values)))

    def _cast(self, text: str) -> Value:
        with refusing(
            f"{self.name}={text!r} has the wrong type; allowed is {self.allowed}",
            ValueError,
            KeyError,
        ):
            return READ[self.kind](text)

    def resolve(self, value: Value, caller: Path) -> Value:
        """A path as an absolute one, checked; anything else, and an empty path, as it is."""
        if not self.path or not value:
            return value
        full = (caller / Path(str(value)).expanduser()).resolve()
        if not (full.is_dir() if self.path == "folder" else full.is_file()):
            what = f"is not a {self.path}" if full.exists() else "does not exist"
            raise Refused(
                f"{self.name}={value} {what}; allowed is the path of a {self.path}"
            )
        return str(full)


def read_parameters(cell: str, where: str) -> dict[str, Parameter]:
    """The parameters that a parameters cell declares, by name. Raises Refused with the line that is wrong."""
    with refusing(
        f"{where}: the parameters cell is not valid Python: ",
        SyntaxError,
        tokenize.TokenError,
    ):
        body = ast.parse(cell).body
        tokens = list(tokenize.generate_tokens(io.StringIO(cell).readline))
    comments = {
        t.start[0]: t.string.lstrip("# ").strip()
        for t in tokens
        if t.type == tokenize.COMMENT
    }
    found: dict[str, Parameter] = {}
    for node in body:
        line = f"{where}: line {node.lineno} of the parameters cell"
        match node:
            case ast.AnnAssign(
                target=ast.Name(id=name),
                annotation=ast.Name(id=kind),
                value=ast.expr() as literal,
            ):
                if name in found:
                    raise Refused(f"{line}: {name} is declared twice")
                with refusing(f"{line}: ", Refused):
                    found[name] = _parameter(
                        name, kind, literal, comments.get(node.end_lineno or 0, "")
                    )
            case _:
                raise Refused(
                    f"{line} is not of the form `name: type = literal  # help`"
                )
    return found


def _parameter(name: str, type_name: str, literal: ast.expr, help: str) -> Parameter:
    if type_name not in TYPES:
        raise Refused(
            f"the type of {name} is {type_name}; allowed are {', '.join(TYPES)}"
        )
    kind = TYPES[type_name]
    with refusing(f"the default of {name} is not a literal", ValueError):
        default = ast.literal_eval(literal)
    if kind is float and type(default) is int:
        default = float(default)
    if type(default).__name__ != type_name:
        raise Refused(f"the default of {name} is {default!r}, which is not {type_name}")
    bounds, listed, path = BOUNDS.search(help), CHOICES.search(help), PATH.search(help)
    parameter = Parameter(
        name, kind, default, help, path=path[1] if path and kind is str else ""
    )
    if bounds and kind in (int, float):
        with refusing(
            f"the range {bounds[0].strip()} of {name} is not two numbers", ValueError
        ):
            parameter = replace(parameter, low=float(bounds[1]), high=float(bounds[2]))
    if listed:
        choices = [
            parameter._cast(text) for text, _ in _split(name, listed[1].rstrip(". "))
        ]
        parameter = replace(parameter, choices=tuple(choices))
    with refusing("the default ", Refused):
        parameter.check(default)
    return parameter


def _split(name: str, text: str) -> list[tuple[str, bool]]:
    """The items of a comma list, and whether each was quoted; quotes protect a comma."""
    items = list(ITEM.finditer(text + ","))
    if "".join(item[0] for item in items) != text + ",":
        raise Refused(
            f"{name}={text} has a quote that is not closed, or text after one that is"
        )
    return [(item[item.lastindex or 0], item.lastindex != 3) for item in items]


def _range(name: str, text: str) -> list[Decimal]:
    """a:b:step, both ends in, counted in decimals so that 0:0.3:0.1 holds 0.3 and not 0.30000000000000004."""
    match = RANGE.fullmatch(text.strip())
    if not match:
        raise Refused(
            f"{name}={text} is not a range; write it as start:end:step, such as 0:1:0.25"
        )
    start, end, step = map(Decimal, match.groups())
    if step <= 0 or end < start:
        raise Refused(
            f"{name}={text} is an empty range; the step must be above 0 and the end not below the start"
        )
    count = int((end - start) / step) + 1
    if count > MOST:
        raise Refused(f"{name}={text} is {count:,} values; at most {MOST:,} are taken")
    return [start + k * step for k in range(count)]


def grid(
    parameters: Mapping[str, Parameter], asked: Mapping[str, str], caller: Path
) -> list[dict[str, Value]]:
    """Every combination of the values asked for, the others at their defaults, as one dict a run."""
    axes = []
    for name, parameter in parameters.items():
        values = parameter.parse(asked[name]) if name in asked else [parameter.default]
        axes.append([(name, parameter.resolve(value, caller)) for value in values])
    size = math.prod(map(len, axes))
    if size > MOST:
        raise Refused(f"this is a grid of {size:,} runs; at most {MOST:,} are taken")
    return [dict(combination) for combination in itertools.product(*axes)]


def unknown(name: str, parameters: Mapping[str, Parameter], where: str) -> Refused:
    """The refusal of a parameter that a notebook does not have."""
    return Refused(
        f"{where} has no parameter {name!r}{near(name, parameters)}; it has: {', '.join(parameters)}"
    )


def near(value: object, known: Iterable[object]) -> str:
    """A hint at the nearest known name, or nothing."""
    close = get_close_matches(
        str(value), [str(item) for item in known], n=1, cutoff=0.5
    )
    return f" (did you mean {close[0]!r}?)" if close else ""
