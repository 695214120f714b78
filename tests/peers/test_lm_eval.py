"""Do a choice and its score agree with lm-evaluation-harness, on one shared task?"""

import json
from pathlib import Path

import pytest
import torch

from smallscale.evaluation.holistic.entrants import Prompted
from smallscale.evaluation.holistic.items import split_items
from smallscale.evaluation.holistic.recording import LocalModel
from smallscale.evaluation.holistic.scenarios import SCENARIOS_BY_NAME, prompt
from smallscale.models import small_transformer
from tests.models.tokenizers_like import byte_level

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is missing")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A small transformer that was never trained, with a tokenizer of bytes."""
    torch.manual_seed(0)
    tokenizer = byte_level()
    tokenizer.pad_token = tokenizer.eos_token
    model = small_transformer(
        len(tokenizer), length=1024, width=32, eos_token_id=tokenizer.eos_token_id
    )
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def harness(folder: str, scenario_name: str, n: int, path: Path) -> tuple[float, list]:
    """Return the accuracy that the harness finds, and each option's log-probability."""
    scenario = SCENARIOS_BY_NAME[scenario_name]
    training, test, _ = split_items(scenario_name, n)
    shown = training[: scenario.examples]
    rows = [
        {
            "query": prompt(scenario, item.text, shown),
            "options": list(item.options),
            "gold": item.options.index(item.answer),
        }
        for item in test
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {
        "task": "shared",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "query",
        "doc_to_choice": "options",
        "doc_to_target": "gold",
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc"}],
    }
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args=f"pretrained={folder},dtype=float32",
        tasks=[task],
        log_samples=True,
        device="cpu",
        batch_size=8,
        bootstrap_iters=0,
    )
    samples = sorted(found["samples"]["shared"], key=lambda each: each["doc_id"])
    logps = [[float(pair[0]) for pair in s["filtered_resps"]] for s in samples]
    return found["results"]["shared"]["acc,none"], logps


@pytest.mark.parametrize("scenario", ["reviews", "status"])
def test_choices_and_likelihoods_agree(
    folder: str, scenario: str, tmp_path: Path
) -> None:
    n = 12
    accuracy, logps = harness(folder, scenario, n, tmp_path / "shared.jsonl")
    training, test, _ = split_items(scenario, n)
    each = SCENARIOS_BY_NAME[scenario]
    entrant = Prompted("ours", LocalModel(folder))
    said = entrant.answers(each, test, training)
    right = [
        answer.text == item.answer for answer, item in zip(said, test, strict=True)
    ]
    assert sum(right) / n == pytest.approx(accuracy)
    shown = training[: each.examples]
    ours = entrant.model.option_logps(
        [prompt(each, item.text, shown) for item in test],
        [[f" {option}" for option in item.options] for item in test],
    )
    assert torch.allclose(ours, torch.tensor(logps).double(), atol=1e-3)
