"""Is DPO of SmolLM2's adapters what trl makes of it, step after step?

Four steps of two pairs each, of the notebook's own kind: an answer of one sentence over
one of two. The same adapters to begin with, those of peft on trl's side.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from smallscale.dpo import padded_answers, train_preferences
from smallscale.dpo.sentence_rewards import answer_prompt
from smallscale.models import language_model
from smallscale.models.adapters import ATTENTION, adapters, add_adapters
from smallscale.models.language_model import is_here
from tests.peers.test_trl import their_losses

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.skipif(
    not is_here("smollm2"), reason="SmolLM2 is not here: smallscale model"
)

STEPS, PAIRS, BETA, LR, RANK = 4, 2, 0.1, 1e-3, 8
ANSWERS = {
    "What is a bridge?": (" A bridge carries a road.", " It is a road. It is high."),
    "What is a poem?": (" A poem plays with words.", " It is words. They may rhyme."),
    "Why is snow white?": (" Snow scatters all light.", " It is cold. It is white."),
    "Why do we sleep?": (" We sleep to rest.", " We are tired. So we sleep."),
    "How do I make tea?": (" Pour hot water on it.", " Boil water. Then wait."),
    "What does a judge do?": (" A judge decides.", " A judge sits. Then decides."),
    "Where does rain come from?": (" Rain falls from clouds.", " Clouds. It falls."),
    "Why do birds sing?": (" Birds sing to be found.", " They sing. They like it."),
}


def test_the_same_losses_as_trl_on_smollm2(tmp_path: Path) -> None:
    ours, tokenizer = language_model("smollm2")
    theirs = peft.get_peft_model(
        copy.deepcopy(ours),
        peft.LoraConfig(
            r=RANK,
            lora_alpha=2 * RANK,
            target_modules=list(ATTENTION),
            task_type="CAUSAL_LM",
        ),
    )
    add_adapters(ours, rank=RANK, alpha=2.0 * RANK, seed=0)
    layers = [m for m in theirs.modules() if isinstance(m, peft.tuners.lora.Linear)]
    with torch.no_grad():
        for mine, other in zip(adapters(ours), layers, strict=True):
            other.lora_A["default"].weight.copy_(mine.A)

    end = tokenizer.eos_token_id
    prompts = [answer_prompt(question) for question in ANSWERS]
    texts = padded_answers(
        [tokenizer.encode(prompt) for prompt in prompts for _ in range(2)],
        [[*tokenizer.encode(a), end] for pair in ANSWERS.values() for a in pair],
        pad=end,
    )
    order: list[Tensor] = []

    def note(losses: Tensor, picked: Tensor) -> Tensor:
        order.append(picked)
        return losses.mean()

    pairs = torch.arange(2 * len(ANSWERS)).reshape(-1, 2).numpy()
    options = {"beta": BETA, "lr": LR, "steps": STEPS, "batch_size": PAIRS}
    table = train_preferences(ours, texts, pairs, combine=note, **options)

    rows = [
        {"prompt": prompts[a // 2], "chosen": said[0], "rejected": said[1]}
        for a, _ in pairs[torch.cat(order).numpy()].tolist()
        for said in [list(ANSWERS.values())[a // 2]]
    ]
    found = their_losses(
        theirs,
        rows,
        tmp_path,
        tokenizer=tokenizer,
        learning_rate=LR,
        max_steps=STEPS,
        per_device_train_batch_size=PAIRS,
        beta=BETA,
    )
    assert found == pytest.approx(table.loss.tolist(), abs=1e-4)
    assert table.loss[0] - table.loss.min() > 0.05
