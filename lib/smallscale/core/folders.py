"""Where is kept what several runs share, and what one run writes?"""

import os
from pathlib import Path

from platformdirs import user_cache_path

RUN_FOLDER = "SMALLSCALE_RUN_FOLDER"  # the variable that names a run's own folder


def run_folder() -> Path | None:
    """Return the folder that this run has for its own files; None where it has none."""
    named = os.environ.get(RUN_FOLDER)
    return Path(named) if named and Path(named).is_dir() else None


def models_folder() -> Path:
    """Return where language models are kept: `models` in the user's cache folder.

    The environment variable SMALLSCALE_MODELS names another folder.
    """
    named = os.environ.get("SMALLSCALE_MODELS")
    if named:
        return Path(named).expanduser().absolute()
    return user_cache_path("smallscale") / "models"
