"""Write one small example of every format that some notebook's `data=` takes.

Everything here is made up by this script from a seed, and `python data/generate.py`
writes the same files again. To use your own data, copy an example and keep its form.
"""

import csv
import gzip
import itertools
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from smallscale.evaluation.transparency.made_up import made_up_index
from smallscale.robustness.reading.synthetic_squad import passages
from smallscale.values.population import population

HERE = Path(__file__).parent
SEED = 0
SIDE = 28  # pixels of a digit's side
FINER = 4  # drawn so many times finer, then shrunk: soft edges
PER_DIGIT = 60
# The strokes of each digit, as points in a box of width and height 1, y downwards.
CIRCLE = [
    (0.5 + 0.32 * np.cos(t), 0.5 + 0.45 * np.sin(t)) for t in np.linspace(0, 6.3, 24)
]
STROKES = {
    0: [CIRCLE],
    1: [[(0.35, 0.2), (0.55, 0.05), (0.55, 0.95)]],
    2: [
        [(0.2, 0.25), (0.35, 0.06), (0.65, 0.06), (0.8, 0.3), (0.2, 0.95), (0.85, 0.95)]
    ],
    3: [
        [(0.2, 0.1), (0.6, 0.05), (0.8, 0.25), (0.45, 0.47)],
        [(0.45, 0.47), (0.85, 0.65), (0.65, 0.95), (0.2, 0.92)],
    ],
    4: [[(0.6, 0.05), (0.15, 0.65), (0.9, 0.65)], [(0.7, 0.4), (0.68, 0.98)]],
    5: [
        [(0.8, 0.05), (0.3, 0.05), (0.25, 0.45)],
        [(0.25, 0.45), (0.7, 0.45), (0.82, 0.7), (0.6, 0.95), (0.2, 0.92)],
    ],
    6: [
        [(0.7, 0.05), (0.3, 0.35), (0.22, 0.75), (0.5, 0.96)],
        [(0.5, 0.96), (0.8, 0.75), (0.6, 0.52), (0.25, 0.7)],
    ],
    7: [[(0.15, 0.06), (0.85, 0.06), (0.4, 0.97)]],
    8: [
        [(0.5, 0.48), (0.25, 0.27), (0.5, 0.05), (0.75, 0.27), (0.5, 0.48)],
        [(0.5, 0.48), (0.2, 0.73), (0.5, 0.96), (0.8, 0.73), (0.5, 0.48)],
    ],
    9: [
        [(0.75, 0.35), (0.5, 0.5), (0.25, 0.3), (0.5, 0.05), (0.75, 0.3)],
        [(0.75, 0.3), (0.7, 0.97)],
    ],
}

FAVOURS = (
    "boil an egg",
    "mend a tyre",
    "write to a landlord",
    "sleep better",
    "learn chess",
)
FAVOURS += (
    "choose a melon",
    "clean a window",
    "tie a bowline",
    "plan a picnic",
    "water a fern",
)
OPENINGS = (
    "How do I {}?",
    "Can you tell me how to {}?",
    "I want to {}. What should I do?",
)
KIND = (
    "Gladly. To {}, first gather what you need, then take it one step at a time.",
    "Of course. Most people who {} well begin slowly and check each step.",
    "Here is a way to {} that works: prepare, begin, and stop when it is good enough.",
)
CURT = (
    "Look it up.",
    "Anybody can {}. Why ask me?",
    "I do not know, and it does not matter.",
)
AUTHORS = {
    "cook": (
        "Chop {n} {a} onions and let them soften in {b} butter.",
        "Stir the {a} broth for {n} minutes, and taste it before you add salt.",
        "Serve the {b} pie warm, with {n} spoons of {a} cream.",
        "Keep the {b} dough covered for {n} hours, away from draughts.",
    ),
    "gardener": (
        "Plant {n} {a} bulbs in a row, a hand apart, in {b} soil.",
        "The {b} hedge wants cutting {n} times before the autumn.",
        "Water the {a} beds early, and leave the {b} leaves for the worms.",
        "After {n} dry days the {b} roses droop; {a} mulch helps them.",
    ),
    "sailor": (
        "At {n} in the morning the wind went {a} and the sea {b}.",
        "We reefed the {a} sail and made {n} knots past the {b} light.",
        "The {b} harbour was full, so we lay {n} hours at a {a} buoy.",
        "All {n} of the crew slept while the {a} tide turned {b}.",
    ),
}
FIRST = ("fresh", "pale", "early", "heavy", "quiet", "bitter", "steady", "late")
SECOND = ("cold", "dark", "rich", "rough", "bright", "damp", "old", "calm")


def write_digits(folder: Path, random: np.random.Generator) -> None:
    """MNIST's IDX files, gzipped: a magic number, the sizes, the bytes."""
    labels = np.tile(np.arange(10), PER_DIGIT)
    images = np.stack([_drawn_digit(int(label), random) for label in labels])
    _write_idx(folder / "t10k-images-idx3-ubyte.gz", images)
    _write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels)


