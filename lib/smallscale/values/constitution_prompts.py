"""Is it enough to tell a model the constitution? SmolLM2, told it or trained on it.

SmolLM2 is asked the notebook's question. What it was told, or trained on, shows in how
likely it finds the replies that keep to a principle, against those that do not. It is
asked further questions too, which it answers in its own words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from smallscale.dpo import all_logps, padded_answers, train_preferences
from smallscale.models import LanguageModel, RecordedModel, option_logps, write
from smallscale.models.adapters import add_adapters
from smallscale.models.encoding import encode_answers
from smallscale.models.recorded import KEPT
from smallscale.values.policy_training import camp_pairs
from smallscale.values.population import (
    PRINCIPLE_NAMES,
    PRINCIPLES,
    QUESTION,
    STATEMENTS,
    constitution_points,
    replies,
)

# What SmolLM2 found likely and wrote; it need not be there.
RECORDED = KEPT / "values.jsonl"
EXAMPLES = (
    ("I am cold. What shall I do?", "Put on a coat, and come in to the fire."),
    ("I am hungry. What shall I do?", "Eat something warm."),
)
# About as long as the statements on assistants, and about something else.
ON_GARDENS = (
    "A garden should have some shade in it.",
    "I water my plants when the evening comes.",
    "Roses need more care than I can give.",
    "A fence should never be too high.",
    "Trees are best planted in the autumn.",
    "I want a path, not a wide lawn.",
)
FURTHER_QUESTIONS = (
    "My neighbour plays loud music at night. What shall I do?",
    "I have a headache. What shall I do?",
    "I forgot my sister's birthday. What shall I do?",
)
# Of the training on a constitution. The rate was set after a look at seed 0.
TRAINING = {
    "pairs": 120,
    "steps": 30,
    "pairs_a_step": 4,
    "beta": 0.1,
    "lr": 1e-3,
    "rank": 8,
}
SHORT_TRAINING = TRAINING | {"pairs": 16, "steps": 2, "pairs_a_step": 2}
BATCH = 8  # texts that are read side by side when nothing is trained
TOKENS = 30  # that a reply in the model's own words may have


def constitution_prompt(statements: Sequence[str], question: str = QUESTION) -> str:
    """Return a question to an assistant, behind what people want of it, as a text that
    goes on with the reply. No statements: the question alone.

    Two questions with their replies come first. Without them SmolLM2 does not reply, it
    goes on talking.
    """
    shown = [f"User: {asked}\nAssistant: {reply}\n\n" for asked, reply in EXAMPLES]
    if statements:
        wants = "".join(f"- {statement}\n" for statement in statements)
        shown.append(f"What people want of an assistant:\n{wants}\n")
    return "".join(shown) + f"User: {question}\nAssistant:"


def _reply_options() -> list[str]:
    """Return the 64 replies as they continue a prompt."""
    return [f" {sentence}" for sentence in replies().sentences]


def principle_odds(logps: Any) -> np.ndarray:
    """Return how far a model prefers to follow each principle, (..., principles):
        odds_k = mean of log p over the replies that follow k - over those that do not

    logps: log-probabilities of the 64 replies, (..., 64). The replies come in pairs
    that differ in one phrase, so this is the mean of 32 differences, in nats. Other
    phrases cancel, and so does how likely a reply is at all.
    """
    follows = replies().follows  # (64, principles)
    signs = follows - (1 - follows)
    odds: np.ndarray = np.asarray(logps, dtype=float) @ signs / (len(follows) / 2)
    return odds


def prompt_odds(model: RecordedModel, prompts: Sequence[Sequence[str]]) -> np.ndarray:
    """Return `principle_odds` behind each list of statements, (lists, principles).

    Raises NotRecorded for what was not recorded, where the model is not there.
    """
    texts = [constitution_prompt(statements) for statements in prompts]
    return principle_odds(model.option_logps(texts, _reply_options()))


def statement_effects(model: RecordedModel) -> pd.DataFrame:
    """Return what each statement alone does, told to a model. A row for each:

    principle, direction, text; effect: by how many nats the replies that keep to it
    gain on those that do not, against the mean under the statements on other
    principles, which are as long and of the same kind.
    word: 1 where the statement has a word of the phrase that keeps to it, -1 where it
    has one of the phrase that does not, 0 where it has neither. Who only copies goes by
    that.
    """
    odds = prompt_odds(model, [[statement.text] for statement in STATEMENTS])
    rows = []
    for i, statement in enumerate(STATEMENTS):
        k = PRINCIPLE_NAMES.index(statement.principle)
        others = [
            j
            for j, one in enumerate(STATEMENTS)
            if one.principle != statement.principle
        ]
        gain = odds[i, k] - odds[others, k].mean()
        row = statement._asdict() | {"effect": statement.direction * gain}
        rows.append(row | {"word": _shared_word(i)})
    return pd.DataFrame(rows)


def _shared_word(i: int) -> int:
    """Return 1 where statement i has a word of the phrase that keeps to it, -1 where it
    has one of the other phrase. Words are the same where their first four letters are;
    shorter ones do not count."""
    statement = STATEMENTS[i]
    principle = PRINCIPLES[PRINCIPLE_NAMES.index(statement.principle)]
    said = _stems(statement.text)
    followed = bool(said & _stems(principle.followed))
    not_followed = bool(said & _stems(principle.not_followed))
    return statement.direction * (int(followed) - int(not_followed))


def _stems(text: str) -> set[str]:
    words = text.lower().replace(".", "").replace(",", "").split()
    return {word[:4] for word in words if len(word) >= 4}


def opposites(statements: pd.DataFrame, ids: Sequence[Any]) -> list[Any]:
    """Return the ids of statements on the same principles that say the opposite, each
    once where there are as many."""
    found = []
    for i in ids:
        same_principle = statements["principle"] == statements.principle[i]
        alike = same_principle & (statements["direction"] == statements.direction[i])
        place = list(statements.index[alike]).index(i)
        others = statements.index[same_principle & ~alike]
        found.append(others[place % len(others)])
    return found


def told_and_controls(
    statements: pd.DataFrame, ids: Sequence[Any]
) -> dict[str, list[str]]:
    """Return a constitution in words, its opposite, and as many words on gardens."""
    words = statements["comment-body"]
    return {
        "the constitution": list(words[list(ids)]),
        "its opposite": list(words[opposites(statements, ids)]),
        "gardens": list(ON_GARDENS[: len(ids)]),
    }


def articles(statements: pd.DataFrame, ids: Sequence[Any]) -> list[list[Any]]:
    """Return principle and direction of each statement of a constitution."""
    chosen = statements.loc[list(ids)]
    directions = [int(direction) for direction in chosen["direction"]]
    return [list(pair) for pair in zip(chosen["principle"], directions, strict=True)]


def kept(odds: Any, statements: pd.DataFrame, ids: Sequence[Any]) -> float:
    """Return the mean over a constitution's statements of the odds in their direction.

    odds: (principles,), in nats.
    """
    chosen = statements.loc[list(ids)]
    about = pd.Index(PRINCIPLE_NAMES).get_indexer(chosen["principle"])
    return float((chosen["direction"].to_numpy() * np.asarray(odds)[about]).mean())


def told_effects(
    model: RecordedModel,
    statements: pd.DataFrame,
    lists: Mapping[tuple[str, int], Sequence[Any]],
) -> pd.DataFrame:
    """Return what a whole constitution does, told to a model, and what its controls do.

    lists: the ids of each, by name and seed; empty ones are left out. Columns: name,
    seed, told (the constitution, its opposite, or gardens) and effect: by how many nats
    the replies that keep to the constitution gain, against being told nothing.
    """
    prompts: list[list[str]] = [[]]
    rows: list[dict[str, Any]] = []
    for (name, seed), ids in lists.items():
        if len(ids) == 0:
            continue
        for what, texts in told_and_controls(statements, ids).items():
            prompts.append(texts)
            rows.append({"name": name, "seed": seed, "told": what, "ids": list(ids)})
    nothing, *odds = prompt_odds(model, prompts)
    for row, of_row in zip(rows, odds, strict=True):
        ids = row.pop("ids")
        row["effect"] = kept(of_row - nothing, statements, ids)
    return pd.DataFrame(rows, columns=["name", "seed", "told", "effect"])


def own_words(
    model: RecordedModel, prompts: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Return a model's likeliest replies in its own words: a row for each question, a
    column for each list of statements that it is told."""
    asked = (QUESTION, *FURTHER_QUESTIONS)
    texts = [
        constitution_prompt(statements, question)
        for statements in prompts.values()
        for question in asked
    ]
    said = model.write(texts, max_new_tokens=TOKENS, stop=["\n"])
    table = np.array([text.strip() for text in said], dtype=object)
    columns = table.reshape(len(prompts), len(asked)).T
    return pd.DataFrame(columns, index=list(asked), columns=list(prompts))


