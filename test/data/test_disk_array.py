"""An array on disk is read as one in memory is."""

from contextlib import closing
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vilp_ros.data.disk_array import DiskArray, write

ROWS = np.random.default_rng(0).integers(0, 255, (23, 4, 6, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    path = tmp_path_factory.mktemp("array") / "rows.npy"
    write(path, ROWS.shape, np.uint8, np.array_split(ROWS, 5))
    with closing(DiskArray(path)) as array:
        yield array


@given(
    hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.integers(-23, 22))
)
def test_rows_by_number(on_disk, index):
    np.testing.assert_array_equal(on_disk[index], ROWS[index])


@given(st.slices(len(ROWS)))
def test_slices(on_disk, some):
    np.testing.assert_array_equal(on_disk[some], ROWS[some])


def test_one_row_none_and_floats(on_disk, tmp_path):
    np.testing.assert_array_equal(on_disk[3], ROWS[3])
    assert on_disk[np.zeros(0, np.int64)].shape == (0, 4, 6, 3)
    values = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    write(tmp_path / "latents.npy", values.shape, np.float32, [values[:3], values[3:]])
    with closing(DiskArray(tmp_path / "latents.npy")) as array:
        np.testing.assert_array_equal(array[np.array([6, 0])], values[[6, 0]])


@pytest.mark.parametrize("index", [23, -24])
def test_beyond_the_end(on_disk, index):
    with pytest.raises(IndexError, match="of 23"):
        on_disk[np.array([0, index])]


def test_under_its_name_there_is_only_a_whole_one(tmp_path):
    path = tmp_path / "rows.npy"
    with pytest.raises(ValueError, match="20 rows, not 23"):
        write(path, ROWS.shape, np.uint8, [ROWS[:20]])
    assert not list(tmp_path.iterdir())


def test_two_processes_lay_out_the_same_at_once(tmp_path):
    fork, path = get_context("fork"), tmp_path / "rows.npy"
    both = fork.Barrier(2)

    def lay_out():
        def parts():
            both.wait()  # both have begun
            yield ROWS
            both.wait()  # neither is done

        write(path, ROWS.shape, np.uint8, parts())

    processes = [fork.Process(target=lay_out) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with closing(DiskArray(path)) as array:
        np.testing.assert_array_equal(array[:], ROWS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_cut_off_meanwhile(tmp_path):
    path = tmp_path / "rows.npy"
    write(path, ROWS.shape, np.uint8, [ROWS])
    with closing(DiskArray(path)) as array:
        with path.open("r+b") as file:
            file.truncate(400)
        with pytest.raises(OSError, match="cut off"):
            array[np.arange(23)]
