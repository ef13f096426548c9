"""What is fuzzed: how a small one is made, how it is read, and what its texts say."""

import hashlib
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from bags import SMALL, write_bag
from ruamel.yaml import YAML
from synthetic import make_episode

from vilp_ros.cli.main import main
from vilp_ros.contract import Contract
from vilp_ros.data import hdf5
from vilp_ros.data.bag import Bag
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.formats import translate
from vilp_ros.data.outliers import statistics
from vilp_ros.data.repair import repair
from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir

Flat = dict[str, Any]


class ChangedError(Exception):
    """A number that is not what was written, and nobody said so."""


class Format:
    """One kind of file or folder.

    Attributes:
        name: in the table.
        texts: names of its files that people may edit; their mutants say what they say.
    """

    name = ""
    texts: tuple[str, ...] = ()

    def make(self, folder: Path) -> None:
        """Writes a small one."""
        raise NotImplementedError

    def read(self, folder: Path) -> Flat:
        """Everything that is in it, by the code that users' verbs call.

        Raises:
            VilpError: it is refused.
        """
        raise NotImplementedError

    def says(self, folder: Path, was: Flat, got: Flat) -> Flat:
        """What its texts say, by a parser that is not ours.

        Args:
            folder: of the mutant.
            was: read of the whole one.
            got: read of the mutant.
        """
        return was

    def also(self, folder: Path, number: int, was: Flat) -> None:
        """What else may be done with a mutant."""


def digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array)
    return f"{array.dtype.str}{array.shape}" + hashlib.sha1(array.tobytes()).hexdigest()


def flat(value: Any, path: str = "") -> Flat:
    """Leaves by path."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {path: value}
    found: Flat = {}
    for key, item in items:
        found |= flat(item, f"{path}/{key}")
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two leaves say the same; 4, 4.0, "4" and "0x4" do."""
    if isinstance(one, str) and re.fullmatch("0[ox][0-9a-f]+", one):
        one = int(one, 0)
    if type(one) is type(other) and one == other:
        return True
    if isinstance(one, bool) != isinstance(other, bool) and not isinstance(one, str):
        return False
    try:
        return float(one) == float(other) or str(one) == str(other)
    except (TypeError, ValueError, OverflowError):
        return one == other or str(one) == str(other)


def quietly(argv: list[str]) -> int:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return main(argv)


