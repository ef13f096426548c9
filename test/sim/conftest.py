from __future__ import annotations

import functools

import pytest

from vilp_ros.sim.env import SimEnv


@pytest.fixture(scope="session")
def sim():
    """Factory of environments that live as long as the tests: building one takes seconds."""
    made = []

    @functools.cache
    def make(task, views=(), action_kind="ee_pose"):
        made.append(SimEnv(task, views=views, action_kind=action_kind))
        return made[-1]

    yield make
    for env in made:
        env.close()
