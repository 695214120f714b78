"""Is news told on as it should be, and is what became of it counted rightly?"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from smallscale.core.intervals import mean_interval
from smallscale.models import (
    LanguageModel,
    NotRecorded,
    RecordedModel,
    small_transformer,
)
from smallscale.models.adapters import adapter_weights, without_adapters
from smallscale.simulation.words.facts import NAMES, PARTY, SLOTS, Fact, still_says
from smallscale.simulation.words.retellings import (
    EXAMPLE_FACTS,
    EXAMPLES,
    LISTS,
    Pair,
    few_shot_prompt,
    held_out_facts,
    retelling_prompt,
    training_pairs,
)
from smallscale.simulation.words.telling import (
    ARMS,
    STARTS,
    answer_loss,
    ascribed,
    chain,
    recorded_chains,
    survival,
    takes_for_own,
    teach,
    tell_chains,
    train_teller,
)
from smallscale.simulation.world import PUBLIC_PLACES
from tests.models.tokenizers_like import byte_level

FACTS = held_out_facts(4)


def tiny(seed: int = 0) -> LanguageModel:
    """Return a model that reads letters, with random weights."""
    tokenizer: Any = byte_level()
    tokenizer.pad_token = tokenizer.eos_token
    model = small_transformer(
        len(tokenizer), length=1024, width=16, initializer_range=0.3, seed=seed
    )
    return LanguageModel(model, tokenizer)


def parrot(prompts: list[str]) -> list[str]:
    """Pass on what was heard, word for word, and then the next person's line."""
    heard = [prompt.splitlines()[-2].split(": ", 1)[1] for prompt in prompts]
    return [f" {text}\nFrom nobody to nobody: nothing" for text in heard]


def faithful(prompts: list[str]) -> list[str]:
    """Pass on what was heard, and say who "I" was."""
    passed = []
    for prompt, text in zip(prompts, parrot(prompts), strict=True):
        teller = prompt.splitlines()[-2].removeprefix("From ").split(" to ")[0]
        fact = next((f for f in FACTS if f.own_sentence() in text), None)
        owned = fact is not None and fact.who == teller
        passed.append(f" {fact.sentence()}" if fact and owned else text)
    return passed


def test_held_out_news_shares_no_person_place_or_deed_with_what_is_taught() -> None:
    taught = " ".join(p.prompt + p.answer for p in training_pairs(400))
    told = held_out_facts(40)
    assert {fact.who for fact in told} <= set(NAMES)
    assert {fact.where for fact in told} <= {f"in the {p}" for p in PUBLIC_PLACES}
    shown = few_shot_prompt("A", "B", "C", "x")
    for fact in told:
        for words in (fact.who, fact.what, fact.where):
            assert words not in taught
            assert words not in shown
    assert held_out_facts(40) == told
    assert held_out_facts(40, seed=1) != told
    assert not set(LISTS["whats"]) & set(LISTS["held_out"])


@pytest.mark.parametrize("own", [0.0, 0.5, 1.0])
def test_a_pair_passes_on_what_it_was_told_and_whose_it_is(own: float) -> None:
    pairs = training_pairs(200, own=own, seed=3)
    of_oneself = 0
    for prompt, answer in pairs:
        heard, following = prompt.split("\n")
        teller = heard.removeprefix("From ").split(" to ")[0]
        news = heard.split(": ", 1)[1]
        assert answer.startswith(" ")
        assert answer.endswith("\n")
        assert " I " not in f" {answer}"
        is_own = teller in answer
        assert is_own == (" I " in f" {news}".replace("I heard", ""))
        of_oneself += is_own
        listener = following.removeprefix("From ").split(" to ")[0]
        assert f"to {listener}:" in heard
        (place,) = [place for place in LISTS["places"] if place in answer]
        assert place in news
    assert of_oneself / 200 == pytest.approx(own, abs=0.1)


def test_the_examples_resolve_an_i_and_are_about_others() -> None:
    prompt = few_shot_prompt("Bo", "Ada", "Jun", "I give a party.")
    assert prompt.endswith(
        "\n\n" + retelling_prompt("Bo", "Ada", "Jun", "I give a party.")
    )
    assert prompt.count("From") == 2 * (len(EXAMPLES) + 1)
    assert ": I plant a pear tree" in prompt
    assert f": {EXAMPLE_FACTS[1].sentence()}\n\n" in prompt


def test_what_was_heard_writes_no_line_of_its_own() -> None:
    heard = "Hi.\nFrom Ada to Jun: I am mayor."
    assert retelling_prompt("Bo", "Ada", "Jun", heard).count("\n") == 1


@pytest.mark.parametrize("start", STARTS)
def test_a_parrot_takes_the_party_for_its_own_where_its_host_told_it(
    start: str,
) -> None:
    told = chain(parrot, FACTS, 3, start=start)
    for fact, utterances in zip(FACTS, told, strict=True):
        assert len(utterances) == 4
        tellers = [utterance.teller for utterance in utterances]
        assert len({*tellers, utterances[-1].listener}) == 5
        assert (fact.who == tellers[0]) == (start == "own")
        assert fact.who not in tellers[1:]
        for before, after in pairwise(utterances):
            assert before.listener == after.teller
            assert after.text == before.text
        last = utterances[-1]
        own = takes_for_own(fact, last.text, last.teller)
        assert own == (start == "own")
        assert not takes_for_own(fact, utterances[0].text, tellers[0])
        said = still_says(fact, last.text, speaker=last.teller)
        assert said == dict.fromkeys(SLOTS, True) | {"who": start == "named"}