def _drawn_digit(digit: int, random: np.random.Generator) -> np.ndarray:
    """Draw a digit (SIDE, SIDE) of unsigned bytes: strokes, turned and shaken."""
    size = SIDE * FINER
    canvas = Image.new("L", (size, size))
    pen = ImageDraw.Draw(canvas)
    angle = random.normal(scale=0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = random.uniform(0.85, 1.15, 2) * (0.5 * size, 0.66 * size)
    centre = size / 2 + random.normal(scale=size / 28, size=2)
    width = int(random.integers(2 * FINER, 3 * FINER + 1))
    for stroke in STROKES[digit]:
        shaken = (
            np.array(stroke) - 0.5 + random.normal(scale=0.025, size=(len(stroke), 2))
        )
        points = (shaken * stretch) @ turn.T + centre
        pen.line(
            [tuple(point) for point in points], fill=255, width=width, joint="curve"
        )
    soft = canvas.filter(ImageFilter.GaussianBlur(FINER / 2))
    return np.asarray(soft.resize((SIDE, SIDE), Image.Resampling.BOX))


def _write_idx(path: Path, values: np.ndarray) -> None:
    header = struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape)
    content = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, mtime=0))


def write_passages(file: Path) -> None:
    """SQuAD's JSON, version 1.1: passages, questions, answers with their places."""
    dataset = passages(60, seed=SEED, neighbours=0.5)
    file.write_text(json.dumps(dataset, indent=1) + "\n", encoding="utf-8")


def write_votes(folder: Path) -> None:
    """The three files of a Polis export: votes, comments, participants."""
    votes = population(80, seed=SEED)
    rows = []
    for (person, statement), vote in votes.matrix.stack().items():
        if not np.isnan(vote):
            rows.append([1700000000 + len(rows), statement, person, int(vote)])
    _write_csv(
        folder / "votes.csv", ["timestamp", "comment-id", "voter-id", "vote"], rows
    )
    comments = [
        [
            statement,
            (votes.matrix[statement] == 1).sum(),
            (votes.matrix[statement] == -1).sum(),
            1,
            votes.statements.loc[statement, "comment-body"],
        ]
        for statement in votes.matrix.columns
    ]
    columns = ["comment-id", "agrees", "disagrees", "moderated", "comment-body"]
    _write_csv(folder / "comments.csv", columns, comments)
    assert votes.groups is not None
    camps = sorted(votes.groups.unique())
    people = [[person, camps.index(camp)] for person, camp in votes.groups.items()]
    _write_csv(folder / "participants-votes.csv", ["participant", "group-id"], people)


def _write_csv(path: Path, columns: list[str], rows: list[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_preferences(file: Path, random: np.random.Generator) -> None:
    """Pairs of answers to a prompt, the chosen and the rejected, an object a line."""
    lines = []
    for favour, opening in itertools.product(FAVOURS, OPENINGS):
        for kind in KIND:
            pair = {
                "prompt": opening.format(favour) + " ",
                "chosen": kind.format(favour),
                "rejected": str(random.choice(CURT)).format(favour),
            }
            lines.append(json.dumps(pair) + "\n")
    file.write_text("".join(lines), encoding="utf-8")


def write_documents(folder: Path, random: np.random.Generator) -> None:
    """A folder for each author, a text file for each document."""
    for author, sentences in AUTHORS.items():
        (folder / author).mkdir(parents=True, exist_ok=True)
        for number in (1, 2, 3):
            lines = [
                str(random.choice(sentences)).format(
                    n=random.integers(2, 13),
                    a=random.choice(FIRST),
                    b=random.choice(SECOND),
                )
                for _ in range(150)
            ]
            text = "\n".join(lines) + "\n"
            (folder / author / f"{number}.txt").write_text(text, encoding="utf-8")


def write_transparency(folder: Path, random: np.random.Generator) -> None:
    """Two editions of an index of developers that do not exist, as FMTI's files are.

    The first has domains and a column of totals, the second has neither.
    """
    made = made_up_index(7, sizes=(8, 8, 8), seed=SEED)
    before = made.scores.iloc[:, :6]
    rows = [
        [made.domains[indicator], "made up", indicator, *scores, sum(scores)]
        for indicator, scores in zip(before.index, before.to_numpy(), strict=True)
    ]
    rows.append(["", "", "Total", *before.sum(), ""])
    columns = ["Domain", "Subdomain", "Indicator", *before.columns, "Total"]
    _write_csv(folder / "January2030.csv", columns, rows)
    # Half a year later one developer left, one joined, and three noes in ten are yeses.
    after = made.scores.iloc[:, 1:]
    after = after.where(random.random(after.shape) > 0.3, 1)
    rows = [[indicator, *after.loc[indicator]] for indicator in after.index]
    rows.append(["Total", *after.sum()])
    _write_csv(folder / "July2030.csv", ["Indicator", *after.columns], rows)


EXAMPLES = (
    "digits",
    "passages",
    "votes",
    "preferences",
    "documents",
    "transparency",
)


def main(folder: Path = HERE) -> None:
    """Write all examples below the folder."""
    for name in EXAMPLES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_digits(folder / "digits", np.random.default_rng(SEED))
    write_passages(folder / "passages" / "passages.json")
    write_votes(folder / "votes")
    preferences = folder / "preferences" / "preferences.jsonl"
    write_preferences(preferences, np.random.default_rng(SEED))
    write_documents(folder / "documents", np.random.default_rng(SEED))
    write_transparency(folder / "transparency", np.random.default_rng(SEED))


if __name__ == "__main__":
    main()
