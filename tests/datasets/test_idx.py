"""Is an IDX file read by its bytes, and never believed beyond them?"""

import gzip
import tracemalloc

import pytest

from smallscale.datasets.idx import read_idx
from tests.datasets.idx_files import idx_bytes, random_digits

GOOD, _ = random_digits(10)


def test_a_zipped_file_is_known_by_its_first_bytes_not_its_name(tmp_path):
    images, _ = random_digits(3)
    (tmp_path / "images").write_bytes(gzip.compress(idx_bytes(images)))
    assert (read_idx(tmp_path / "images", dimensions=3) == images).all()


def test_a_header_is_not_believed_before_the_bytes_are_there(tmp_path):
    """It promises 4 GB; nothing near that may be asked for."""
    for name, data in (
        ("plain", idx_bytes(GOOD, sizes=(1000, 2000, 2000))),
        ("zipped", None),
    ):
        path = tmp_path / name
        path.write_bytes(
            gzip.compress(idx_bytes(GOOD, sizes=(1000, 2000, 2000)))
            if data is None
            else data
        )
        tracemalloc.start()
        with pytest.raises(ValueError, match="does not hold what its header says"):
            read_idx(path, dimensions=3)
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()


def test_a_small_header_does_not_unpack_a_bomb(tmp_path):
    """It unpacks to 64 MB where its header says 350: one block is enough."""
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(idx_bytes(GOOD) + bytes(64_000_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="there are more"):
        read_idx(path, dimensions=3)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_file_in_the_home_folder_is_found(home):
    (home / "images").write_bytes(idx_bytes(GOOD))
    assert (read_idx("~/images", dimensions=3) == GOOD).all()
