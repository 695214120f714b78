"""Does a name stand for one model, and is every other refused in one line?"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from smallscale.models import LanguageModel, ModelMissing, language_model, smollm2
from smallscale.models.language_model import is_here

Model = Any


@pytest.fixture
def folder(tiny: LanguageModel, tmp_path: Path) -> Path:
    """Where the tiny model is saved."""
    path = tmp_path / "tiny"
    tiny.model.save_pretrained(path)
    tiny.tokenizer.save_pretrained(path)
    return path


def refusal(name: Any) -> str:
    """The one line in which a name is refused."""
    with pytest.raises(ValueError, match=r"name|holds|loaded|token") as raised:
        language_model(name)
    line = str(raised.value)
    assert "\n" not in line
    return line


def test_a_folders_model_comes_in_eval_mode_and_pads_on_the_left(
    folder: Path, tiny: LanguageModel
) -> None:
    model, tokenizer = language_model(folder)
    assert not model.training
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token_id is not None
    assert model.dtype == torch.float32
    ids = torch.tensor([[5, 6, 7]])
    logits = tiny.model(input_ids=ids).logits.float()
    torch.testing.assert_close(
        model(input_ids=ids).logits, logits, rtol=1e-3, atol=1e-4
    )
    half, _ = language_model(str(folder), dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16


def test_a_name_nearly_right_is_told_the_right_one() -> None:
    for name in ("smolm2", "SmolLM2", "smollm"):
        assert "did you mean 'smollm2'?" in refusal(name)
    assert "did you mean" not in refusal("llama")


def test_a_folder_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    for name in (tmp_path / "none", str(tmp_path / "none"), "./none", "~/no/such"):
        assert "there is no folder" in refusal(name)


@pytest.mark.parametrize("name", ["", None, 3, ["smollm2"]])
def test_what_is_no_name_is_refused(name: Any) -> None:
    assert 'name must be "smollm2", a folder' in refusal(name)


def test_a_folder_is_told_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no model" in refusal(empty)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "holds no tokenizer" in refusal(folder)


def test_nothing_is_unpickled(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save({"x": torch.ones(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    assert "no weights as safetensors" in refusal(folder)


def test_damaged_weights_are_one_line(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(folder)


def test_a_tokenizer_without_an_end_of_text_is_refused(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["eos_token"]
    path.write_text(json.dumps(config), encoding="utf-8")
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    assert "end-of-text token" in refusal(folder)


def test_a_tokenizer_of_another_model_is_refused(
    folder: Path, tiny: LanguageModel
) -> None:
    other: Any = tiny.tokenizer.from_pretrained(folder)
    other.add_tokens([f"<{i}>" for i in range(9)])
    other.save_pretrained(folder)
    assert "do not belong together" in refusal(folder)


def test_a_name_of_the_hub_without_a_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "'nobody/nothing-at-all' cannot be loaded" in refusal(
        "nobody/nothing-at-all"
    )


@pytest.mark.parametrize("dtype", [torch.int8, "float32", None])
def test_weights_are_floating_point(folder: Path, dtype: Any) -> None:
    with pytest.raises(ValueError, match="dtype must be a floating-point"):
        language_model(folder, dtype=dtype)


def test_smollm2_that_is_not_here_is_refused_with_the_line_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALLSCALE_MODELS", str(tmp_path))
    monkeypatch.setattr(smollm2, "_packaged", lambda: None)
    assert not is_here()
    with pytest.raises(ModelMissing, match="`smallscale model` gets it"):
        language_model()


def test_smollm2_is_the_model_of_its_card(smollm2: LanguageModel) -> None:
    model, tokenizer = smollm2
    assert round(model.num_parameters() / 1e6) == 135
    assert model.config.max_position_embeddings == 8192
    assert tokenizer.model_max_length == 8192
    assert tokenizer.eos_token == "<|im_end|>"
    # Its own rule: each digit is a token, and spaces before a number stay together.
    assert tokenizer.tokenize("in  12 cats") == ["in", "ĠĠ", "1", "2", "Ġcats"]
    assert tokenizer.decode(tokenizer.encode("naïve café, 日本")) == "naïve café, 日本"
