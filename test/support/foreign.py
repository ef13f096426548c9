"""Small datasets as others write them: LeRobot v2.1 and v3.0 with videos, folders of videos."""

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FPS = 10
SIZE = (64, 96)
TOP = "observation.images.top"
JOINTS = [f"joint_{k}" for k in range(6)]
CODECS = {"mpeg4": "yuv420p", "libx264": "yuv420p", "libsvtav1": "yuv420p"}
SHIFT = 6
"""Grey levels from one picture to the next."""


def grey(rows):
    """Of the pictures of these rows."""
    return 20 + SHIFT * (np.asarray(rows) % 36)


def write_video(path, rows, codec="mpeg4", fps=FPS, size=SIZE):
    """A video whose pictures are grey, each in its own shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "5"} if codec == "libx264" else {}
    with av.open(str(path), "w") as video:
        stream = video.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, CODECS[codec]
        stream.codec_context.gop_size = 5
        stream.bit_rate = 2_000_000
        for row in rows:
            picture = np.full((*size, 3), grey(row), np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        video.mux(stream.encode())
    return path


def wave(length, seed=0, fps=FPS, stamps=None):
    """Rows of an arm of six joints that swings, told by velocities, its gripper by 0 or 1."""
    stamps = np.arange(length) / fps if stamps is None else np.asarray(stamps)
    phase = seed + np.arange(6) / 3
    state = 0.3 * np.sin(stamps[:, None] + phase)
    speed = 0.3 * np.cos(stamps[:, None] + phase)
    gripper = (stamps > stamps[-1] / 2).astype(float)[:, None]
    return {
        "stamps": stamps,
        "observation.state": state,
        "action": np.concatenate([speed, gripper], axis=1),
        "task": "fold",
    }


def _feature(rows, names):
    return {"dtype": "float32", "shape": [rows.shape[1]], "names": names}


def _info(version, episodes, names, fps, size, codec):
    features = {
        key: _feature(episodes[0][key], names.get(key))
        for key in episodes[0]
        if key not in ("stamps", "task")
    }
    features[TOP] = {
        "dtype": "video",
        "shape": [*size, 3],
        "names": ["height", "width", "channel"],
        "info": {"video.codec": codec},
    }
    for key in ("timestamp", "episode_index", "frame_index", "index", "task_index"):
        kind = "float32" if key == "timestamp" else "int64"
        features[key] = {"dtype": kind, "shape": [1], "names": None}
    return {
        "codebase_version": version,
        "robot_type": "mine",
        "total_episodes": len(episodes),
        "chunks_size": 1000,
        "fps": fps,
        "features": features,
    }


NAMES = {
    "observation.state": JOINTS,
    "action": [*(f"{name}_vel" for name in JOINTS), "gripper"],
}


def _table(number, episode, task_index, first):
    length = len(episode["stamps"])
    numbers = {
        key: pa.array(np.asarray(rows, np.float32).tolist(), pa.list_(pa.float32(), rows.shape[1]))
        for key, rows in episode.items()
        if key not in ("stamps", "task")
    }
    return pa.table(
        {
            **numbers,
            "timestamp": pa.array(np.asarray(episode["stamps"], np.float32)),
            "frame_index": pa.array(np.arange(length)),
            "episode_index": pa.array(np.full(length, number)),
            "index": pa.array(first + np.arange(length)),
            "task_index": pa.array(np.full(length, task_index)),
        }
    )


def lerobot_v21(folder, episodes, names=NAMES, codec="mpeg4", fps=FPS, size=SIZE):
    """A folder of LeRobot v2.1: a parquet file and a video an episode."""
    folder = Path(folder)
    info = _info("v2.1", episodes, names, fps, size, codec)
    place = "chunk-{episode_chunk:03d}"
    info["data_path"] = f"data/{place}/episode_{{episode_index:06d}}.parquet"
    info["video_path"] = f"videos/{place}/{{video_key}}/episode_{{episode_index:06d}}.mp4"
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    tasks = sorted({episode["task"] for episode in episodes})
    lines = [json.dumps({"task_index": k, "task": task}) for k, task in enumerate(tasks)]
    (folder / "meta/tasks.jsonl").write_text("\n".join(lines))
    lines, first = [], 0
    for number, episode in enumerate(episodes):
        length, spot = len(episode["stamps"]), {"episode_chunk": 0, "episode_index": number}
        lines.append({"episode_index": number, "tasks": [episode["task"]], "length": length})
        file = folder / info["data_path"].format(**spot)
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(number, episode, tasks.index(episode["task"]), first), file)
        video = folder / info["video_path"].format(video_key=TOP, **spot)
        write_video(video, range(length), codec, fps, size)
        first += length
    text = "\n".join(json.dumps(line) for line in lines)
    (folder / "meta/episodes.jsonl").write_text(text)
    return folder


def lerobot_v30(folder, episodes, names=NAMES, codec="mpeg4", fps=FPS, size=SIZE):
    """A folder of LeRobot v3.0: all episodes in one parquet file and one video."""
    folder = Path(folder)
    info = _info("v3.0", episodes, names, fps, size, codec)
    place = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    info["data_path"], info["video_path"] = (
        f"data/{place}.parquet",
        f"videos/{{video_key}}/{place}.mp4",
    )
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    tasks = sorted({episode["task"] for episode in episodes})
    pq.write_table(
        pa.table({"task_index": list(range(len(tasks))), "task": tasks}),
        folder / "meta/tasks.parquet",
    )
    rows, tables, first = [], [], 0
    for number, episode in enumerate(episodes):
        length = len(episode["stamps"])
        tables.append(_table(number, episode, tasks.index(episode["task"]), first))
        place = {"chunk_index": 0, "file_index": 0}
        rows.append(
            {
                "episode_index": number,
                "tasks": [episode["task"]],
                "length": length,
                **{f"data/{key}": value for key, value in place.items()},
                **{f"videos/{TOP}/{key}": value for key, value in place.items()},
                f"videos/{TOP}/from_timestamp": first / fps,
                f"videos/{TOP}/to_timestamp": (first + length) / fps,
            }
        )
        first += length
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    file = folder / "data/chunk-000/file-000.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), file)
    shades = np.concatenate([np.arange(len(episode["stamps"])) for episode in episodes])
    write_video(folder / f"videos/{TOP}/chunk-000/file-000.mp4", shades, codec, fps, size)
    return folder
