"""What becomes of news that SmolLM2 passes on, taught and not? Records it for the
notebook.

    python benchmarks/telling.py

One thread of a busy machine took a quarter of an hour for teaching and chains. What is
recorded already is not done again.
"""

import time

from smallscale.models import RecordedModel
from smallscale.simulation.words.telling import (
    ARMS,
    MEASURED,
    RECORDED,
    recorded_chains,
    survival,
    tell_chains,
)


def main() -> None:
    """Do what is missing and print what survived."""
    model = RecordedModel(RECORDED, record=True)
    for arm in ARMS:
        begin = time.perf_counter()
        model.result_of(tell_chains, arm=arm, **MEASURED)
        print(f"{arm}: {time.perf_counter() - begin:.0f} s", flush=True)
    print(survival(recorded_chains(model)).to_string())


if __name__ == "__main__":
    main()
