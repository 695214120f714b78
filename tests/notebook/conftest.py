"""What the kit's tests share: the outputs that were shown, as bundles by MIME type."""

from typing import Any, NamedTuple

import pytest


class Output(NamedTuple):
    data: dict[str, Any]
    metadata: dict[str, Any]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Output]:
    """The outputs that a test showed, in order."""
    outputs: list[Output] = []

    def display(
        data: dict[str, Any], *, metadata: dict[str, Any] | None, raw: bool
    ) -> None:
        assert raw
        outputs.append(Output(data, metadata or {}))

    monkeypatch.setattr("smallscale.notebook.output.display", display)
    return outputs
