#!/bin/sh
# Runs lines "NAME EVAL-ARGUMENTS" from stdin, as many side by side as there are cores; what an eval
# prints goes to WORK_DIR/json/NAME.json, which, once there, is not made again.
#     tools/run_jobs.sh WORK_DIR <JOBS          environment: QUAMBA, the program
export work="$1"
# shellcheck disable=SC2016 # expanded by the inner shell
exec xargs -P "$(nproc)" -L 1 sh -c '
    name=$1; shift
    [ -f "$work/json/$name.json" ] && exit 0
    if "$QUAMBA" eval "$@" >"$work/json/$name.part" 2>"$work/json/$name.err"; then
        mv "$work/json/$name.part" "$work/json/$name.json"
        echo "done: $name"
    else
        echo "failed: $name"; cat "$work/json/$name.err"; exit 1
    fi' sh
