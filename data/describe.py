"""Describe the files of this folder in Croissant, so that a machine can read them.

    python data/describe.py

Writes `croissant.json`. A test reads every record by MLCommons' own tool, and tells
where a file has changed since.
"""

import json
from pathlib import Path

from smallscale.evaluation.croissant import FORMATS, Records, describe_folder

HERE = Path(__file__).parent
TARGET = HERE / "croissant.json"
TEXT, INTEGER, BOOLEAN = "sc:Text", "sc:Integer", "sc:Boolean"
QUESTIONS = "$.data[*].paragraphs[*].qas[*]"
ANSWER = {
    "key": ("the hash of model, prompt and settings", TEXT),
    "model": ("which model was asked: a name with a hash", TEXT),
    "prompt": ("the text that the model continued, or what was done with it", TEXT),
}
ABOUT = {
    "name": "smallscale-data",
    "description": "One small made-up example of every format that a notebook of "
    "smallscale takes, and what SmolLM2-135M-Instruct answered in its notebooks. An "
    "answer's line has settings (how it was asked) and answer besides its fields. The "
    "images of digits are IDX files, and documents are plain text, a folder an author.",
    "license": "https://opensource.org/licenses/MIT",
    "url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    "citeAs": "smallscale: interactive research notebooks on foundation models",
    "version": "1.0.0",
    "datePublished": "2026-11-29",
}


def rows(name: str, file: str, **fields: tuple[str, str]) -> Records:
    """Return the records of a file that has one a row or a line."""
    return Records(name, file, fields, {})


def records() -> list[Records]:
    """Return what stands in the files, but for images and documents."""
    votes = {
        "timestamp": ("when, in seconds since 1970", INTEGER),
        "comment-id": ("which statement", INTEGER),
        "voter-id": ("who voted", INTEGER),
        "vote": ("1 agree, -1 disagree, 0 pass", INTEGER),
    }
    comments = {
        "comment-id": ("which statement", INTEGER),
        "agrees": ("how many agreed", INTEGER),
        "disagrees": ("how many disagreed", INTEGER),
        "moderated": ("1 where it was let in", INTEGER),
        "comment-body": ("its words", TEXT),
    }
    groups = {
        "participant": ("who", INTEGER),
        "group-id": ("in which group, as published", INTEGER),
    }
    questions = {
        "id": ("names the question", TEXT),
        "question": ("its words", TEXT),
        "answer": ("the first answer, a piece of the passage", TEXT),
    }
    paths = {
        "id": f"{QUESTIONS}.id",
        "question": f"{QUESTIONS}.question",
        "answer": f"{QUESTIONS}.answers[0].text",
    }
    return [
        rows(
            "preferences",
            "preferences/preferences.jsonl",
            prompt=("what was asked", TEXT),
            chosen=("the better answer", TEXT),
            rejected=("the worse one", TEXT),
        ),
        rows("votes", "votes/votes.csv", **votes),
        rows("comments", "votes/comments.csv", **comments),
        rows("groups", "votes/participants-votes.csv", **groups),
        Records("questions", "passages/passages.json", questions, paths),
        *(
            rows(
                f"transparency-{path.stem}", f"transparency/{path.name}", **scores(path)
            )
            for path in sorted((HERE / "transparency").glob("*.csv"))
        ),
        rows(
            "telling-labels",
            "telling_labels.jsonl",
            text=("what was said", TEXT),
            teller=("who said it", TEXT),
            who=("whether it still says who", BOOLEAN),
            what=("whether it still says what", BOOLEAN),
            where=("whether it still says where", BOOLEAN),
            when=("whether it still says when", BOOLEAN),
        ),
        rows(
            "judged-pairs",
            "judged_pairs.jsonl",
            question=("who says it to whom, and what is asked of the reader", TEXT),
            first=("what was said with all memory", TEXT),
            second=("what was said without", TEXT),
            choice=("first, second or neither, as the reader found", TEXT),
        ),
        *(
            rows(f"answers-{path.stem}", f"language_model/{path.name}", **ANSWER)
            for path in sorted((HERE / "language_model").glob("*.jsonl"))
        ),
    ]


def scores(path: Path) -> dict[str, tuple[str, str]]:
    """Return the fields of one edition: a column for each developer."""
    columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    known = {
        "Domain": ("the domain of the indicator", TEXT),
        "Subdomain": ("its subdomain", TEXT),
        "Indicator": ("what is asked; Total in the last row", TEXT),
        "Total": ("how many developers fulfil it", INTEGER),
    }
    fulfils = ("1 where this developer fulfils it; its total in the last row", INTEGER)
    return {column: known.get(column, fulfils) for column in columns}


def described() -> dict[str, object]:
    """Return the description of all files that are data."""
    files = sorted(
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*")
        if path.suffix in FORMATS and path != TARGET
    )
    return describe_folder(HERE, files, records(), **ABOUT)


if __name__ == "__main__":
    text = json.dumps(described(), indent=1, ensure_ascii=False)
    TARGET.write_text(text + "\n", encoding="utf-8")