def test_who_says_whose_it_was_loses_nothing() -> None:
    for fact, utterances in zip(FACTS, chain(faithful, FACTS, 4), strict=True):
        for teller, _, text in utterances:
            assert all(still_says(fact, text, speaker=teller).values())


def test_somebody_elses_party_is_neither_lost_nor_ones_own() -> None:
    assert not takes_for_own(PARTY, "Ada Brandt gives a party.", "Emil Brandt")
    assert not takes_for_own(PARTY, "Bo gives a party.", "Emil Brandt")
    assert not takes_for_own(PARTY, "There is a party.", "Emil Brandt")
    assert takes_for_own(PARTY, "Will you come to my party?", "Emil Brandt")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start": "late"}, "start must be one of own, named"),
        ({"length": 23}, "length must be a whole number, at least 0 and at most 22"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(changed: Any, message: str) -> None:
    arguments: dict[str, Any] = {"length": 2} | changed
    with pytest.raises(ValueError, match=message):
        chain(parrot, FACTS, **arguments)


def test_the_loss_is_that_of_the_answers_alone_and_of_each_token() -> None:
    model, tokenizer = tiny()
    pairs = [
        Pair("From A to B: yes\nFrom B to C:", " no\n"),
        Pair("x:", " a long one\n"),
    ]
    expected: list[torch.Tensor] = []
    for prompt, answer in pairs:
        ids = torch.tensor(tokenizer.encode(prompt + answer, add_special_tokens=False))
        n = len(tokenizer.encode(answer, add_special_tokens=False))
        logps = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        expected += [-logps[i - 1, ids[i]] for i in range(len(ids) - n, len(ids))]
    loss = answer_loss(model, tokenizer, pairs)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_teaching_lowers_the_loss_and_leaves_the_models_own_weights() -> None:
    model, tokenizer = tiny()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    pairs = training_pairs(20, seed=9)
    with torch.no_grad():
        untaught = float(answer_loss(model, tokenizer, pairs))
    losses = train_teller(model, tokenizer, steps=24, lr=6e-2)
    assert len(losses) == 24
    with torch.no_grad():
        taught = float(answer_loss(model, tokenizer, pairs))
        with without_adapters(model):
            as_before = float(answer_loss(model, tokenizer, pairs))
    assert taught < untaught - 0.1
    assert as_before == pytest.approx(untaught)
    for name, each in model.state_dict().items():
        own = name.replace(".linear.", ".")
        assert own not in before or torch.equal(each, before[own])
    other, _ = tiny()
    teach(other, adapter_weights(model))
    with torch.no_grad():
        assert float(answer_loss(other, tokenizer, pairs)) == pytest.approx(taught)


def test_teaching_is_the_same_for_one_seed_and_not_for_another() -> None:
    runs = [train_teller(*tiny(), steps=2, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("arm", ARMS)
def test_a_work_holds_all_that_was_said(arm: str) -> None:
    found = tell_chains(tiny(), arm=arm, seeds=[1, 4], facts=2, length=2, steps=1)
    assert (len(found["losses"]) == 0) == (arm == "few-shot")
    chains = json.loads(json.dumps(found))["chains"]
    assert [(c["seed"], c["start"]) for c in chains[::2]] == [
        (1, "own"),
        (1, "named"),
        (4, "own"),
        (4, "named"),
    ]
    for one in chains:
        facts = held_out_facts(2, seed=one["seed"])
        assert Fact(*one["fact"]) in facts
        assert len(one["told"]) == 3
        assert (one["told"][0][0] == one["fact"][0]) == (one["start"] == "own")


def made_up_chains() -> pd.DataFrame:
    rows = []
    for seed, kept in ((0, [1, 1, 0, 0]), (1, [1, 0, 0, 0]), (2, [1, 1, 1, 0])):
        for fact, said in enumerate(kept):
            for retelling in (0, 1):
                slots = dict.fromkeys(SLOTS, True)
                slots |= {"who": bool(said) or retelling == 0}
                rows.append(
                    {"arm": "taught", "start": "own", "seed": seed, "fact": fact}
                    | {"retelling": retelling, "own": not slots["who"], **slots}
                    | {"present": False}
                )
    return pd.DataFrame(rows)


def test_survival_is_the_mean_over_seeds_with_students_interval() -> None:
    table = survival(made_up_chains())
    assert table["retelling"].tolist() == [1]
    mean, half = mean_interval([0.5, 0.25, 0.75])
    for column in ("who", "all"):
        assert table[column][0] == pytest.approx(mean)
        assert table[f"{column}_half"][0] == pytest.approx(half)
    assert table["own"][0] == pytest.approx(1 - mean)
    assert table["when"][0] == 1
    with pytest.raises(ValueError, match="two seeds or more"):
        survival(made_up_chains().query("seed == 0"))


def test_without_a_record_nothing_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(NotRecorded):
        recorded_chains(RecordedModel(tmp_path / "none.jsonl"), ask="never")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada Brandt gives a party.", True),
        ("Emil is giving a party.", True),
        ("Bo Lindqvist gives a party.", False),
        ("Hana Sato gives a party.", False),
        ("I give a party.", False),
        ("", False),
    ],
)
def test_a_party_is_ascribed_to_who_is_present(text: str, expected: bool) -> None:
    present = ("", "Ada Brandt", "Bo Lindqvist", "Emil Brandt")
    assert ascribed(PARTY, text, present) == expected


def test_names_are_drawn_evenly() -> None:
    who = [fact.who for fact in held_out_facts(2000)]
    counts = np.array([who.count(name) for name in NAMES])
    assert counts.min() > 40
    assert counts.max() < 130
