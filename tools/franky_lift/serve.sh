#!/usr/bin/env bash
# A simulated FR3 with a cube in front of it and two cameras: franky-sim, which speaks libfranka's protocol and, other
# than franka-sim, enforces no limits. Its own environment is built on the first call.
#   tools/franky_lift/serve.sh FOLDER [127.0.0.1]   serve until Ctrl-C; what FOLDER gets: see serve.py
#   tools/franky_lift/serve.sh setup                only build .venv-franky-sim
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/side_venv.sh
env=.venv-franky-sim
# One MuJoCo in both environments: the scene is written by one and drawn by the other.
side_venv $env "franky-sim==1.0.4 mujoco==3.9.0"
[ "${1-}" != setup ] || exit 0

exec $env/bin/python tools/franky_lift/serve.py "$@"
