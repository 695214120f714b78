"""How does the command begin and end? With open streams, and a line for every end."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from smallscale.runs import Refused
from smallscale.runs.shown import tell

UsageError: Any = typer.BadParameter.__mro__[1]  # click's, wherever typer keeps it


def run_command(app: Callable[..., Any]) -> None:
    """Run the command; what it refuses is one line and exit code 2."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A Windows pipe may not know "…".
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_terminated)  # a sweep has its own way
    try:
        code = app(prog_name="smallscale", standalone_mode=False) or 0
        sys.stdout.flush()
        sys.exit(code)
    except UsageError as error:
        tell(f"{error.format_message()} `smallscale --help` says what there is")
        sys.exit(2)
    except Refused as error:
        tell(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `smallscale results | head`
        silence_output()
    except OSError as failure:  # a full disk, to which the output was sent
        silence_output()
        tell(f"broke off: {failure}")
        sys.exit(1)


def _open_closed_streams() -> None:
    """Let what a caller has closed (`>&-`) lead to nowhere.

    The next file that is opened would take its place, and be printed into.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)


def silence_output() -> None:
    """Let standard output lead to nowhere: Python writes what is left at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_terminated(number: int, frame: object) -> None:
    """End the command at SIGTERM, with a word, before any run has started."""
    with suppress(OSError):
        tell("terminated")
    sys.exit(128 + number)
