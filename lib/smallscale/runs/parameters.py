"""What may be asked of a notebook? Its parameters: read, typed, checked, made a grid.

The cell tagged `parameters` holds one `name: type = literal  # help` a line. Help that
ends in `[0, 1]` is a closed range, help that ends in `one of: a, b` is a choice, and
help that says `a folder` or `a file` makes the parameter a path. The cell is read with
`ast`; nothing in it is run. The command checks what it is given before a kernel starts;
a notebook that runs by hand checks itself, with the same words, in its second cell.
"""

import ast
import io
import itertools
import linecache
import math
import re
import tokenize
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from smallscale.core.syntax import parsed
from smallscale.notebook.fingerprints import NO_PYTHON
from smallscale.runs import Refused, refusing
from smallscale.runs.terminal_text import shortened

Value = str | int | float | bool
TYPES: dict[str, type[Value]] = {"str": str, "int": int, "float": float, "bool": bool}
TYPES_IN_WORDS: dict[type[Value], str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _ascii(text: str) -> str:
    """Return a number's text; raise ValueError for another script's digits."""
    return text.encode("ascii").decode()


# How a text of the command line becomes a value; each raises ValueError or KeyError.
CONVERTERS: dict[type[Value], Callable[[str], Value]] = {
    str: str,
    int: lambda text: int(_ascii(text)),
    float: lambda text: float(_ascii(text)) + 0.0,  # -0.0 is 0.0, the same run
    bool: lambda text: {"true": True, "false": False}[text.lower()],
}
LONGEST_GIVEN = 200  # characters of a value that a refusal repeats
MOST_VALUES = 100_000  # a longer list, or a larger grid, is a slip of the finger

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"({NUMBER}):({NUMBER}):({NUMBER})", re.ASCII)
BOUNDS = re.compile(r"\[\s*([^\s,\]]+)\s*,\s*([^\s,\]]+)\s*\]\s*$")
CHOICES = re.compile(r"one of:\s*(.+)$")
# "a folder with images" is a path; "ending of a file name" and "a file's size" are not.
PATH = re.compile(
    r"(?:^|[,:;(]\s*|\bpath (?:of|to) )a (folder|file)"
    r"(?=\s*(?:$|[.,:;()\[\]])|\s+(?:with|of|in|on|from|for|to|that|which|whose|where|"
    r"holding|containing)\b)",
    re.I,
)
# "a folder or a hub name": a path where there is such a folder, and else a name.
OR_FOLDER = re.compile(r"\ba folder,? or\b|\bor a folder\b", re.I)
# One item of a comma list and the comma after it: in quotes, or up to the comma.
ITEM = re.compile(
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?![\s"'])(?P<plain>[^,]*?))\s*,"""
)


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    kind: type[Value]
    default: Value
    help: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Value, ...] = ()
    path: str = ""  # "folder" or "file" where the value is one

    @property
    def may_be_folder(self) -> bool:
        """Say whether a value that names a folder is that folder, and else a name."""
        is_text = self.kind is str and not self.path and not self.choices
        return is_text and bool(OR_FOLDER.search(self.help))

    @property
    def allowed(self) -> str:
        """Say in words what a value may be."""
        if self.choices:
            return "one of: " + ", ".join(map(str, self.choices))
        if self.path:
            return f"a {self.path}"
        words = TYPES_IN_WORDS[self.kind]
        if math.isfinite(self.low) or math.isfinite(self.high):
            words += f" in [{self.low:g}, {self.high:g}]"
        return words

    def check(self, value: Value) -> Value:
        """Return the value. Raises Refused, with what is allowed, where it is not."""
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(f"{value}", "is not finite")
        if self.choices and value not in self.choices:
            hint = near(value, self.choices)
            raise self._refusal(f"{value}", "is not allowed", hint)
        if not isinstance(value, str) and not self.low <= value <= self.high:
            raise self._refusal(f"{value}", "is out of range")
        return value

    def _refusal(self, given: str, wrong: str, hint: str = "") -> Refused:
        short = shortened(given, LONGEST_GIVEN)
        return Refused(f"{self.name}={short} {wrong}; allowed is {self.allowed}{hint}")

    def parse(self, text: str) -> list[Value]:
        """Return the values that a text of the command line asks for.

        The text is one value, a comma list, or a range a:b:step. The values are in the
        order given, each once. Raises Refused where one of them is wrong.

        >>> Parameter("eps", float, 0.1).parse("0.5,0:0.3:0.1")
        [0.5, 0.0, 0.1, 0.2, 0.3]
        """
        if not is_text(text):
            raise self._refusal(f"{text!r}", "is not UTF-8")
        values: list[Value] = []
        for item in _split(self.name, text):
            if ":" in item.text and self.kind in (int, float) and not item.quoted:
                numbers = _spread(self.name, item.text)
                for part in item.text.split(":"):  # 1e3 is a float, here as alone
                    self.convert(part)
                values += [self.convert(str(number)) for number in numbers]
            else:
                values.append(self.convert(item.text))
        return list(dict.fromkeys(self.check(value) for value in values))

    def convert(self, text: str) -> Value:
        """Return the text as a value of the parameter's type, or raise Refused."""
        try:
            return CONVERTERS[self.kind](text)
        except (ValueError, KeyError):
            raise self._refusal(f"{text!r}", "has the wrong type") from None

    def admit(self, value: object, start: Path) -> Value:
        """Return a value that a run may have: typed, allowed, a path made absolute.

        The command asks this of the values it was given, and a notebook's second cell
        of the values in the kernel. Relative paths start from `start`. Raises Refused.
        """
        if isinstance(value, str) and not is_text(value):
            raise self._refusal(f"{value!r}", "is not UTF-8")
        converted = self.check(self.convert(str(value)))
        if not _is_a(value, self.kind):
            raise self._refusal(f"{value!r}", "has the wrong type")
        return self.resolve(converted, start)

    def resolve(self, value: Value, start: Path) -> Value:
        """Return a path as an absolute one, and anything else as it is.

        A relative path starts from this folder, and must exist; an empty one stays
        empty. What may be a folder or a name is a folder where there is one, unless the
        help has it in quotes, as a name. Raises Refused.
        """
        if self.may_be_folder and value and f'"{value}"' not in self.help:
            with suppress(ValueError, RuntimeError, OSError):
                full = (start / Path(str(value)).expanduser()).resolve()
                return self._as_text(value, full) if full.is_dir() else value
        if not self.path or not value:
            return value
        allowed = f"allowed is the path of a {self.path}"
        # A null byte, a ~ without a home, a circle of links, too long a name.
        with refusing(
            f"{self.name}={value} is no path; {allowed}",
            ValueError,
            RuntimeError,
            OSError,
        ):
            full = (start / Path(str(value)).expanduser()).resolve()
            there = full.is_dir() if self.path == "folder" else full.is_file()
        if there:
            return self._as_text(value, full)
        wrong = f"is not a {self.path}" if full.exists() else "does not exist"
        raise Refused(f"{self.name}={value} {wrong}; {allowed}")

    def _as_text(self, value: Value, full: Path) -> str:
        """Return the path that a value leads to, or raise Refused.

        Runs are kept in UTF-8, and so is what the kernel is told.
        """
        if not is_text(str(full)):
            wrong = f"lies at {str(full)!r}, which is not UTF-8"
            raise Refused(f"{self.name}={value} {wrong}; move it, or rename the folder")
        return str(full)


