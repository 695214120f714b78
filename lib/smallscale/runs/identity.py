"""Has this run been done before? Its name is a hash of everything that its result depends on."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from smallscale.notebook.code import contents_hash, module_hashes, modules, versions
from smallscale.runs.catalogue import Notebook
from smallscale.runs.parameters import Value

inputs_hash = lru_cache(maxsize=None)(contents_hash)  # a sweep reads its data once


class Identifier:
    """Names the runs of one notebook; what does not depend on the parameters is hashed once."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook

    @cached_property
    def code(self) -> dict[str, Any]:
        """The notebook's code cells, the bare code of the library modules it imports, and the versions."""
        statements = "\n".join(self.notebook.imports_anywhere)
        return {
            "cells": self.notebook.code,
            "modules": module_hashes(modules(statements, self.notebook.path.parent)),
            "versions": versions(),
        }

    def data(self, parameters: Mapping[str, Value]) -> dict[str, str]:
        """A hash of what each path parameter holds, by name."""
        return {
            name: inputs_hash(Path(str(value)))
            for name, value in parameters.items()
            if self.notebook.parameters[name].path and value
        }

    def run(self, parameters: Mapping[str, Value]) -> str:
        """The run's name: the notebook's file name and twelve hexadecimal digits.

        A path counts by what it holds, not by where it lies.
        """
        data = self.data(parameters)
        plain = {name: data.get(name, value) for name, value in parameters.items()}
        record = json.dumps([self.code, plain], sort_keys=True)
        return f"{self.notebook.path.stem}-{hashlib.sha256(record.encode()).hexdigest()[:12]}"
