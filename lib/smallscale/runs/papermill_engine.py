"""May users of papermill have warm kernels? `papermill --engine smallscale`.

Papermill finds the engine by an entry point, and keeps its own ways: its parameters,
its output file, its progress. The kernel is forked from a warm process, which lives as
long as the Python process that uses papermill, so it pays where several notebooks are
executed from one program. A kernel ends with that process, however it ends. What a
notebook claims is read back into its metadata, under `smallscale`.
"""

import dataclasses
import logging
import os
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from smallscale.runs.catalogue import Notebook
from smallscale.runs.document import read_shown
from smallscale.runs.kernel import END_WITH_PARENT, EVERY_KERNEL, set_up
from smallscale.runs.plan import warm_imports
from smallscale.runs.record import DamagedRecord
from smallscale.runs.warm import (
    SOCKET,
    SUPPORTED,
    kernel_env,
    lasting_warm_process,
    socket_folder,
)

logger = logging.getLogger("papermill")


class SmallscaleEngine:
    """What papermill calls: its own engine, with kernels of smallscale's.

    Papermill loads it while it is itself being imported, so nothing of papermill's is
    needed before the first notebook.
    """

    @classmethod
    def execute_notebook(cls, *arguments: Any, **options: Any) -> Any:
        """Execute a notebook; the arguments are those of papermill's engines."""
        return _engine().execute_notebook(*arguments, **options)

    @classmethod
    def nb_kernel_name(cls, *arguments: Any, **options: Any) -> Any:
        """Return the name of the notebook's kernel, as papermill's engine does."""
        return _engine().nb_kernel_name(*arguments, **options)

    @classmethod
    def nb_language(cls, *arguments: Any, **options: Any) -> Any:
        """Return the notebook's language, as papermill's engine does."""
        return _engine().nb_language(*arguments, **options)


@cache
def _engine() -> Any:
    """Return papermill's engine with our kernels."""
    from papermill.engines import NBClientEngine

    class Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, **options: Any
        ) -> Any:
            """Execute the notebook that papermill manages; options are its engine's.

            A notebook in another language than Python has papermill's ordinary kernel.
            """
            notebook = nb_man.nb
            language = notebook.metadata.get("kernelspec", {}).get("language")
            if (language or "python").lower() != "python":
                return super().execute_managed_notebook(nb_man, kernel_name, **options)
            with socket_folder() as folder:
                manager = _manager_class(Path(folder), _environment(notebook))
                options["kernel_manager_class"] = manager
                options["extra_arguments"] = [
                    *EVERY_KERNEL,
                    *([END_WITH_PARENT] if os.name == "posix" else []),
                ]
                super().execute_managed_notebook(nb_man, kernel_name, **options)
            _keep_claims(notebook)
            return notebook

    return Engine


def _manager_class(folder: Path, environment: dict[str, str]) -> Any:
    """Return the class of a notebook's kernel manager, as nbclient makes its own.

    A kernel whose manager is made elsewhere is left alive when its notebook is over.
    """

    class Manager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            set_up(self, folder)
            specification: Any = self.kernel_spec
            specification.env = environment

    return Manager


def _environment(notebook: Any) -> dict[str, str]:
    """Return what a kernel's environment gets: threads, and the warm process."""
    added = kernel_env(1)
    if SUPPORTED:
        whole = Notebook.from_document(Path("notebook.ipynb").absolute(), notebook)
        added[SOCKET] = str(lasting_warm_process(tuple(warm_imports(whole)), 1))
    return added


def _keep_claims(notebook: Any) -> None:
    """Put claims and metrics into the notebook's metadata; tell which do not hold."""
    try:
        shown = read_shown(notebook)
    except DamagedRecord as damage:
        logger.warning("smallscale: its claims cannot be read: %s", damage)
        return
    notebook.metadata["smallscale"] = dataclasses.asdict(shown)
    for claim in shown.claims:
        if claim.judged and not claim.holds:
            logger.warning("smallscale: a claim does not hold: %s", claim.statement)