def is_text(text: str) -> bool:
    """Tell whether a word of the command line was UTF-8.

    Where it was not, Python has put lone surrogates into it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_a(value: object, kind: type[Value]) -> bool:
    """Tell whether a value has this type; a whole number is also a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


# ---- the parameters cell -------------------------------------------------------------


def read_parameters(
    cell: str, where: str, *, defaults: bool = True
) -> dict[str, Parameter]:
    """Return the parameters that a parameters cell declares, by name.

    where: names the notebook in messages.
    defaults: False where the cell has been run, and only its types, ranges and choices
        are asked for.

    Raises Refused with the line that is wrong.
    """
    with refusing(
        f"{where}: the parameters cell is not valid Python: ",
        *NO_PYTHON,
        tokenize.TokenError,
    ):
        body = parsed(cell).body
        comments = _comments(cell)
    found: dict[str, Parameter] = {}
    for node in body:
        line = f"{where}: line {node.lineno} of the parameters cell"
        match node:
            case ast.AnnAssign(
                target=ast.Name(id=name),
                annotation=ast.Name(id=type_name),
                value=ast.expr() as literal,
            ):
                if name in found:
                    raise Refused(f"{line}: {name} is declared twice")
                help = _help(node, comments)
                with refusing(f"{line}: ", Refused):
                    found[name] = _declared(name, type_name, help)
                    if defaults:
                        found[name] = _with_default(found[name], literal)
            case _:
                form = "`name: type = literal  # help`"
                raise Refused(f"{line} is not of the form {form}")
    return found


