"""What another package's method gives is judged before anything moves by it."""

import numpy as np
import pytest

from vilp_ros.errors import VilpError
from vilp_ros.policy.chunk_policy import ChunkPolicy
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.spec import BundleSpec

GOOD = np.tile([0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, 0.08], (3, 1))


class Foreign(ChunkPolicy):
    """Gives what it is told to."""

    def chunk(self, state, noise):
        return self.given


def policy(given):
    config = PolicyConfig(method="foreign", horizon=3, n_action_steps=2)
    made = Foreign(BundleSpec("x", "lift", {}, "ee_pose", 0.05, config), {}, None)
    made.given = given
    return made


@pytest.mark.parametrize("given", [GOOD, GOOD.tolist(), GOOD.astype(object), GOOD + 1e-4])
def test_a_chunk_of_any_number_type_is_taken(given):
    made = policy(given)
    plan = made.plan(None, made.noise(0))
    assert (plan.dtype, plan.shape) == (np.float32, (3, 8))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "shape"),
        ("left", "no array of numbers"),
        ([[1.0], [1.0, 2.0]], "no array of numbers"),
        (GOOD[:0], r"the shape \(0, 8\), expected \(3, 8\)"),
        (GOOD[:2], "expected"),
        (np.tile(GOOD, (2, 1)), "expected"),
        (GOOD[:, :7], "expected"),
        (GOOD[0], "expected"),
        (np.where(np.arange(3)[:, None] == 2, np.nan, GOOD), "not finite"),
        (GOOD * 5, r"quaternion \(3:7, xyzw\) of length 5, expected 1"),
        (GOOD * [1, 1, 1, 0, 0, 0, 0, 1], "of length 0"),
    ],
)
def test_what_is_no_chunk_is_refused_by_the_name_of_its_method(given, said):
    made = policy(given)
    with pytest.raises(VilpError, match=f"method 'foreign': chunk gave .*{said}"):
        made.plan(None, made.noise(0))
