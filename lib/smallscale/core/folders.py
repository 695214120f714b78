"""Where is kept what several runs share?"""

import os
from pathlib import Path

from platformdirs import user_cache_path


def models_folder() -> Path:
    """Return where language models are kept: `models` in the user's cache folder.

    The environment variable SMALLSCALE_MODELS names another folder.
    """
    named = os.environ.get("SMALLSCALE_MODELS")
    if named:
        return Path(named).expanduser().absolute()
    return user_cache_path("smallscale") / "models"
