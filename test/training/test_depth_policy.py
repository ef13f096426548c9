"""From the simulator's depth to plans: depth is a view like any other."""

import numpy as np

from vilp_ros.cli.main import main
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.policy.bundle import load_policy
from vilp_ros.sim.env import SimEnv

VIEWS = ("agentview", "eye_in_hand", "agentview_depth")
RECIPE = """
name: rgbd
views: [{views}]
data:
  expert: [{{path: {path}}}]
  validation: 0.5
policy:
  method: vilp
  horizon: 3
  frame_interval: 2
  autoencoder: {{kind: spatial, channels: [8, 8]}}
  planner: {{kind: video, channels: [8, 64]}}
  low_level: {{channels: [8, 8, 8], width: 16}}
autoencoder: {{optim: {{steps: 60, batch_size: 8, lr: 3.0e-3, warmup: 5}}}}
planner: {{optim: {{steps: 20, batch_size: 16}}}}
low_level: {{optim: {{steps: 20, batch_size: 24}}}}
"""


def test_a_video_policy_trains_on_colour_and_depth_and_plans_with_both(tmp_path):
    path, bundle = tmp_path / "lift.hdf5", tmp_path / "rgbd"
    collect = ["collect", "--task", "lift", "--episodes", "2", "--out", str(path)]
    assert main([*collect, "--views", *VIEWS]) == 0
    episode = EpisodeFile(path)[0]
    assert set(episode.images) == set(VIEWS)
    depth = episode.images["agentview_depth"]
    assert (depth[..., :1] == depth).all()
    assert (depth[0] != depth[-1]).any()

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(views=", ".join(VIEWS), path=path))
    train = ["train", "--config", str(recipe), "--out", str(bundle), "--jobs", "1"]
    assert main([*train, "--work", str(tmp_path / "work")]) == 0

    policy = load_policy(bundle, engine="torch")
    assert tuple(policy.spec.views) == VIEWS
    assert policy.spec.depth_range_m == {"agentview_depth": (0.4, 1.6)}
    noise, proprio = policy.noise(0), np.linspace(0, 1, 10, dtype=np.float32)
    with SimEnv("lift", views=VIEWS) as env:
        seen = env.reset(3).images
    images = np.stack([seen[view] for view in VIEWS])
    blind = images.copy()
    blind[2] = 255  # no return anywhere
    plans = [policy.plan(policy.encode(x, proprio), noise) for x in (images, blind)]
    assert np.isfinite(plans[0]).all()
    colour, other = (policy.latents(plan)[1:, :2] for plan in plans)
    assert np.abs(colour - other).max() > 1e-6  # what is imagined in colour depends on depth
    assert policy.act(plans[0], noise).shape == (6, 8)
    frames = policy.decode(plans[0])
    assert frames.shape == (4, 3, 96, 160, 3)
    # 20 steps do not make a likeness, but the depth view's own decoder drew it: grey, not coloured.
    assert frames[0, 2].astype(int).std(-1).mean() < frames[0, 1].astype(int).std(-1).mean()