def yaml12(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def of_episode(episode: Episode) -> Flat:
    found: Flat = {f"image/{view}": digest(rows) for view, rows in episode.images.items()}
    for key in ("ee_pose", "gripper_width", "joint_position", "joint_velocity", "disturbed"):
        found[key] = digest(getattr(episode, key))
    found["actions"] = None if episode.actions is None else digest(episode.actions)
    labels = {"role": episode.role, "success": episode.success, "seed": episode.seed}
    return found | labels | {f"info/{k}": v for k, v in episode.info.items()}


class Bags(Format):
    """Of the recorder, with metadata.yaml."""

    name, texts, compress, lone = "bags", ("metadata.yaml",), False, False

    def make(self, folder: Path) -> None:
        write_bag(folder / "bag", compress=self.compress)
        if self.lone:
            (folder / "bag/metadata.yaml").unlink()

    def read(self, folder: Path) -> Flat:
        with Bag(folder / "bag") as bag:
            robot = bag.contract()
            found: Flat = {f"label/{key}": value for key, value in bag.labels.items()}
            for number, (topic, time_ns, data) in enumerate(bag.raw()):
                found[f"message/{number}"] = topic, time_ns, hashlib.sha1(data).hexdigest()
            found["messages"] = sum(1 for _ in bag.check())
            return found | {"seed": bag.seed, "robot": robot and robot.robot}

    def says(self, folder: Path, was: Flat, got: Flat) -> Flat:
        labels = yaml12(folder / "bag/metadata.yaml")["rosbag2_bagfile_information"]
        found = {k: v for k, v in was.items() if k[:6] != "label/"}
        found |= {f"label/{k}": v for k, v in (labels.get("custom_data") or {}).items()}
        for key, default in ("seed", -1), ("contract", None):
            value = found.get(f"label/{key}", default)
            if key == "contract":
                value = Contract.parse(value, "").robot if value else None
            found["robot" if key == "contract" else key] = value
        return found

    def also(self, folder: Path, number: int, was: Flat) -> None:
        if number % 10 == 0:
            quietly(["data", str(folder / "bag")])
        if number % 10 == 5:
            convert_bag(folder / "bag", folder / "out.hdf5", Choice(task="any", broken=True))
        sent = [v for k, v in was.items() if k[:8] == "message/"]
        repaired = repair(folder / "bag")
        sure = max(
            repaired.messages - repaired.unchecked, 0
        )  # of the others it says that nobody knows
        with Bag(repaired.path) as bag:
            for (topic, time_ns, data), expected in islice(zip(bag.raw(), sent), sure):
                if (topic, time_ns, hashlib.sha1(data).hexdigest()) != expected:
                    raise ChangedError(f"repair gave another message on {topic}")
            if sum(bag.counts.values()) > len(sent):
                raise ChangedError("repair gave more messages than there were")


class PackedBags(Bags):
    """Compressed by zstd."""

    name, compress = "bags, zstd", True


class LoneBags(Bags):
    """One file, without metadata.yaml."""

    name, texts, lone = "bags, lone .mcap", (), True


class Datasets(Format):
    """Our HDF5."""

    name = "HDF5"

    def make(self, folder: Path) -> None:
        with EpisodeWriter(folder / "set.hdf5", task="lift") as writer:
            for seed, role in enumerate(("expert", "action_free", "suboptimal")):
                writer.add(make_episode(seed, role))

    def read(self, folder: Path) -> Flat:
        hdf5.LOOK_CPU_S = 2  # a hang is to cost little here
        file = EpisodeFile(folder / "set.hdf5")
        try:
            found: Flat = {"period": file.control_period_s, "kind": file.action_kind}
            found |= {"task": file.task, "roles": tuple(file.roles), "range": file.depth_range_m}
            for number, episode in enumerate(file):
                found |= flat(of_episode(episode), str(number))
                some = file.frames(number, "agentview", np.array([0, 3, 17]))
                if not np.array_equal(some, episode.images["agentview"][[0, 3, 17]]):
                    raise ChangedError("frames differ from the episode's")
            statistics(file)
            return found
        finally:
            file.close()

    def also(self, folder: Path, number: int, was: Flat) -> None:
        path = folder / "set.hdf5"
        if number % 10 == 0:
            quietly(["data", str(path)])
        if number % 5 == 0:
            with EpisodeWriter(path, task="lift") as writer:
                writer.add(make_episode(9))


class Contracts(Format):
    """A robot's YAML."""

    name, texts = "contracts", ("robot.yaml",)

    def make(self, folder: Path) -> None:
        (folder / "robot.yaml").write_text(SMALL)

    def read(self, folder: Path) -> Flat:
        return flat(asdict(Contract.load(folder / "robot.yaml")))

    def says(self, folder: Path, was: Flat, got: Flat) -> Flat:
        return flat(yaml12(folder / "robot.yaml"))


class DirectContracts(Contracts):
    """With every key that a contract may have."""

    name = "contracts, fr3_direct"

    def make(self, folder: Path) -> None:
        shutil.copy(share_dir() / "config/robots/fr3_direct.yaml", folder / "robot.yaml")


class Bundles(Format):
    """policy.yaml and weights."""

    name, texts = "bundles", ("policy.yaml",)

    def make(self, folder: Path) -> None:
        from vilp_ros.policy.bundle import save_untrained

        save_untrained(folder / "bundle", views={"agentview": (32, 32)})

    def read(self, folder: Path) -> Flat:
        from omegaconf import OmegaConf

        from vilp_ros.policy.bundle import load_policy, load_spec

        spec = load_spec(folder / "bundle")
        found = flat(
            {
                **{k: getattr(spec, k) for k in ("name", "task", "views", "action_kind")},
                "control_period_s": spec.control_period_s,
                "depth_range_m": spec.depth_range_m,
                "policy": OmegaConf.to_container(OmegaConf.structured(spec.policy)),
            }
        )
        policy = load_policy(folder / "bundle", device="cpu", engine="torch")
        noise = policy.noise(0)
        images = np.zeros((len(spec.views), *next(iter(spec.views.values()))[:2], 3), np.uint8)
        proprio = np.array([0.45, 0, 0.3, 1, 0, 0, 0, 1, 0, 0.08])
        plan = policy.plan(policy.encode(images, proprio), noise)
        if not np.isfinite(plan).all():
            raise ChangedError("a plan that is not finite")
        return found | {"plan": digest(plan), "action": digest(policy.act(plan, noise))}

    def says(self, folder: Path, was: Flat, got: Flat) -> Flat:
        body = yaml12(folder / "bundle/policy.yaml")
        for key in ("provenance", "package", "method_version"):
            body.pop(key, None)
        results = ("plan", "action")
        if any(got[k] != was.get(k) for k in got if k not in results):  # another policy
            return flat(body) | {key: got[key] for key in results}
        return flat(body)


class LeRobot(Format):
    """A folder of parquet and JSON."""

    name, texts = "LeRobot", ("info.json", "stats.json")

    def make(self, folder: Path) -> None:
        with EpisodeWriter(folder / "set.hdf5", task="lift") as writer:
            for seed in range(3):
                writer.add(make_episode(seed))
        translate([folder / "set.hdf5"], "hdf5", folder / "robot", "lerobot")
        (folder / "set.hdf5").unlink()

    def read(self, folder: Path) -> Flat:
        from vilp_ros.data.lerobot.reading import read

        reading = read(folder / "robot")
        meta = reading.meta
        found: Flat = {"task": meta.task, "period": meta.control_period_s, "kind": meta.action_kind}
        for number, read_now in enumerate(reading.episodes):
            if isinstance(read_now, VilpError):
                raise read_now
            read_now.episode.check(meta.action_kind)
            found |= flat(of_episode(read_now.episode), str(number))
        return found | {"episodes": sum(key.endswith("/seed") for key in found)}

    def says(self, folder: Path, was: Flat, got: Flat) -> Flat:
        body = json.loads((folder / "robot/meta/info.json").read_text())
        found = was | {"period": 1 / body["fps"]}
        ours = body.get("vilp_ros", {})
        found["kind"] = ours.get("action_kind", "ee_pose")
        for key in (key for key in was if "/image/" in key):  # scaled to the shape that it says
            view = key.rsplit("/", 1)[1]
            shape = body["features"].get(f"observation.images.{view}", {}).get("shape")
            if shape != [32, 32, 3] and f", {shape[0]}, {shape[1]}, 3)" in got.get(key, ""):
                found[key] = got[key]
        for number, labels in enumerate(ours.get("episodes", [])):
            labels = {**labels, **{f"info/{k}": v for k, v in labels.pop("info", {}).items()}}
            found |= {f"{number}/{k}": v for k, v in labels.items() if f"{number}/{k}" in was}
        return found

    def also(self, folder: Path, number: int, was: Flat) -> None:
        if number % 10 == 0:
            argv = ["convert", str(folder / "robot"), "--from", "lerobot", "--no-sheets"]
            quietly([*argv, "--out", str(folder / "out.hdf5")])


FORMATS: dict[str, Format] = {
    kind.name: kind()
    for kind in (
        Bags,
        PackedBags,
        LoneBags,
        Datasets,
        Contracts,
        DirectContracts,
        Bundles,
        LeRobot,
    )
}


def outcome(kind: Format, folder: Path, file: str, number: int, was: Flat) -> tuple[str, str]:
    """What became of a mutant that lies in a folder, and a word on it."""
    try:
        got = kind.read(folder)
    except VilpError as error:
        word, detail = "refused", str(error)
    else:
        word, detail = "as written", ""
        if got != was:
            word, detail = _compare(kind, folder, file, got, was)
    try:
        if word != "silent":
            kind.also(folder, number, was)
    except VilpError:
        pass
    return word, detail


def _compare(kind: Format, folder: Path, file: str, got: Flat, was: Flat) -> tuple[str, str]:
    if Path(file).name in kind.texts:
        try:
            says = kind.says(folder, was, got)
        except Exception as error:  # of a parser that is not ours, or of what it gave
            return "silent", f"{type(error).__name__} of another parser: {error}"
        wrong = [k for k in says if k in got and not same(got[k], says[k])]
        if not wrong:
            return "as it says", ""
        return "silent", f"{wrong[0]}: text {says.get(wrong[0])!r}, read {got[wrong[0]]!r}"
    wrong = [k for k in {**was, **got} if was.get(k) != got.get(k)]
    return "silent", f"{wrong[0]}: was {was.get(wrong[0])!r}, read {got.get(wrong[0])!r}"
