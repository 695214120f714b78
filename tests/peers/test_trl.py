"""Is it the loss that trl computes, step after step, on the same batches?

Twenty steps from one model, the same pairs in the same order, AdamW and a falling rate
on both sides: were a mask, a sign or an order of updates different, the two would part
at the second step.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import PreTrainedTokenizerFast

from smallscale.dpo import train_preferences
from smallscale.dpo.reviews import END, WORDS, preference_pairs, review_model, reviews
from smallscale.dpo.supervised import fit_texts
from smallscale.models.adapters import ATTENTION, adapters, add_adapters

trl = pytest.importorskip(
    "trl", reason="trl is not installed: pip install 'smallscale[peers]'"
)
datasets = pytest.importorskip("datasets")

STEPS, PAIRS, BETA, LR = 20, 8, 0.2, 1e-3


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    world = reviews()
    return fit_texts(review_model(), world.texts, steps=60, frequency=world.frequency)


def words_tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<end>")
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>"
    )


def in_words(row: list[int]) -> str:
    return " ".join(WORDS[token] for token in row)


def their_losses(
    policy: Any,
    rows: list[dict[str, str]],
    folder: Path,
    *,
    tokenizer: Any = None,
    **options: Any,
) -> list[float]:
    """The losses of trl's trainer on the rows in their order, at its defaults but for
    what would hide the loss."""
    losses: list[float] = []

    class Noting(trl.DPOTrainer):  # type: ignore[misc, name-defined]
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append(
                float((loss[0] if isinstance(loss, tuple) else loss).detach())
            )
            return loss

    config = trl.DPOConfig(
        output_dir=str(folder),
        weight_decay=0.0,
        max_grad_norm=0.0,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{
            "learning_rate": LR,
            "max_steps": STEPS,
            "per_device_train_batch_size": PAIRS,
            "beta": BETA,
        }
        | options,
    )
    trainer = Noting(
        model=policy,
        ref_model=None if hasattr(policy, "peft_config") else copy.deepcopy(policy),
        args=config,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer or words_tokenizer(),
    )
    trainer.train()
    return losses


def rows_in_order(texts: Any, pairs: Any, order: list[Tensor]) -> list[dict[str, str]]:
    """Return the pairs in the order in which they were visited, in words."""
    written = [
        in_words(
            [token for token, label in zip(ids, labels, strict=True) if label >= 0][:-1]
        )
        for ids, labels in zip(texts.ids.tolist(), texts.labels.tolist(), strict=True)
    ]
    return [
        {
            "prompt": "<start> ",
            "chosen": written[a] + " <end>",
            "rejected": written[b] + " <end>",
        }
        for a, b in pairs[torch.cat(order).numpy()].tolist()
    ]


def ended_pairs(reference: Any) -> tuple[Any, Any]:
    """Return texts of the reference and pairs of them; to a text without an end trl
    adds one, so these are left out."""
    texts, pairs = preference_pairs(reference, reviews(), STEPS * PAIRS)
    ended = (texts.labels == END).any(1).numpy()
    return texts, pairs[ended[pairs].all(1)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"loss": "hinge"}, {"loss_type": ["hinge"]}),
        (
            {"loss": "robust", "label_smoothing": 0.2},
            {"loss_type": ["robust"], "label_smoothing": 0.2},
        ),
    ],
    ids=["dpo", "hinge", "robust"],
)
def test_the_same_losses_over_twenty_steps(
    reference: Any, tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    order: list[Tensor] = []

    def note(losses: Tensor, picked: Tensor) -> Tensor:
        order.append(picked)
        return losses.mean()

    texts, pairs = ended_pairs(reference)
    options = {"beta": BETA, "lr": LR, "steps": STEPS, "batch_size": PAIRS, **ours}
    table = train_preferences(
        copy.deepcopy(reference), texts, pairs, combine=note, **options
    )
    rows = rows_in_order(texts, pairs, order)
    assert their_losses(
        copy.deepcopy(reference), rows, tmp_path, **theirs
    ) == pytest.approx(table.loss.tolist(), abs=1e-5)
    assert (
        table.loss[0] - table.loss.min() > 0.05
    )  # it learns, so the two had something to part over


def test_the_same_losses_with_adapters_as_trl_with_those_of_peft(
    reference: Any, tmp_path: Path
) -> None:
    """Both take the model without its adapters for the reference."""
    peft = pytest.importorskip("peft")
    order: list[Tensor] = []

    def note(losses: Tensor, picked: Tensor) -> Tensor:
        order.append(picked)
        return losses.mean()

    texts, pairs = ended_pairs(reference)
    ours = copy.deepcopy(reference)
    add_adapters(ours, rank=4, alpha=8, seed=1)
    adapted = peft.get_peft_model(
        copy.deepcopy(reference),
        peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=list(ATTENTION), task_type="CAUSAL_LM"
        ),
    )
    layers = [m for m in adapted.modules() if isinstance(m, peft.tuners.lora.Linear)]
    with torch.no_grad():
        for mine, other in zip(adapters(ours), layers, strict=True):
            other.lora_A["default"].weight.copy_(mine.A)
    frozen = {
        name: p.clone() for name, p in ours.named_parameters() if ".A" not in name
    }
    table = train_preferences(
        ours,
        texts,
        pairs,
        combine=note,
        beta=BETA,
        lr=10 * LR,
        steps=STEPS,
        batch_size=PAIRS,
    )
    for name, parameter in ours.named_parameters():
        if not name.endswith((".A", ".B")):
            assert torch.equal(parameter, frozen[name])
    rows = rows_in_order(texts, pairs, order)
    theirs = their_losses(adapted, rows, tmp_path, learning_rate=10 * LR)
    assert theirs == pytest.approx(table.loss.tolist(), abs=1e-5)
    assert table.loss[0] - table.loss.min() > 0.02
