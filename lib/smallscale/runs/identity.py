"""Has this run been done before? Its name is a hash of everything that its result depends on."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from smallscale.notebook.code import contents_hash, module_hashes, modules, versions
from smallscale.runs.catalogue import Notebook
from smallscale.runs.parameters import Value

inputs_hash = lru_cache(maxsize=None)(contents_hash)  # a sweep reads its data once


class Identifier:
    """Names the runs of one notebook; what does not depend on the parameters is hashed once.

    That is the notebook's code cells, the bare code of the library modules it imports, and the versions.
    """

    def __init__(self, notebook: Notebook) -> None:
        found = modules("\n".join(notebook.imports_anywhere), notebook.path.parent)
        self.code = {"cells": notebook.code, "modules": module_hashes(found), "versions": versions()}
        self.stem = notebook.path.stem
        self.paths = [name for name, parameter in notebook.parameters.items() if parameter.path]

    def run(self, parameters: Mapping[str, Value]) -> tuple[str, dict[str, str]]:
        """The run's name (the notebook's file name and twelve hexadecimal digits), and a hash of each path's contents.

        A path counts by what it holds, not by where it lies.
        """
        data = {name: inputs_hash(Path(str(parameters[name]))) for name in self.paths if parameters[name]}
        record = json.dumps([self.code, {**parameters, **data}], sort_keys=True)
        return f"{self.stem}-{hashlib.sha256(record.encode()).hexdigest()[:12]}", data
