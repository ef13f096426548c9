#!/usr/bin/env bash
# Write requirements.lock (what `make demo` installs) and requirements-dev.lock (what `make test` adds) from the
# lists in setup.py, for Linux x86_64 and every Python that has wheels of all of them. Versions already in the
# locks stay unless UPGRADE=1. Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" vilp_ros.egg-info' EXIT

cat >"$scratch/constraints" <<EOF
torch==2.13.0
EOF
# robosuite asks for pynput to read a keyboard; evdev, below it, exists as source only and needs a compiler.
cat >"$scratch/overrides" <<EOF
pynput; sys_platform == 'never'
EOF
[ -n "${UPGRADE-}" ] || cat requirements.lock requirements-dev.lock >"$scratch/all" 2>/dev/null || true

resolve() { # resolve OUTPUT ARGUMENTS...
    local output=$1
    shift
    uv pip compile setup.py --universal --python-version 3.10 \
        --constraint "$scratch/constraints" --override "$scratch/overrides" \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL" --index-strategy unsafe-best-match} \
        --quiet --no-annotate --no-header --output-file "$output" "$@"
}

# Of the markers only Python versions inside the range say something; +cpu goes, the index decides; torch itself
# names the GPU libraries it wants.
plain() {
    grep -vE '^(nvidia|cuda|triton)[a-z0-9-]*==' "$1" | sed -E "
        s/^(torch==[0-9.]+)[^;]*(;.*)?/\1/
        s/ ;.*(python_full_version (<|>=|==) '3\.1[12][.*]*').*/ ; \1/; t
        s/ ;.*//" | uniq
}

header() {
    echo "# Written by tools/lock.sh from setup.py: change that, then \`make lock\`."
    echo "# Complete: install it with --no-deps. Python 3.10 to 3.12, Linux x86_64, wheels only."
}

resolve "$scratch/all" --extra ros --extra dev
resolve "$scratch/run" --extra ros --constraint "$scratch/all"
{ header; plain "$scratch/run"; } >requirements.lock
{ header; comm -13 <(plain "$scratch/run" | sort) <(plain "$scratch/all" | sort); } >requirements-dev.lock

# Nobody who types `make demo` has a compiler: what exists only as source fails here, pure Python excepted.
uv pip compile requirements.lock requirements-dev.lock --no-deps --only-binary :all: --no-binary empy \
    --universal --python-version 3.10 --quiet >/dev/null
