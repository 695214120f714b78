"""What becomes of news that is told from one to the next, in a model's own words?

A language model is shown what somebody was told, and writes how they pass it on. As it
comes it follows examples; taught by low-rank adapters (Hu et al. 2021) on retellings of
other news, about other people at other places, it needs none.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Generator, Tensor

from smallscale.core.intervals import mean_interval
from smallscale.core.validation import one_of, require, whole_number
from smallscale.models import LanguageModel, RecordedModel, language_model, write
from smallscale.models.adapters import (
    adapter_weights,
    add_adapters,
    load_adapter_weights,
)
from smallscale.models.encoding import encode_answers
from smallscale.models.generation import left_padded, positions
from smallscale.models.recorded import KEPT
from smallscale.simulation.words.facts import NAMES, SLOTS, Fact, still_says
from smallscale.simulation.words.retellings import (
    OWN_SHARE,
    Pair,
    few_shot_prompt,
    held_out_facts,
    retelling_prompt,
    training_pairs,
)
from smallscale.training.loop import minimise
from smallscale.training.optimizers import linear_decay, make_optimizer

# What SmolLM2 wrote; it need not be there.
RECORDED = KEPT / "telling.jsonl"
STARTS = ("own", "named")  # who tells first: whom the news is about, or another
ARMS = ("few-shot", "taught")
TOKENS = 40  # that an utterance may have
LR = 1e-3
RANK = 8
ROWS = 4  # pairs in a step
BATCH = 72  # utterances that are written side by side

Write = Callable[[list[str]], list[str]]


class Utterance(NamedTuple):
    """What a person says to another. The first of a chain is at the position 0."""

    teller: str
    listener: str
    text: str


def train_teller(
    model: Any,
    tokenizer: Any,
    *,
    seed: int = 0,
    steps: int = 60,
    own: float = OWN_SHARE,
    lr: float = LR,
    progress: str = "",
) -> list[float]:
    """Teach a language model to pass news on, by adapters, in place.

    The loss is the mean cross-entropy of the tokens of what is passed on, four pairs a
    step, each pair read once. Returns the loss of each step. The model's own weights
    stay as they were: see `without_adapters` and `adapter_weights`.
    """
    count = ROWS * whole_number("steps", steps)
    pairs = training_pairs(count, own=own, seed=seed)
    return train_on_pairs(model, tokenizer, pairs, seed=seed, lr=lr, progress=progress)


def train_on_pairs(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    *,
    seed: int = 0,
    lr: float = LR,
    progress: str = "",
) -> list[float]:
    """Teach a language model what to write, by adapters, in place; see `train_teller`.

    pairs: a whole number of steps' of them, in the order in which they are read.
    """
    require(
        len(pairs) > 0 and len(pairs) % ROWS == 0,
        f"pairs must be a multiple of {ROWS}, the pairs of a step; got {len(pairs)}",
    )
    steps = len(pairs) // ROWS
    parameters = add_adapters(model, rank=RANK, alpha=2.0 * RANK, seed=seed)
    unread = iter(pairs)
    losses: list[float] = []

    def loss(_: Generator) -> Tensor:
        batch = [next(unread) for _ in range(ROWS)]
        value = answer_loss(model, tokenizer, batch)
        losses.append(round(float(value.detach()), 4))
        return value

    optimizer = make_optimizer("adamw", parameters, lr=lr)
    rate = linear_decay(optimizer, steps)
    minimise(model, loss, rate, steps=steps, seed=seed, progress=progress)
    return losses


def teller_weights(
    name: str = "smollm2", *, seed: int = 0, steps: int = 60, progress: str = ""
) -> dict[str, Tensor]:
    """Return the adapters' weights of a taught model, for `remember` and `teach`."""
    model, tokenizer = language_model(name)
    train_teller(model, tokenizer, seed=seed, steps=steps, progress=progress)
    return adapter_weights(model)


def teach(model: Any, weights: dict[str, Tensor]) -> None:
    """Give a model, in place, the adapters that `teller_weights` returned."""
    add_adapters(model, rank=RANK, alpha=2.0 * RANK)
    load_adapter_weights(model, weights)


