"""Small synthetic episodes, shared by the tests of data and training."""

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.pairs import usual

SIZE = (32, 32)
SIZES = {"agentview": SIZE, "eye_in_hand": SIZE}


def make_episode(
    seed: int, role: str = "expert", length: int = 20, mode: str = "nearest", sizes=SIZES
):
    """The arm wanders, in each role on its own ways; a bright square in the picture follows it."""
    rng = np.random.default_rng(seed if role == "expert" else [seed, *role.encode()])
    start = np.array([0.45, 0.0, 0.3])
    position = start + np.cumsum(rng.normal(0, 0.004, (length + 1, 3)), axis=0)
    pose = np.concatenate([position, np.tile([1.0, 0, 0, 0], (length + 1, 1))], axis=1)
    images = {}
    for view, size in sizes.items():
        frames = np.full((length + 1, *size, 3), 90, np.uint8)
        for frame, (x, y, _) in zip(frames, position, strict=True):
            row, column = int(16 + 60 * y) % 26, int(16 + 60 * (x - 0.45)) % 26
            frame[row : row + 6, column : column + 6] = [220, 60, 30]
        images[view] = frames
    targets = np.concatenate([pose[1:], np.full((length, 1), 0.08)], axis=1)
    return Episode(
        images=images,
        ee_pose=pose.astype(np.float32),
        gripper_width=np.full(length + 1, 0.08, np.float32),
        joint_position=np.zeros((length + 1, 7), np.float32),
        joint_velocity=np.zeros((length + 1, 7), np.float32),
        actions=None if role == "action_free" else targets.astype(np.float32),
        disturbed=np.zeros(length, bool),
        role=role,
        success=role != "suboptimal",
        seed=seed,
        info={"mode": mode},
    )


def write_file(path, role: str = "expert", count: int = 12, task: str = "lift", **kwargs):
    """A file of `count` synthetic episodes."""
    with EpisodeWriter(path, task=task) as writer:
        for seed in range(count):
            writer.add(make_episode(seed, role, **kwargs))
    return path


def write_pairs(path, count: int = 26):
    """Every picture beside itself, darkened and with red and green exchanged."""
    with EpisodeWriter(path, task="lift") as writer:
        for seed in range(count):
            episode = make_episode(seed, length=12)
            for view in SIZES:
                frames = episode.images[view]
                episode.images[usual(view)] = frames
                episode.images[view] = (0.6 * frames[..., [1, 0, 2]]).astype(np.uint8)
            writer.add(episode)
    return path
