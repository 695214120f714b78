"""Build a page for every public name, from the docstrings: `make docs`."""

from pathlib import Path

import pdoc

from smallscale import notebook

TARGET = Path(__file__).parents[1] / "build" / "docs"


def main() -> None:
    """Write the pages."""
    for name in notebook.__all__:  # imported when first asked for: pdoc does not ask
        setattr(notebook, name, getattr(notebook, name))
    pdoc.render.configure(docformat="google", footer_text="smallscale")
    pdoc.pdoc("smallscale", output_directory=TARGET)
    print(TARGET / "index.html")


if __name__ == "__main__":
    main()