def answer_loss(model: Any, tokenizer: Any, pairs: Sequence[Pair]) -> Tensor:
    """Return the mean over the answers' tokens of -log p(token | all before it)."""
    rows = []
    answers = []
    for prompt, answer in pairs:
        encoded = encode_answers(tokenizer, prompt, [answer], ended=False)
        rows.append(encoded.prompt + encoded.answers[0])
        answers.append(len(encoded.answers[0]))
    ids, mask = left_padded(rows)  # so that all answers end together
    most = max(answers)
    output = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=positions(mask).to(model.device),
        logits_to_keep=most + 1,
    )
    labels = ids[:, -most:].clone()
    for label, n in zip(labels, answers, strict=True):
        label[: most - n] = -100  # what is read is not learnt
    logits = output.logits[:, :-1].flatten(0, 1)
    return F.cross_entropy(logits, labels.flatten().to(logits.device))


def chain(
    write: Write,
    facts: Sequence[Fact],
    length: int,
    *,
    start: str | Sequence[str] = "own",
    prompt: Callable[[str, str, str, str], str] = retelling_prompt,
    seed: int = 0,
) -> list[list[Utterance]]:
    """Return how each fact is told from one to the next, all chains side by side.

    write: returns how a model continues each of some prompts. length: how often it is
    retold; each chain has one utterance more, the first, which is given.
    start: "own", where the person of the fact begins ("I give a party"), or "named",
    where somebody else does; one for all facts, or one for each. Nobody comes twice in
    a chain.
    Raises ValueError for more retellings than there are people.
    """
    starts = [start] * len(facts) if isinstance(start, str) else list(start)
    for each in starts:
        one_of("start", each, STARTS)
    length = whole_number("length", length, least=0, most=len(NAMES) - 3)
    random = np.random.default_rng([seed, 3])
    people = []
    told = []
    for fact, each in zip(facts, starts, strict=True):
        who = _tellers(fact, random, each)
        people.append(who)
        told.append([Utterance(who[0], who[1], _first_words(fact, each))])
    for step in range(1, length + 1):
        prompts = [
            prompt(*so_far[-1][:2], who[step + 1], so_far[-1].text)
            for so_far, who in zip(told, people, strict=True)
        ]
        for so_far, who, text in zip(told, people, write(prompts), strict=True):
            so_far.append(Utterance(who[step], who[step + 1], _one_line(text)))
    return told


def _tellers(fact: Fact, random: np.random.Generator, start: str) -> list[str]:
    """Return who tells one after the other."""
    others = [name for name in NAMES if name != fact.who]
    order = [str(name) for name in random.permutation(others)]
    return [fact.who, *order] if start == "own" else order


def _first_words(fact: Fact, start: str) -> str:
    return fact.own_sentence() if start == "own" else fact.sentence()


def _one_line(text: str) -> str:
    """Return what was said: it cannot write the next person's line as well."""
    return text.split("\n")[0].strip()


def tell_chains(
    model: LanguageModel,
    *,
    arm: str,
    seeds: Sequence[int],
    facts: int,
    length: int,
    steps: int,
    training_seed: int = 0,
) -> dict[str, Any]:
    """Return what a model, taught or not, makes of held-out facts, as JSON holds it.

    arm: "few-shot" is the model as it comes, with examples; "taught" is trained on
    `training_pairs`. seeds: of the facts, `facts` of them a seed.
    Returns losses, one a step of the training; and chains: for each fact and each of
    STARTS the seed, the start, the fact and the utterances.
    """
    one_of("arm", arm, ARMS)
    losses: list[float] = []
    if arm != "few-shot":
        losses = train_teller(*model, seed=training_seed, steps=steps, progress=arm)
    prompt = few_shot_prompt if arm == "few-shot" else retelling_prompt
    news = [
        (seed, start, fact)
        for seed in seeds
        for start in STARTS
        for fact in held_out_facts(facts, seed=seed)
    ]

    def written(prompts: list[str]) -> list[str]:
        return write(
            *model, prompts, max_new_tokens=TOKENS, stop=["\n"], batch_size=BATCH
        )

    told = chain(
        written,
        [fact for _, _, fact in news],
        length,
        start=[start for _, start, _ in news],
        prompt=prompt,
    )
    chains = [
        {"seed": seed, "start": start, "fact": astuple(fact), "told": utterances}
        for (seed, start, fact), utterances in zip(news, told, strict=True)
    ]
    return {"losses": losses, "chains": chains}


