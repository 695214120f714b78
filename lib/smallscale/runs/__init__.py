"""What runs notebooks: parameters read and checked, warm kernels, sweeps, the gallery, the command."""

from collections.abc import Iterator
from contextlib import contextmanager


class Refused(Exception):
    """The command was asked for something it cannot do: one plain line, exit code 2, nothing started."""


@contextmanager
def refusing(message: str, *errors: type[Exception]) -> Iterator[None]:
    """What raises one of these errors is refused. A message that ends in a space goes on with the error's own."""
    try:
        yield
    except errors as error:
        raise Refused(
            f"{message}{error}" if message.endswith(" ") else message
        ) from None
