"""`--cluster`, of the verbs whose work many machines may share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from vilp_ros.cluster import Cluster


def add_cluster(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the arguments that name a cluster; `what` is a task there."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help=f"share the work on a Ray cluster, {what} a task: HOST:PORT of its head, or auto",
    )
    parser.add_argument(
        "--cluster-gpus",
        type=float,
        metavar="SHARE",
        default=0.0,
        help="of a GPU that a task on the cluster takes; without, it sees none (0)",
    )


@contextmanager
def on_cluster(args: argparse.Namespace, unit: str, cpus: int = 1) -> Iterator[Cluster | None]:
    """The cluster that was named, or None; when all is done a line says what each node did.

    Args:
        args: of `add_cluster`.
        unit: what a task is, in the plural.
        cpus: that a task takes.
    """
    if args.cluster is None:
        yield None
        return
    with Cluster(args.cluster, cpus, args.cluster_gpus) as cluster:
        yield cluster
        print(cluster.summary(unit))
