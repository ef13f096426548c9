# To be sourced at the root of the checkout, by what runs in an environment of its own beside .venv. Nothing of a sourced
# ROS 2, or of a parent that runs in .venv, gets into it.
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

# side_venv FOLDER WORDS...: makes the environment on the first call; each WORDS is what one `pip install` is told.
side_venv() {
    local folder=$1 words
    [ ! -e "$folder/ready" ] || return 0
    printf 'building %s\n' "$folder" >&2
    "${PYTHON:-$(command -v .venv/bin/python || command -v python3)}" -m venv "$folder"
    for words in "${@:2}"; do
        # shellcheck disable=SC2086
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $words
    done
    touch "$folder/ready"
}
