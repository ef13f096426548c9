#!/usr/bin/env bash
# Prepare .venv: `setup.sh run` installs what the package needs, `setup.sh dev` adds what its checks need.
#   PYTHON=python3.12        the interpreter; otherwise the first of python3, python3.12, 3.11, 3.10 that fits
#   TORCH_INDEX_URL=URL      where torch comes from; otherwise its CPU index if there is no NVIDIA GPU and the index
#                            answers, else PyPI, whose torch brings gigabytes of CUDA libraries
set -euo pipefail
cd "$(dirname "$0")/.."
CPU_INDEX=https://download.pytorch.org/whl/cpu

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local candidate found=()
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        found+=("$candidate is $("$candidate" --version 2>&1)")
    done
    fail "needs Python 3.10, 3.11 or 3.12 (numpy 1.26 has no wheels for later ones); found: ${found[*]:-none}." \
        "Install one, for example with 'uv python install 3.12', and pass PYTHON=/path/to/python3.12"
}

# Debian packages that are missing, by what their absence would break.
missing_packages() {
    local libraries renderer='libOSMesa\.so'
    # sim/ renders through EGL as well, noisily: good enough for who may not install packages.
    [ "$(id -u)" = 0 ] || renderer+='|libEGL\.so\.1 '
    libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    grep -q 'libGL\.so\.1 ' <<<"$libraries" || echo libgl1              # cv2
    grep -q 'libglib-2\.0\.so\.0 ' <<<"$libraries" || echo libglib2.0-0 # cv2
    grep -qE "$renderer" <<<"$libraries" || echo libosmesa6             # rendering without a screen
    "$1" -c 'import venv, ensurepip' 2>/dev/null || "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

install_packages() {
    local packages
    mapfile -t packages < <(missing_packages "$1")
    ((${#packages[@]})) || return 0
    local command="apt-get install --yes --no-install-recommends ${packages[*]}"
    command -v apt-get >/dev/null || fail "this machine lacks what Debian calls: ${packages[*]}. Install them"
    [ "$(id -u)" = 0 ] || fail "these packages are missing, install them and try again: sudo $command"
    say "installing ${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $command >/dev/null
}

torch_index() {
    if [ -n "${TORCH_INDEX_URL-}" ]; then
        echo "$TORCH_INDEX_URL"
    elif ! nvidia-smi -L >/dev/null 2>&1 && "$1" - "$CPU_INDEX/torch/" 2>/dev/null <<'EOF'; then
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5)
EOF
        echo "$CPU_INDEX"
    fi
}

# pip's report, less the lines that nobody reads.
pip() {
    .venv/bin/python -m pip install --disable-pip-version-check "$@" |
        sed -un 's/^ *Downloading \([^ ]* ([0-9.]* MB)\)$/  \1/p; s/^Installing collected packages.*/  unpacking/p'
}

run() {
    local python index
    python=$(find_python)
    install_packages "$python"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    index=$(torch_index "$python")
    say "installing requirements.lock into .venv (torch from ${index:-PyPI})"
    # The lock is complete. --no-deps keeps out what it leaves out on purpose (tools/lock.sh says what).
    pip --no-deps ${index:+--extra-index-url "$index"} --requirement requirements.lock
    # Nothing to do for the CPU wheel; a CUDA wheel names its libraries itself.
    pip ${index:+--extra-index-url "$index"} --constraint requirements.lock torch
    pip --no-deps --no-build-isolation --editable .
    rm -rf vilp_ros.egg-info # a by-product; what counts lies in .venv
}

dev() {
    say "installing requirements-dev.lock into .venv"
    pip --no-deps --requirement requirements-dev.lock
}

"$@"
