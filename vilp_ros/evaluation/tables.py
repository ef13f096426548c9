"""What `vilp eval` prints: tables for people, from the reports that go into JSON files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table


def plain_table(title: str, columns: Sequence[str]) -> Table:
    """An empty table."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def reconstruction_table(report: dict[str, Any]) -> Table:
    """Of `probes.reconstruction`."""
    table = plain_table(
        f"reconstruction on {report['episodes']} held-out episodes of {report['task']}:\n"
        "all pixels / what moves / around the object",
        ("view", "drawn by", "PSNR dB", "SSIM", "frames"),
    )
    for view, r in report.items():
        if isinstance(r, dict):
            for name, row in (("autoencoder", r), ("median image", r["median_image"])):
                seen = f"{r['frames_with_object']}/{r['frames']}"
                table.add_row(view, name, *_likeness(row), seen)
    return table


def idm_table(report: dict[str, Any]) -> Table:
    """Of `probes.idm_error`."""
    table = plain_table(
        f"action error on {report['pairs']} held-out pairs of {report['task']}, p50 / p99",
        ("actions from", "position mm", "rotation deg", "gripper right"),
    )
    for name, label in (("idm", "inverse dynamics"), ("next_pose", "next recorded pose")):
        row = report[name]
        errors = (row["position_mm"], row["rotation_deg"])
        shown = (f"{e['p50']:.2f} / {e['p99']:.2f}" for e in errors)
        table.add_row(label, *shown, f"{100 * row['gripper_accuracy']:.1f} %")
    return table


def actions_table(report: dict[str, Any]) -> Table:
    """Of `open_loop.open_loop`."""
    count = report["n_action_steps"]
    table = plain_table(
        f"actions on {report['episodes']} held-out episodes of {report['task']}, {report['plans']} "
        f"plans:\nmean error of the first {count} actions / of the last of them",
        ("actions from", "position mm", "rotation deg", "gripper right"),
    )
    for name, row in report["rows"].items():
        shown = (
            f"{row[key]['mean']:.1f} / {row['last'][key]['mean']:.1f}"
            for key in ("position_mm", "rotation_deg")
        )
        table.add_row(name, *shown, f"{100 * row['gripper_accuracy']:.1f} %")
    return table


def video_table(report: dict[str, Any]) -> Table:
    """Of `video.video`."""
    first, last = report["ahead_s"][0], report["ahead_s"][-1]
    table = plain_table(
        f"{report['plans']} plans on held-out episodes of {report['task']}, {first:.2g} to "
        f"{last:.2g} s ahead:\n"
        "all pixels / what moves / around the object; last: all pixels at the end",
        ("view", "frames", "PSNR dB", "last", "SSIM", "motion", "step"),
    )
    for view, rows in report["views"].items():
        for source, row in rows.items():
            step = f"{row['frame_to_frame_l2']:.1f}"
            if source == "real":
                table.add_row(view, source, "", "", "", "1.00", step)
                continue
            psnr, ssim = _likeness(row)
            last_psnr = _number(row["by_frame"][-1]["psnr_db"], 1)
            table.add_row(view, source, psnr, last_psnr, ssim, f"{row['motion_ratio']:.2f}", step)
    return table


def alignment_line(report: dict[str, Any]) -> str:
    """Of `alignment.alignment`, in words."""
    apart = report["alignment"]
    if apart is None:
        return "one view: nothing to align"
    ms = {name: f"{1e3 * value:.0f} ms" for name, value in apart.items()}
    return (
        f"views apart in time by {ms['apart_s']}; with a view from another imagination of the same "
        f"observation {ms['other_imagination_s']}, from another plan {ms['other_plan_s']}; off "
        f"their own time by {ms['error_s']}"
    )


def gap_table(report: dict[str, Any]) -> Table:
    """Of `foresight.foretell`."""
    table = plain_table(
        f"does the imagination gap foretell failure? {report['failures']} of "
        f"{report['episodes']} episodes failed;\n"
        "measured in the first half of each episode, and in equal time of all",
        ("gap of", "measured on", "AUROC [95 %]", "success", "failure"),
    )
    windows = {"first_half": "first half", "equal_time": "equal time"}
    for key, label in windows.items():
        for measure, row in (report[key] or {}).items():
            means = (row["mean_success"], row["mean_failure"])
            table.add_row(measure, label, _area(row), *(_number(mean, 2) for mean in means))
    return table


def alarm_table(report: dict[str, Any]) -> Table:
    """Of `foresight.alarm`."""
    table = plain_table(
        "does it tell another scene at the first replans?\n"
        "threshold from half of the usual episodes, false alarms in the other half",
        ("measure", "threshold", "false alarms", "scenes told", "of those that failed"),
    )
    for measure, row in report["alarm"].items():
        table.add_row(
            measure,
            f"{row['threshold']:.2f}",
            f"{row['false_alarms']}/{row['usual']}",
            f"{row['told']}/{row['varied']}",
            f"{row['told_of_failures']}/{row['failures']}",
        )
    return table


def _area(row: dict[str, Any]) -> str:
    if row["auroc"] is None:
        return "one outcome only"
    if row["interval_95"] is None:
        return f"{row['auroc']:.2f} [too few]"
    low, high = row["interval_95"]
    return f"{row['auroc']:.2f} [{low:.2f}, {high:.2f}]"


def _likeness(row: dict[str, Any]) -> tuple[str, str]:
    """PSNR and SSIM, each of all pixels / what moves / around the object."""
    regions = ("", "_moving", "_object")
    return (
        "/".join(_number(row[f"psnr{end}_db"], 1) for end in regions),
        "/".join(_number(row[f"ssim{end}"], 2).lstrip("0") for end in regions),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
