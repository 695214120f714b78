"""Do the notebooks that train a model of one's own run where that model is?

Each is run at tiny on a device that is not the CPU, with a checkpoint in bfloat16, as
large ones are stored.
"""

import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.conftest import ROOT
from tests.fake_device import fake_device
from tests.models.tokenizers_like import byte_level

DPO = "dpo/direct-preference-optimization"
VALUES = "values/collective-constitution"
AGENTS = "simulation/generative-agents"
PAIRS = str(ROOT / "data" / "preferences" / "preferences.jsonl")


def checkpoint(folder: Path) -> str:
    """A small Llama in bfloat16 with a tokenizer, as transformers saves them."""
    tokenizer = byte_level()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def run(
    notebook: str, folder: Path, parameters: dict[str, Any], names: dict[str, Any]
) -> None:
    """Run a notebook's code here, each cell from a file so that its source is found."""
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            file = folder / f"{cell.id}.py"
            file.write_text(cell.source, encoding="utf-8")
            exec(compile(cell.source, str(file), "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= parameters


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
@pytest.mark.parametrize(
    ("notebook", "model", "data"),
    [(DPO, "your_model", PAIRS), (VALUES, "base", ""), (AGENTS, "your_model", "")],
    ids=[DPO, VALUES, AGENTS],
)
def test_it_runs_on_another_device(
    notebook: str,
    model: str,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMALLSCALE_CACHE", str(tmp_path / "cache"))
    # A remembered step is known by its arguments' numbers, which this device hides.
    monkeypatch.setattr("smallscale.notebook.remember", lambda function: function)
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    own = checkpoint(tmp_path / "checkpoint")
    given = {"scale": "tiny", "data": data, "model": own}
    names: dict[str, Any] = {}
    with fake_device() as device, plt.rc_context():
        monkeypatch.setitem(os.environ, "SMALLSCALE_DEVICE", device)
        run(notebook, tmp_path, given, names)
        parameters = list(names[model].parameters())
    assert {str(each.device) for each in parameters} == {device}
    assert {each.dtype for each in parameters} == {torch.float32}


@pytest.mark.parametrize(
    ("notebook", "given", "message"),
    [
        (DPO, {"model": "./none", "data": PAIRS}, "there is no folder './none'"),
        (DPO, {"model": "./none"}, "data must be a file of preferences"),
        (DPO, {"data": "./none"}, "cannot be read"),
        (VALUES, {"model": "./none"}, "there is no folder './none'"),
        (AGENTS, {"model": "./none"}, "there is no folder './none'"),
        (AGENTS, {"model": "smollm"}, "did you mean 'smollm2'"),
    ],
)
def test_what_is_not_there_ends_the_run_at_its_start(
    notebook: str, given: dict[str, str], message: str, tmp_path: Path
) -> None:
    names: dict[str, Any] = {}
    with pytest.raises(ValueError, match=message), plt.rc_context():
        run(notebook, tmp_path, {"scale": "tiny", **given}, names)
    assert "claims" in names
    assert not {"steps", "usual"} & set(names)  # of the first cells that work
