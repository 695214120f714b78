"""How does something appear below a cell? One output, in every form that is needed."""

from typing import Any

from IPython.display import display


def show_output(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Show one output; `data` holds it by MIME type, and each reader takes its richest.

    metadata: what is said about a form of it, by MIME type (an image's alt text).
    """
    display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
