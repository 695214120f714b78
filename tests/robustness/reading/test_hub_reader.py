"""Does a model from a hub read passages that are longer than its window?"""

from pathlib import Path

import numpy as np
import pytest
import torch

from smallscale.robustness.reading.dataset import paragraphs, questions
from smallscale.robustness.reading.hub_reader import HubReader
from smallscale.robustness.reading.readings import Pair, answers
from smallscale.robustness.reading.synthetic_squad import passages
from tests.fake_device import fake_device

UNSEEN = passages(10, seed=9, held_out=True)


def save_reader(folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Save a small reader with random weights, and its tokenizer."""
    from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

    words = sorted(
        {
            w
            for p in paragraphs(UNSEEN)
            for w in p["context"].lower().replace(".", " .").split()
        }
    )
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "?", *words])
    )
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words) + 7,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertForQuestionAnswering(config).to(dtype).save_pretrained(folder)


def test_a_hub_model_reads_long_passages_in_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_reader(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("USERPROFILE", str(tmp_path.parent))
    model = HubReader(f"~/{tmp_path.name}")
    passage = " ".join(p["context"] for p in paragraphs(UNSEEN))
    (read,) = model.read([Pair(passage, "who ?")])
    assert len(read.places) > 64
    assert read.places[0, 0] == 0
    assert read.places[-1, 1] == len(passage)
    assert np.exp(read.starts).sum() == pytest.approx(1)
    assert set(answers(model, UNSEEN)) == {qa["id"] for qa in questions(UNSEEN)}
    # By hand: of the windows that hold a word, the larger logit; the question's words,
    # and special ones, never.
    parts = model.tokenizer(
        "who ?",
        passage,
        truncation="only_second",
        max_length=64,
        stride=16,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=True,
        return_tensors="pt",
    )
    inputs = {
        name: parts[name] for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    logits = model.model(**inputs).start_logits.detach().double()
    best: dict[tuple[int, int], float] = {}
    for w, places in enumerate(parts["offset_mapping"].tolist()):
        for side, place, value in zip(
            parts.sequence_ids(w), places, logits[w].tolist(), strict=True
        ):
            if side == 1:
                best[tuple(place)] = max(value, best.get(tuple(place), value))
    assert [tuple(place) for place in read.places.tolist()] == sorted(best)
    expected = torch.tensor([best[place] for place in sorted(best)]).log_softmax(0)
    assert read.starts == pytest.approx(expected.numpy())
    with pytest.raises(
        ValueError, match="cannot be loaded as a question-answering model"
    ):
        HubReader(str(tmp_path / "nothing"))
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match="cannot be loaded as a question-answering"):
        HubReader(str(tmp_path))


def test_a_reader_runs_in_float32_where_models_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is stored in: in bfloat16 two spans are soon equally likely."""
    save_reader(tmp_path, torch.bfloat16)
    pair = Pair(next(iter(paragraphs(UNSEEN)))["context"], "who ?")
    here = HubReader(str(tmp_path))
    assert {weight.dtype for weight in here.model.parameters()} == {torch.float32}
    (expected,) = here.read([pair])
    with fake_device() as device:
        monkeypatch.setenv("SMALLSCALE_DEVICE", device)
        there = HubReader(str(tmp_path))
        assert there.model.device.type == device
        (found,) = there.read([pair])
    assert found.starts == pytest.approx(expected.starts, abs=1e-6)
