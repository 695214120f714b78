"""Is what SmolLM2 passed on recorded, and truly?"""

import pytest

from smallscale.models import LanguageModel, ModelMissing, language_model, write
from smallscale.models import recorded as recorded_module
from smallscale.models.language_model import is_here
from smallscale.simulation.words.facts import SLOTS
from smallscale.simulation.words.retellings import (
    few_shot_prompt,
    held_out_facts,
)
from smallscale.simulation.words.telling import (
    ARMS,
    MEASURED,
    STARTS,
    TOKENS,
    recorded_chains,
)


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def test_all_that_the_notebook_asks_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    chains = recorded_chains(ask="never")
    news = len(MEASURED["seeds"]) * len(STARTS) * MEASURED["facts"]
    per_arm = news * (MEASURED["length"] + 1)
    assert chains.groupby("arm").size().to_dict() == dict.fromkeys(ARMS, per_arm)
    first = chains[chains["retelling"] == 0]
    assert first[list(SLOTS)].to_numpy().all()
    assert not first["own"].any()
    for seed in MEASURED["seeds"]:
        facts = held_out_facts(MEASURED["facts"], seed=seed)
        assert set(first[first["seed"] == seed]["fact"]) == set(facts)


def test_what_was_recorded_is_what_the_model_says() -> None:
    """The rows of a batch differ by rounding alone, so a few first ones do."""
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    live = language_model()
    recorded = recorded_chains(arms=["few-shot"], ask="never")
    once = recorded.query("seed == 0 and start == 'own'")
    given = once[once["retelling"] == 0].head(6)
    after = once[once["retelling"] == 1].head(6)
    then = once[once["retelling"] == 2].head(6)
    prompts = [
        few_shot_prompt(a.teller, b.teller, c.teller, a.text)
        for a, b, c in zip(
            given.itertuples(), after.itertuples(), then.itertuples(), strict=True
        )
    ]
    texts = write(*live, prompts, max_new_tokens=TOKENS, stop=["\n"])
    assert [text.strip() for text in texts] == after["text"].tolist()