# What is recorded, with three seeds of facts and one training.
MEASURED: dict[str, Any] = {"seeds": [0, 1, 2], "facts": 12, "length": 6, "steps": 60}


def recorded_chains(
    model: RecordedModel | None = None,
    *,
    arms: Sequence[str] = ARMS,
    ask: str = "if new",
) -> pd.DataFrame:
    """Return every utterance of `tell_chains` and what the rule finds in it.

    Columns: arm, seed, start, fact, retelling (0 is the first telling), teller, text,
    who, what, where, when; own: whether the teller takes for their own what was
    somebody else's ("I"); and present: whether they ascribe it, by name, to one of the
    three who were named when they heard it and to whom they tell it.
    Raises NotRecorded for what was not recorded, where the model is not there.
    """
    model = model or RecordedModel(RECORDED)
    rows: list[dict[str, Any]] = []
    for arm in arms:
        found = model.result_of(tell_chains, ask=ask, arm=arm, **MEASURED)
        rows += [{"arm": arm, **row} for row in _read(found)]
    return pd.DataFrame(rows)


def _read(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in found["chains"]:
        fact = Fact(*one["fact"])
        before = ""
        for retelling, (teller, listener, text) in enumerate(one["told"]):
            yield {
                "seed": one["seed"],
                "start": one["start"],
                "fact": fact,
                "retelling": retelling,
                "teller": teller,
                "text": text,
                **still_says(fact, text, speaker=teller),
                "own": takes_for_own(fact, text, teller),
                "present": ascribed(fact, text, (before, teller, listener)),
            }
            before = teller


def ascribed(fact: Fact, text: str, people: Sequence[str]) -> bool:
    """Return whether a text says by name that one of these people, and not the person
    of the fact, is who it is about.

    >>> from smallscale.simulation.words.facts import PARTY
    >>> ascribed(PARTY, "Ada gives a party.", ["Ada Brandt", "Bo Lindqvist"])
    True
    """
    others = [name for name in people if name and name != fact.who]
    return any(still_says(replace(fact, who=name), text)["who"] for name in others)


def takes_for_own(fact: Fact, text: str, teller: str) -> bool:
    """Return whether a teller says of themselves what is somebody else's: the text
    would name the right person if that person said it, but does not as it is.

    >>> from smallscale.simulation.words.facts import PARTY
    >>> takes_for_own(PARTY, "I give a party.", "Ada Brandt")
    True
    """
    as_said = still_says(fact, text, speaker=teller)["who"]
    by_owner = still_says(fact, text, speaker=fact.who)["who"]
    return by_owner and not as_said


def survival(chains: pd.DataFrame) -> pd.DataFrame:
    """Return the share of utterances that still say each slot, by number of retellings.

    chains: as from `recorded_chains`, two seeds or more. A row for each arm, start and
    retelling from 1; for who, what, where, when, all four together ("all"), own and
    present the mean over seeds, and with "_half" behind it the half of its 95 %
    interval by Student's t. Each seed has facts and listeners of its own; the training
    is one.
    """
    retold = chains[chains["retelling"] > 0].copy()
    require(retold["seed"].nunique() >= 2, "chains must be of two seeds or more")
    retold["all"] = retold[list(SLOTS)].all(axis=1)
    columns = [*SLOTS, "all", "own", "present"]
    keys = ["arm", "start", "retelling"]
    by_seed = retold.groupby([*keys, "seed"], sort=False)[columns].mean()
    rows = []
    for key, part in by_seed.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        for column in columns:
            mean, half = mean_interval(part[column])
            row |= {column: mean, f"{column}_half": half}
        rows.append(row)
    return pd.DataFrame(rows)
