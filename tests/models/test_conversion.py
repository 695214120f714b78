"""Is a model's file read as it was written, by what the package alone installs?"""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.conftest import ROOT
from tests.models.tokenizers_like import byte_level

WIDTH, HIDDEN, POSITIONS = 32, 64, 128


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def installed_alone() -> set[str]:
    """The names of what `pip install smallscale` installs, without any extra."""
    found: set[str] = set()
    ahead = ["smallscale"]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another system or Python
            continue
        found.add(name)
        ahead += [_name(need) for need in needs if "extra ==" not in need]
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with these alone, as links."""
    folder = tmp_path_factory.mktemp("packages")
    for name in installed_alone():
        distribution = metadata.distribution(name)
        tops = {path.parts[0] for path in distribution.files or ()}
        for top in tops - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(top)))
            link = folder / top
            if source.exists() and not link.exists():
                link.symlink_to(source)
    return folder


def write_llama(path: Path) -> dict[str, np.ndarray]:
    """Write a Llama of one layer and random weights; return some of these."""
    tokenizer = byte_level()
    vocabulary = tokenizer.get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types([1] * len(words))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    random = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (len(words), WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH // 2, WIDTH),
        "blk.0.attn_v.weight": (WIDTH // 2, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_gate.weight": (HIDDEN, WIDTH),
        "blk.0.ffn_up.weight": (HIDDEN, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, HIDDEN),
    }
    weights = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    for name, weight in weights.items():
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


SAVE = """\
import sys
from pathlib import Path
from smallscale.models.smollm2 import _save
try:
    import peft
except ImportError:
    _save(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_file_is_converted_with_what_the_package_alone_installs(
    tmp_path: Path, alone: Path
) -> None:
    source, folder = tmp_path / "tiny.gguf", tmp_path / "converted"
    weights = write_llama(source)
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "-c", SAVE, str(source), str(folder)],
        env={"PYTHONPATH": f"{alone}:{ROOT / 'lib'}", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    state = model.state_dict()
    for theirs, ours in {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "blk.0.attn_v": "model.layers.0.self_attn.v_proj",
        "blk.0.ffn_down": "model.layers.0.mlp.down_proj",
    }.items():
        np.testing.assert_array_equal(
            state[f"{ours}.weight"], weights[f"{theirs}.weight"]
        )
