"""Checkpoints: written whole, read without running anything, refused when damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from smallscale.simulation import Town


def damaged(
    path: Path, change: Callable[[dict[str, np.ndarray], dict[str, str]], None]
) -> None:
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        arrays = {name: file.get_tensor(name) for name in names}
        metadata = file.metadata()
    change(arrays, metadata)
    save_file(arrays, path, metadata=metadata)


def record(metadata: dict[str, str], **changed: Any) -> None:
    metadata["record"] = json.dumps({**json.loads(metadata["record"]), **changed})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda arrays, meta: meta.update(version="0"),
            "version 0, this program reads version 4",
        ),
        (lambda arrays, meta: meta.pop("version"), "not a checkpoint of a town"),
        (lambda arrays, meta: meta.pop("digest"), "is damaged"),
        (lambda arrays, meta: meta.pop("record"), "is damaged"),
        (lambda arrays, meta: meta.update(record="{"), "is damaged"),
        (lambda arrays, meta: meta.update(record="[]"), "is damaged"),
        (lambda arrays, meta: record(meta, step=21), "do not match their digest"),
        (
            lambda arrays, meta: record(meta, settings={"memory": 5}),
            "do not match their digest",
        ),
        (lambda arrays, meta: record(meta, brain="gpt"), "do not match their digest"),
        (lambda arrays, meta: arrays.pop("heard"), "do not match their digest"),
        (
            lambda arrays, meta: arrays.update(heard=arrays["heard"][:3]),
            "do not match their digest",
        ),
        (
            lambda arrays, meta: arrays.update(heard=arrays["heard"] * 1.0),
            "do not match their digest",
        ),
        (
            lambda arrays, meta: arrays["place"].__setitem__(0, 1),
            "do not match their digest",
        ),
    ],
)
def test_checkpoints_that_cannot_be_are_refused_in_a_line(
    tmp_path: Path, change: Any, message: str
) -> None:
    path = tmp_path / "town"
    Town().run(20).save(path)
    damaged(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        Town.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_checkpoint_that_was_cut_off_is_refused_in_a_line(
    tmp_path: Path, keep: float
) -> None:
    path = tmp_path / "town"
    Town().run(20).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(
        ValueError, match="town is cut off or not a checkpoint"
    ) as caught:
        Town.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        Town.load(tmp_path / "elsewhere")


def test_a_checkpoint_is_read_by_the_brain_that_is_named_and_folders_are_made(
    tmp_path: Path,
) -> None:
    town = Town(np.int64(25), seed=np.int64(1)).run(3)  # numpy's numbers are numbers
    path = tmp_path / "a" / "new" / "folder"
    town.save(path)
    assert (
        Town.load(path, brain="scripted").digest()
        == town.digest()
        == Town(seed=1).run(3).digest()
    )
    with pytest.raises(ValueError, match="brain must be"):
        Town.load(path, brain="llm")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "town"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="cut off or not a checkpoint"):
        Town.load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_crash_while_saving_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "town"
    town = Town().run(10)
    town.save(path)
    before = town.digest()

    def crash(arrays: Any, part: Path, **rest: Any) -> None:
        Path(part).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("smallscale.simulation.checkpoint.save_file", crash)
    with pytest.raises(OSError, match="no space"):
        town.run(5).save(path)
    assert Town.load(path).digest() == before
    assert list(tmp_path.iterdir()) == [path], "no half file is left"


def test_a_checkpoint_is_replaced_by_a_rename_never_written_into(
    tmp_path: Path,
) -> None:
    path = tmp_path / "town"
    kept = tmp_path / "kept"
    town = Town().run(3)
    town.save(path)
    kept.hardlink_to(path)  # the same file by another name: it must stay as it is
    before = town.digest()
    town.run(3).save(path)
    assert Town.load(kept).digest() == before != Town.load(path).digest()


def test_a_town_may_lie_in_the_home_folder(home: Path) -> None:
    town = Town(4)
    town.save("~/towns/first")
    assert (home / "towns" / "first").is_file()
    assert not Path("~").exists()
    assert Town.load("~/towns/first").digest() == town.digest()
