"""What do the models of this project disclose? Three cards, and twelve questions."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd


def card_texts() -> pd.Series:
    """Return the card of each model, by its name."""
    return pd.Series({each["model"]: each["card"] for each in _file()["cards"]})


def card_questions() -> pd.Series:
    """Return what each indicator asks of a card, by the indicator's name."""
    return pd.Series(
        {each["indicator"]: each["asks"] for each in _file()["indicators"]}
    )


def card_key() -> pd.DataFrame:
    """Return the answers: columns model, indicator, score and reason."""
    rows = [
        {"model": card["model"], **answer}
        for card in _file()["cards"]
        for answer in card["answers"]
    ]
    return pd.DataFrame(rows)


@cache
def _file() -> Any:
    path = Path(__file__).with_name("cards.json")
    return json.loads(path.read_text(encoding="utf-8"))
