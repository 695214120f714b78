"""The command, from its first moment: what ends it while it is being imported.

The rest of the command takes a second to import. A signal that comes meanwhile ends it
with a line and the code that the shell knows, as it does later.
"""

import os
import signal
from types import FrameType

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
PYTHONS_OWN = (signal.SIG_DFL, signal.default_int_handler)


def main() -> None:
    """Import the command and run it."""
    before = {number: signal.getsignal(number) for number in WORDS}
    # What a caller ignores, as `nohup` and a shell's background do, stays ignored.
    ours = [number for number in WORDS if before[number] in PYTHONS_OWN]
    for number in ours:
        signal.signal(number, _end)
    from smallscale.runs.command import main as command

    for number in ours:
        signal.signal(number, before[number])
    command()


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: an exception could be caught by what is being imported."""
    line = f"smallscale: {WORDS[signal.Signals(number)]}\n"
    try:
        os.write(2, line.encode())
    finally:
        os._exit(128 + number)
