"""Cut the README's pictures out of the notebooks' committed outputs: `make pictures`.

One figure for each theme; the README shows them beside the table of notebooks.
"""

import base64
import io
import json
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
WIDTH = 880  # pixels: two for each that the README shows, for dense screens
PICTURES = {  # theme: (notebook, which of its figures, the first is 1)
    "robustness": ("robustness/adversarial-images", 5),
    "attribution": ("attribution/influence", 3),
    "kernels": ("kernels/flash-attention", 3),
    "dpo": ("dpo/direct-preference-optimization", 2),
    "values": ("values/collective-constitution", 3),
    "simulation": ("simulation/generative-agents", 2),
    "foundations": ("foundations/in-context-learning", 3),
    "evaluation": ("evaluation/holistic-evaluation", 2),
}


def figures(notebook: Path) -> list[dict]:
    """The outputs of a notebook that are pictures, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def main() -> None:
    """Write docs/pictures/THEME.png for each theme, and print their titles."""
    for theme, (name, number) in PICTURES.items():
        output = figures(ROOT / "notebooks" / f"{name}.ipynb")[number - 1]
        png = base64.b64decode(output["data"]["image/png"])
        image = Image.open(io.BytesIO(png)).convert("RGB")
        image.thumbnail((WIDTH, image.height))
        target = ROOT / "docs" / "pictures" / f"{theme}.png"
        image.quantize(128).save(target, optimize=True)
        print(f"{theme}: {output['metadata']['image/png']['title']}")


if __name__ == "__main__":
    main()
