import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from vilp_ros.errors import VilpError
from vilp_ros.training import checkpoint, loop
from vilp_ros.training.config import OptimConfig
from vilp_ros.training.loop import Objective, fit, learning_rate


class Line(Objective):
    """Recovers a line from noisy points; drawn batches and noise both matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(3, 1)
        self.constant("truth", torch.tensor([[1.0, -2.0, 0.5]]))

    def batch(self, rng, size):
        return {"x": rng.normal(size=(size, 3)).astype(np.float32)}

    def forward(self, batch, random):
        x = batch["x"]
        y = x @ self.truth.T + 0.1 * random.normal(len(x), 1)
        return {"loss": (self.net(x).float() - y).square().mean()}

    def validate(self):
        return {"score": float((self.net.weight - self.truth).abs().max())}


OPTIM = OptimConfig(steps=60, batch_size=32, lr=0.1, warmup=5, validate_every=10, ema=0.9)


def weights(folder):
    return checkpoint.read(folder / "line.safetensors")[0]["model"]


def test_fit_learns_and_keeps_the_averaged_weights(tmp_path):
    objective = Line()
    notes = fit("line", objective, OPTIM, tmp_path, seed=0)
    assert notes["last"]["score"] < 0.2  # it starts near 2
    saved = weights(tmp_path)
    torch.testing.assert_close(saved["net.weight"], objective.net.weight.detach())
    assert not checkpoint.saved(tmp_path, "line")


def test_interrupted_run_ends_in_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    fit("line", Line(), OPTIM, tmp_path / "whole", seed=1)
    fit("line", Line(), OPTIM, tmp_path / "cut", seed=1, stop_after=23)
    fit("line", Line(), OPTIM, tmp_path / "cut", seed=1, stop_after=41)
    fit("line", Line(), OPTIM, tmp_path / "cut", seed=1)
    for key, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "cut")[key]), key
    other = tmp_path / "other"
    other.mkdir()
    fit("line", Line(), OPTIM, other, seed=2)
    assert not torch.equal(weights(other)["net.weight"], weights(tmp_path / "cut")["net.weight"])


def test_best_weights_are_kept_when_asked(tmp_path):
    class Spoiled(Line):
        def forward(self, batch, random):
            self.calls = getattr(self, "calls", 0) + 1
            sign = 1.0 if self.calls < 40 else -1.0  # unlearns at the end
            return {"loss": sign * super().forward(batch, random)["loss"]}

    for keep in (False, True):
        folder = tmp_path / str(keep)
        folder.mkdir()
        optim = OptimConfig(**{**vars(OPTIM), "keep_best": keep})
        objective = Spoiled()
        notes = fit("line", objective, optim, folder, seed=0)
        final = float((objective.net.weight.detach() - objective.truth).abs().max())
        assert (final == pytest.approx(notes["best"]["score"], abs=1e-6)) == keep


class Bursting(Line):
    """Its loss, or only its gradient, is not finite from some step on."""

    def __init__(self, step: int, loss: bool) -> None:
        super().__init__()
        self.step, self.loss = step, loss

    def forward(self, batch, random):
        found = super().forward(batch, random)
        if self.training:
            self.step -= 1
        if self.training and self.step < 0:
            weight = self.net.weight
            edge = (weight - weight.detach()).abs().sum().sqrt()  # 0, of infinite slope
            found["loss"] = found["loss"] + (torch.nan if self.loss else edge)
        return found


@pytest.mark.parametrize("loss", [True, False])
def test_nan_stops_and_keeps_what_was_good(tmp_path, loss):
    fit("line", Line(), OPTIM, tmp_path, seed=0, stop_after=30)
    with pytest.raises(VilpError, match="loss or gradient is not finite at step 37") as stopped:
        fit("line", Bursting(7, loss), OPTIM, tmp_path, seed=0)
    last = tmp_path / "line.checkpoint.30.safetensors"
    assert f"the last good checkpoint is {last}. Try a learning rate below 0.1" in str(
        stopped.value
    )
    assert not (tmp_path / "line.safetensors").exists()
    fit("line", Line(), OPTIM, tmp_path, seed=0)
    assert all(x.isfinite().all() for x in weights(tmp_path).values())


def test_the_last_three_checkpoints_are_kept_and_one_cut_off_is_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)
    fit("line", Line(), OPTIM, tmp_path, seed=0, stop_after=12)
    kept = checkpoint.saved(tmp_path, "line")
    assert [path.name.split(".")[2] for path in kept] == ["10", "11", "12"]
    kept[-1].write_bytes(kept[-1].read_bytes()[:100])
    assert checkpoint.newest(tmp_path, "line") == kept[-2]
    notes = fit("line", Line(), OPTIM, tmp_path, seed=0)
    assert notes["step"] == OPTIM.steps


def test_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(OPTIM, step) for step in range(OPTIM.steps + 1)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


TRAIN = "import sys; from vilp_ros.cli.main import main; sys.exit(main(sys.argv[1:]))"
SMALL = [
    "views=[agentview]",
    "policy.autoencoder.latent_dim=4",
    "policy.autoencoder.channels=[8,8,8]",
    "policy.planner.width=32",
    "policy.planner.depth=1",
    "policy.idm.width=32",
    "autoencoder.optim.batch_size=8",
    "planner.optim.batch_size=16",
    "idm.optim.batch_size=16",
]


def command(tmp_path, out, *overrides):
    from synthetic import write_file

    for role in ("expert", "suboptimal"):
        if not (tmp_path / f"{role}.hdf5").exists():
            write_file(tmp_path / f"{role}.hdf5", role)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"data:\n  expert: [{{path: {tmp_path}/expert.hdf5}}]\n"
        f"  suboptimal: [{{path: {tmp_path}/suboptimal.hdf5}}]\n"
    )
    work = ["--work", str(tmp_path / f"work_{out}"), "--jobs", "1"]
    return [
        "train",
        "--config",
        str(recipe),
        "--out",
        str(tmp_path / out),
        *work,
        *SMALL,
        *overrides,
    ]


def pictures_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events.Tags()["images"]


def test_kill_9_loses_nothing_and_the_bundle_runs(tmp_path, monkeypatch):
    from vilp_ros.policy.bundle import load_policy

    steps = ["autoencoder.optim.steps=60", "planner.optim.steps=10", "idm.optim.steps=10"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    eager = "import vilp_ros.training.loop as loop; loop.CHECKPOINT_EVERY_S = 0.0; " + TRAIN
    process = subprocess.Popen(
        [sys.executable, "-c", eager, *command(tmp_path, "cut", *steps)], env=environment
    )
    deadline = time.monotonic() + 120
    while not checkpoint.saved(tmp_path / "work_cut", "autoencoder.agentview"):
        assert process.poll() is None, "training ended before its first checkpoint"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    mark = checkpoint.newest(tmp_path / "work_cut", "autoencoder.agentview")
    reached = checkpoint.read(mark)[1]["step"]
    assert 0 < reached < 60

    for out in ("cut", "whole"):
        subprocess.run(
            [sys.executable, "-c", TRAIN, *command(tmp_path, out, *steps)],
            env=environment,
            check=True,
        )
    cut, whole = ((tmp_path / o / "weights.safetensors").read_bytes() for o in ("cut", "whole"))
    assert cut == whole
    for part, picture in (
        ("autoencoder.agentview", "truth above reconstruction"),
        ("planner", "decoded truth above decoded plan"),
    ):
        assert picture in pictures_of(tmp_path / "work_whole/tensorboard" / part)
    policy = load_policy(tmp_path / "cut", engine="torch")
    assert policy.spec.provenance["episodes"] == {"expert": 12, "suboptimal": 12}


def test_parts_end_with_a_training_that_is_killed():
    """Or they would train on beside the one that goes on with it."""
    code = "import signal; from vilp_ros.training.run import _parallel; "
    code += "_parallel([(signal.pause, ())] * 2, 2)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(children.read_text().split()) < 3:  # with the tracker of multiprocessing
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.kill()
        process.stderr.read()  # ends when they are gone


def test_two_processes_train_together_on_a_slow_disk(tmp_path):
    """Each file is there, and empty, for half a second before it is whole."""
    steps = [
        f"{p}.optim.{k}" for p in ("autoencoder", "planner", "idm") for k in ("steps=2", "warmup=1")
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        str(Path(__file__).parents[1] / "support/slow_disk.py"),
    ]  # fmt: skip

    def pair(*overrides):
        return subprocess.run(
            [*launch, *command(tmp_path, "pair", *steps, *overrides)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    done = pair()
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("training pair on the CPU, 2 processes, in ") == 1
    assert done.stdout.count("bundle written to") == 1
    single = subprocess.run(
        [sys.executable, "-c", TRAIN, *command(tmp_path, "single", *steps)],
        env=environment,
        check=False,
    )
    assert single.returncode == 0
    (pair_planner, notes), (alone, _) = (
        checkpoint.read(tmp_path / f"work_{out}/planner.safetensors") for out in ("pair", "single")
    )
    assert notes["processes"] == 2
    for key, weights in alone["model"].items():  # the same rows, half in each
        torch.testing.assert_close(pair_planner["model"][key], weights, rtol=0.01, atol=2e-3)
    latents = [np.load(tmp_path / f"work_{o}/latents.agentview.npy") for o in ("pair", "single")]
    assert latents[0].shape == latents[1].shape
    assert not list((tmp_path / "work_pair").glob("latents.*.*.npy"))

    again = pair("planner.optim.lr=0.1")  # refused by the first, and the others leave with it
    assert again.returncode != 0
    assert again.stderr.count("holds parts of another recipe") == 1
    assert "vilp_ros/" not in again.stderr  # no traceback


def test_control_learns_from_the_same_frozen_latents(tmp_path):
    from vilp_ros.cli.main import main

    steps = [f"{part}.optim.steps=3" for part in ("autoencoder", "planner", "idm")]
    assert main(command(tmp_path, "ldp", *steps)) == 0
    frozen = f"autoencoder.bundle={tmp_path / 'ldp'}"
    assert main(command(tmp_path, "bc", "policy.method=bc", "bc.steps=3", frozen)) == 0
    latents = [np.load(tmp_path / f"work_{name}/latents.agentview.npy") for name in ("ldp", "bc")]
    np.testing.assert_allclose(*latents, atol=0.02)  # bundles store half precision
    other = command(
        tmp_path, "other", "policy.method=bc", frozen, "policy.autoencoder.latent_dim=5"
    )
    assert main(other) == 2


def test_an_autoencoder_goes_on_from_another_bundle(tmp_path):
    from vilp_ros.cli.main import main

    def weights_of(name):
        weights = load_file(tmp_path / name / "weights.safetensors")
        return torch.cat([w.ravel() for k, w in weights.items() if k.startswith("autoencoder")])

    steps = [f"{part}.optim.steps=3" for part in ("autoencoder", "planner", "idm")]
    going_on = [f"autoencoder.bundle={tmp_path / 'first'}", "autoencoder.frozen=false"]
    slowly = "autoencoder.optim.lr=1e-5"
    assert main(command(tmp_path, "first", *steps)) == 0
    assert main(command(tmp_path, "tuned", *steps, slowly, *going_on, "seed=1")) == 0
    assert main(command(tmp_path, "fresh", *steps, slowly, "seed=1")) == 0
    first = weights_of("first")
    tuned, fresh = ((weights_of(name) - first).abs().max() for name in ("tuned", "fresh"))
    assert 0 < tuned < 0.002  # half precision beside three small steps
    assert fresh > 0.05


VILP = [
    "policy.method=vilp",
    "policy.horizon=3",
    "policy.frame_interval=2",
    "policy.autoencoder.kind=spatial",
    "policy.autoencoder.channels=[8,8]",
    "policy.planner.kind=video",
    "policy.planner.channels=[8,64]",
    "policy.low_level.channels=[8,8,8]",
    "policy.low_level.width=16",
    "autoencoder.optim.steps=20",
    "planner.optim.steps=20",
    "low_level.optim.steps=20",
    "low_level.optim.batch_size=24",
]


PAPER = [
    "policy.autoencoder.kind=vqgan",
    "policy.autoencoder.channels=[32,32,32,32]",
    "policy.autoencoder.codebook=32",
    "autoencoder.vqgan.disc_start=2",
    "autoencoder.optim.steps=4",
    "autoencoder.optim.batch_size=4",
    "policy.planner.kind=video3d",
    "planner.optim.warmup=0",  # three steps: what looks at the context begins at zero
    "planner.optim.lr=0.01",
    "policy.planner.channels=[32]",
    "policy.planner.encoder=resnet",
    "policy.planner.conditioning=single",
    "policy.planner.joint=false",
    "policy.planner.shared_noise=0.0",
    "policy.planner.prediction=epsilon",
    "policy.low_level.kind=frames",
    "planner.optim.steps=3",
    "planner.pure_noise=0.0",
    "low_level.optim.steps=3",
]


@pytest.mark.parametrize(
    "overrides",
    [
        ["policy.planner.conditioning=tokens"],
        ["policy.planner.conditioning=concatenation", "policy.planner.joint=false"],
        ["policy.planner.conditioning=both", "policy.planner.encoder=resnet"],
        PAPER,
    ],
    ids=["tokens", "concatenation", "both", "paper"],
)
def test_a_video_policy_trains_and_its_plans_depend_on_what_it_sees(tmp_path, overrides):
    from vilp_ros.cli.main import main
    from vilp_ros.policy.bundle import load_policy

    assert main(command(tmp_path, "video", *VILP, *overrides)) == 0
    assert "decoded truth above decoded plan" in pictures_of(
        tmp_path / "work_video/tensorboard/planner"
    )
    policy = load_policy(tmp_path / "video", engine="torch", samples=2)
    noise, proprio = policy.noise(0), np.linspace(0, 1, 10, dtype=np.float32)
    view = next(iter(policy.spec.views.values()))
    dark, bright = (np.full((1, *view, 3), v, np.uint8) for v in (20, 200))
    state = policy.encode(dark, proprio)
    plans = policy.imagine(state, noise)
    assert plans.shape == (2, *policy.spec.plan_shape[::2])
    assert not np.array_equal(plans[0], plans[1])  # two imaginations
    np.testing.assert_array_equal(plans[0], policy.plan(state, noise))
    latents = policy.latents(plans[0])
    other = policy.latents(policy.plan(policy.encode(bright, proprio), noise))
    assert np.abs((latents[1:] - latents[:1]) - (other[1:] - other[:1])).max() > 1e-6
    actions = policy.act(plans[0], noise)
    assert actions.shape == (6, 8)
    assert policy.decode(plans[0]).shape == (4, 1, *view, 3)


@pytest.mark.parametrize(
    ("cpu", "learned_in"),
    [
        ({"avx2": True, "avx512_f": True}, torch.float32),  # bfloat16 would be imitated
        ({"avx2": True, "avx512_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
    ],
)
def test_bfloat16_where_the_cpu_has_it(tmp_path, monkeypatch, cpu, learned_in):
    kinds = set()

    class Seen(Line):
        def forward(self, batch, random):
            kinds.add(self.net(batch["x"]).dtype)
            return super().forward(batch, random)

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    try:
        AcceleratorState._reset_state()
        notes = fit("line", Seen(), replace(OPTIM, steps=2), tmp_path, seed=0)
    finally:
        AcceleratorState._reset_state()
    assert kinds == {learned_in}
    assert notes["precision"] == str(learned_in).removeprefix("torch.")