def _help(node: ast.stmt, comments: dict[int, str]) -> str:
    """Return the comment of a declaration.

    A formatter may have wrapped the line, as `name: type = (`, `literal  # help`, `)`.
    """
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return " ".join(comments[line] for line in lines if line in comments)


def _comments(cell: str) -> dict[int, str]:
    """Return the comment of each line that has one, by the line's number."""
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(cell).readline)
        if token.type == tokenize.COMMENT
    }


def _declared(name: str, type_name: str, help: str) -> Parameter:
    """Return the parameter that one line declares, or raise Refused.

    Its default is as yet its type's own.
    """
    if type_name not in TYPES:
        allowed = ", ".join(TYPES)
        raise Refused(f"the type of {name} is {type_name}; allowed are {allowed}")
    kind = TYPES[type_name]
    parameter = Parameter(name, kind, kind(), help)
    path = PATH.search(help)
    if path and kind is str:
        parameter = replace(parameter, path=path[1].lower())
    bounds = BOUNDS.search(help)
    if bounds and kind in (int, float):
        with refusing(
            f"the range {bounds[0].strip()} of {name} is not two numbers", ValueError
        ):
            parameter = replace(parameter, low=float(bounds[1]), high=float(bounds[2]))
    choices = CHOICES.search(help)
    if choices:
        items = _split(name, choices[1].rstrip(". "))
        values = tuple(parameter.convert(item.text) for item in items)
        parameter = replace(parameter, choices=values)
    return parameter


def _with_default(parameter: Parameter, literal: ast.expr) -> Parameter:
    """Return the parameter with this default, or raise Refused."""
    default = _default(parameter.name, parameter.kind, literal)
    with refusing("the default ", Refused):
        parameter.check(default)
    return replace(parameter, default=default)


def _default(name: str, kind: type[Value], literal: ast.expr) -> Value:
    """Return a default as a value of its type: a whole number is also a float."""
    with refusing(f"the default of {name} is not a literal", ValueError):
        default = ast.literal_eval(literal)
    if kind is float and type(default) is int:
        return float(default)
    if type(default) is not kind:
        raise Refused(
            f"the default of {name} is {default!r}, which is not {kind.__name__}"
        )
    value: Value = default
    return value


# ---- the command line's lists and ranges ---------------------------------------------


@dataclass(frozen=True)
class Item:
    """One item of a comma list."""

    text: str
    quoted: bool  # quotes protect a comma, and the colons of what is no range


def _split(name: str, text: str) -> list[Item]:
    """Return the items of a comma list, or raise Refused for a quote out of place."""
    matches = list(ITEM.finditer(text + ","))
    if "".join(match[0] for match in matches) != text + ",":
        raise Refused(
            f"{name}={text} has a quote that is not closed, or text after one that is"
        )
    items = []
    for match in matches:
        kind = match.lastgroup or "plain"
        items.append(Item(match[kind], quoted=kind != "plain"))
    return items


def _spread(name: str, text: str) -> list[Decimal]:
    """Return the numbers of a range a:b:step, both ends included where the step allows.

    They are counted in decimals, so that 0:0.3:0.1 holds 0.3 and not
    0.30000000000000004. Raises Refused where the text is no range, or an empty one.
    """
    match = RANGE.fullmatch(text.strip())
    if not match:
        raise Refused(
            f"{name}={text} is not a range; write it as start:end:step, such as "
            "0:1:0.25"
        )
    with refusing(f"{name}={text} has numbers beyond any use", DecimalException):
        start = Decimal(match[1])
        end = Decimal(match[2])
        step = Decimal(match[3])
        if step <= 0 or end < start:
            raise Refused(
                f"{name}={text} is an empty range; the step must be above 0 and the "
                "end not below the start"
            )
        steps = (end - start) / step
        if steps >= MOST_VALUES:
            count = f"{int(steps) + 1:,}" if steps < 10**15 else "far too many"
            raise Refused(
                f"{name}={text} is {count} values; at most {MOST_VALUES:,} are taken"
            )
        return [start + index * step for index in range(int(steps) + 1)]


