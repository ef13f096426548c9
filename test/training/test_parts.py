"""Parts train side by side: how many threads each has, and what is said when one fails."""

import os

import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.policy.spec import load_spec
from vilp_ros.training import processes, run


@pytest.mark.parametrize(
    ("cores", "bound_to", "quota", "used"),
    [
        (8, 8, None, 8),
        (64, 64, None, 16),
        (64, 3, None, 3),
        (64, 64, "max 100000", 16),
        (64, 64, "250000 100000", 2),
        (64, 64, "50000 100000", 1),
        (4, 64, "800000 100000", 4),
    ],
)
def test_as_many_threads_as_may_run(tmp_path, monkeypatch, cores, bound_to, quota, used):
    monkeypatch.setattr(processes, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound_to)))
    if quota:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert processes.threads() == used


def write_threads(path):
    path.write_text(str(torch.get_num_threads()))


@pytest.mark.parametrize(("parts", "jobs", "each"), [(3, 2, 3), (2, 4, 3), (1, 2, 6), (2, 1, 6)])
def test_parts_share_the_threads_of_the_machine(tmp_path, parts, jobs, each):
    files = [tmp_path / str(part) for part in range(parts)]
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        run._parallel([(write_threads, (path,)) for path in files], jobs)
    finally:
        torch.set_num_threads(before)
    assert [int(path.read_text()) for path in files] == [each] * parts


def test_an_error_of_a_part_is_said_in_a_line(tmp_path, capfd):
    parts = [(load_spec, (tmp_path / name,)) for name in ("one", "two")]
    with pytest.raises(VilpError, match="its error is printed above"):
        run._parallel(parts, 2)
    said = capfd.readouterr().err
    assert f"{tmp_path / 'one'}" in said
    assert "Traceback" not in said