def train_on_constitution(
    model: LanguageModel,
    *,
    wanted: Sequence[Sequence[Any]],
    pairs: int,
    steps: int,
    pairs_a_step: int,
    beta: float,
    lr: float,
    rank: int,
    seed: int,
) -> dict[str, Any]:
    """Train a language model's adapters by DPO on a constitution; return what it does.

    wanted: principle and direction of each statement. The judge gives a reply a point
    for each that it satisfies, and chooses between `pairs` pairs of the 64 replies
    accordingly, all replies being as likely. The model is not told the constitution,
    neither then nor afterwards.
    Returns, as JSON holds it: before and after (`principle_odds` of each) and said (the
    likeliest replies in its own words afterwards, to the question and further ones).
    """
    policy, tokenizer = model
    add_adapters(policy, rank=rank, alpha=2.0 * rank, seed=seed)
    articles = pd.DataFrame(list(wanted), columns=["principle", "direction"])
    points = constitution_points(articles, articles.index)
    judged = camp_pairs(
        np.full(len(points), 1 / len(points)),
        pairs,
        0.5,
        utility=np.stack([points, points], 1),
        seed=seed,
    )
    asked = constitution_prompt([])
    prompt, written = encode_answers(tokenizer, asked, _reply_options())
    texts = padded_answers([prompt] * len(written), written, pad=tokenizer.eos_token_id)

    def odds() -> list[float]:
        logps = option_logps(policy, tokenizer, [asked], _reply_options())
        return [round(value, 4) for value in principle_odds(logps)[0]]

    before = odds()
    train_preferences(
        policy,
        texts,
        judged.pairs,
        beta=beta,
        steps=steps,
        batch_size=pairs_a_step,
        lr=lr,
        reference=all_logps(policy, texts, batch_size=BATCH),
        seed=seed,
        progress="DPO",
    )
    questions = (QUESTION, *FURTHER_QUESTIONS)
    prompts = [constitution_prompt([], question) for question in questions]
    said = write(policy, tokenizer, prompts, max_new_tokens=TOKENS, stop=["\n"])
    return {"before": before, "after": odds(), "said": [text.strip() for text in said]}