def grid(
    parameters: Mapping[str, Parameter],
    asked: Mapping[str, str],
    caller: Path,
    beside: Path | None = None,
) -> list[dict[str, Value]]:
    """Return every combination of the values asked for, as one dict a run.

    Parameters that are not asked for stand at their defaults. Paths that are asked for
    start from the caller's folder, and defaults from the notebook's, which is `beside`
    (None: the caller's). Raises Refused where a value is wrong or there are too many
    combinations.

    >>> declared = {name: Parameter(name, int, 0) for name in ("seed", "k")}
    >>> grid(declared, {"seed": "1,2"}, Path())
    [{'seed': 1, 'k': 0}, {'seed': 2, 'k': 0}]
    """
    values: dict[str, list[Value]] = {}
    for name, parameter in parameters.items():
        if name in asked:
            given = parameter.parse(asked[name])
            start = caller
        else:
            given = [parameter.default]
            start = beside or caller
        values[name] = [parameter.admit(value, start) for value in given]
    size = math.prod(map(len, values.values()))
    if size > MOST_VALUES:
        raise Refused(
            f"this is a grid of {size:,} runs; at most {MOST_VALUES:,} are taken"
        )
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


# ---- a notebook that runs by hand ----------------------------------------------------


def check_parameters() -> None:
    """Stop this notebook at a parameter that the command would refuse.

    Every notebook calls it in its second cell. The types, ranges and choices are those
    of the parameters cell as the kernel has run it, and the values are what the
    kernel has now. Relative paths start from the kernel's folder. In a script that was
    made of a notebook there are no cells, and nothing is checked.

    Raises ValueError with the line that the command prints.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    try:
        cell = _declaring_cell([*_compiled_inputs(), *_kept_inputs(shell)])
        for name, parameter in read_parameters(
            cell, "this notebook", defaults=False
        ).items():
            if name not in shell.user_ns:
                raise Refused(f"{name} has no value; run the parameters cell again")
            parameter.admit(shell.user_ns[name], Path.cwd())
    except Refused as refusal:
        raise ValueError(str(refusal)) from None


def _kept_inputs(shell: Any) -> Iterable[str]:
    """Return the inputs that a kernel keeps in its history, in their order."""
    inputs: Iterable[str] = shell.history_manager.input_hist_raw
    return inputs


def _compiled_inputs() -> Iterable[str]:
    """Return the inputs that a kernel has compiled, the first of equal ones in place.

    They are there without a history too: nbval asks its kernels to keep none.
    """
    for entry in list(linecache.cache.values()):
        if len(entry) == 4 and entry[1] is None:  # compiled from a text, not a file
            yield "".join(entry[2])


def _declaring_cell(inputs: Iterable[str]) -> str:
    """Return the last of these inputs that declares parameters: it declares `scale`."""
    for text in reversed(list(inputs)):
        with suppress(SyntaxError):
            for node in parsed(text).body:
                match node:
                    case ast.AnnAssign(target=ast.Name(id="scale")):
                        return text
    raise Refused("no cell has declared the parameters; run the first code cell")


# ---- what refusals say ---------------------------------------------------------------


def unknown(name: str, parameters: Mapping[str, Parameter], where: str) -> Refused:
    """Return the refusal of a parameter that a notebook does not have."""
    hint = near(name, parameters)
    known = ", ".join(parameters)
    return Refused(f"{where} has no parameter {name!r}{hint}; it has: {known}")


def near(value: object, known: Iterable[object]) -> str:
    """Return a hint at the nearest known name, or an empty text."""
    names = [str(item) for item in known]
    close = get_close_matches(str(value), names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
