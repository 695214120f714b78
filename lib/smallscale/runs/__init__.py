"""What runs notebooks: parameters, warm kernels, sweeps, results, the command."""

from collections.abc import Iterator
from contextlib import contextmanager


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
