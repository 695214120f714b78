"""What runs notebooks: parameters, warm kernels, sweeps, results, the command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Refused(Exception):
    """The command was asked for something that it cannot do.

    The message is one plain line. The command prints it and exits with code 2 before
    anything has started.
    """


@contextmanager
def refusing(message: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn these errors into Refused with this message.

    A message that ends in a space is followed by the error's own.
    """
    try:
        yield
    except errors as error:
        if message.endswith(" "):
            message = f"{message}{error}"
        raise Refused(message) from None


def load(folder: str | Path = "results") -> "pd.DataFrame":
    """Return the table of runs as a DataFrame: see `smallscale.runs.table.load`."""
    # Imported here: the command starts without pandas.
    from smallscale.runs.table import load as load_table

    return load_table(folder)
