"""Is there a reward that is simply true of a real model's words? One sentence.

A language model answers short questions. An answer is right if it is one sentence and
ended, which a rule of a line can tell. The policy is the model with low-rank adapters;
the model without them is its own reference.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import sem
from torch import Generator

from smallscale.dpo.answers import Answers, all_logps, padded_answers
from smallscale.dpo.code_rewards import code_pairs
from smallscale.dpo.policy_training import train_preferences
from smallscale.models.adapters import add_adapters, without_adapters
from smallscale.models.encoding import encode_prompts
from smallscale.models.generation import continue_tokens, end_tokens
from smallscale.models.language_model import LanguageModel
from smallscale.models.recorded import KEPT

# What SmolLM2 wrote before and after the notebook's trainings; it need not be there.
RECORDED = KEPT / "dpo.jsonl"
QUESTIONS = json.loads(Path(__file__).with_name("questions.json").read_text("utf-8"))
# Of the notebook's training. No number of it was tuned.
TRAINING = {
    "learnt": 24,
    "tries": 4,
    "asked": 24,
    "retries": 2,
    "steps": 24,
    "pairs_a_step": 4,
    "beta": 0.1,
    "lr": 1e-3,
    "rank": 8,
}
SHORT_TRAINING = TRAINING | {
    "learnt": 2,
    "asked": 2,
    "retries": 1,
    "steps": 2,
    "pairs_a_step": 2,
}
RECORDED_SEEDS = (0, 1, 2)
PARTS = ("right", "tokens", "distinct", "kl", "kl_error")  # what is measured
MOST_TOKENS = 40  # of an answer
FEWEST_WORDS = 3  # of a sentence
BATCH = 8  # texts that are read side by side when nothing is trained


def is_one_sentence(text: str) -> bool:
    """Say whether a text is one sentence: at least three words, and one mark of those
    that end a sentence (. ! ?), at its end.

    A number with a point in it, or a shortened word, makes two; that is the rule.

    >>> is_one_sentence("Bees make it."), is_one_sentence("Bees. They make it.")
    (True, False)
    """
    marks = re.findall(r"[.!?]", text)
    words = text.split()
    return len(marks) == 1 and text[-1] in ".!?" and len(words) >= FEWEST_WORDS


def answer_prompt(question: str) -> str:
    """Return a question behind an example whose answer has two sentences."""
    asked = [
        f"Question: {example['question']}\nAnswer: {example['answer']}\n\n"
        for example in QUESTIONS["examples"]
    ]
    return "".join(asked) + f"Question: {question}\nAnswer:"


class WrittenAnswers(NamedTuple):
    """n answers of a model: `tries` to each question in turn.

    text: without the line's end. answers: as tokens, with their prompts. right: (n,)
    whether each is one sentence and ended. lengths: (n,) in tokens, the end among them.
    """

    text: tuple[str, ...]
    answers: Answers
    right: np.ndarray
    lengths: np.ndarray


def write_answers(
    model: LanguageModel, questions: Sequence[str], *, tries: int, seed: int
) -> WrittenAnswers:
    """Draw answers to each question at temperature 1, to the end of the line."""
    policy, tokenizer = model
    ends = _line_ends(tokenizer).union(end_tokens(policy, tokenizer))
    asked = encode_prompts(tokenizer, list(map(answer_prompt, questions)))
    prompts = [ids for ids in asked for _ in range(tries)]
    rows = continue_tokens(
        policy,
        prompts,
        max_new_tokens=MOST_TOKENS,
        end_tokens=sorted(ends),
        temperature=1.0,
        generator=Generator().manual_seed(seed),
    )
    text = tuple(tokenizer.decode(_without_end(row, ends)).strip() for row in rows)
    ended = [row[-1] in ends for row in rows]
    right = [
        whole and is_one_sentence(words)
        for whole, words in zip(ended, text, strict=True)
    ]
    return WrittenAnswers(
        text=text,
        answers=padded_answers(prompts, rows, pad=tokenizer.eos_token_id),
        right=np.array(right),
        lengths=np.array([len(row) for row in rows]),
    )


def _without_end(row: list[int], ends: set[int]) -> list[int]:
    """Return a row of tokens without the end of the line, where it has one."""
    return row[:-1] if row[-1] in ends else row


def _line_ends(tokenizer: Any) -> set[int]:
    """Return the tokens that end a line: all that begin with a line end.

    That a token begins so is read off what it decodes to.
    """
    tokens = range(len(tokenizer))
    texts = tokenizer.batch_decode([[token] for token in tokens])
    return {
        token for token, text in zip(tokens, texts, strict=True) if text[:1] == "\n"
    }


def measure_answers(model: LanguageModel, written: WrittenAnswers) -> dict[str, float]:
    """Return what the answers that a model with adapters wrote are like.

    right: the share of one sentence. tokens: their mean length. distinct: the share of
    different texts. kl: the mean of log policy - log reference over them, an estimate
    of KL(policy || reference), where the reference is the model without its adapters.
    kl_error: its standard error.
    """
    policy = model.model
    after = all_logps(policy, written.answers, batch_size=BATCH)
    with without_adapters(policy):
        before = all_logps(policy, written.answers, batch_size=BATCH)
    ratio = (after - before).double().numpy()
    measures = {
        "right": written.right.mean(),
        "tokens": written.lengths.mean(),
        "distinct": len(set(written.text)) / len(written.text),
        "kl": ratio.mean(),
        "kl_error": sem(ratio),
    }
    return {name: float(value) for name, value in measures.items()}


def train_sentences(
    model: LanguageModel,
    *,
    learnt: int,
    asked: int,
    tries: int,
    retries: int,
    steps: int,
    pairs_a_step: int,
    beta: float,
    lr: float,
    rank: int,
    seed: int,
) -> dict[str, Any]:
    """Train a language model by DPO to answer in one sentence; return what it did.

    Its adapters are trained, in place, on pairs that it wrote itself: two answers to
    one question, the first of them one sentence and the other not.
    learnt: how many questions it answers for pairs, `tries` times each. asked: how many
    others it answers before and after, `retries` times each, with the same random
    numbers.
    Returns, as JSON holds it: pairs (how many), shorter (by how many tokens the chosen
    answers are shorter, the mean), steps (loss, accuracy and margin of each), and
    before and after: `measure_answers` of each, the texts, and which are right.
    Raises ValueError where the model wrote no pair.
    """
    add_adapters(model.model, rank=rank, alpha=2.0 * rank, seed=seed)
    held_out = QUESTIONS["held_out"][:asked]
    questions = QUESTIONS["to_learn_from"][:learnt]
    drawn = write_answers(model, questions, tries=tries, seed=seed)
    pairs = code_pairs(
        drawn.right.reshape(-1, tries),
        drawn.lengths.reshape(-1, tries),
        slack=None,
        seed=seed,
    )
    report: dict[str, Any] = {"pairs": len(pairs)}
    report["shorter"] = float(np.diff(drawn.lengths[pairs]).mean())
    report["before"] = _asked_again(model, held_out, tries=retries, seed=seed)
    table = train_preferences(
        model.model,
        drawn.answers,
        pairs,
        beta=beta,
        steps=steps,
        batch_size=pairs_a_step,
        lr=lr,
        reference=all_logps(model.model, drawn.answers, batch_size=BATCH),
        seed=seed,
        progress="DPO",
    )
    report["after"] = _asked_again(model, held_out, tries=retries, seed=seed)
    columns = table[["loss", "accuracy", "margin"]].round(6)
    return report | {"steps": columns.to_dict("list")}


def _asked_again(
    model: LanguageModel, questions: Sequence[str], *, tries: int, seed: int
) -> dict[str, Any]:
    """Return `measure_answers` of answers to these questions, and the answers."""
    written = write_answers(model, questions, tries=tries, seed=seed)
    told = {"text": list(written.text), "is_right": written.right.tolist()}
    return measure_answers(model, written) | told
