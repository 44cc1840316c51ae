#!/bin/bash
# `make bench`: every kernel and the whole model, with what is needed to compare two runs.
# Other work on the machine shows in the spread; differences under about 2 % are noise.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD:-build}
echo "commit    $(git describe --always --dirty 2>/dev/null || echo unknown)"
echo "processor $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) used"
cache() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
echo "compiler  $("$(cache CMAKE_C_COMPILER)" --version | head -n 1), $(cache CMAKE_BUILD_TYPE)"
for model in models/demo "--shape 130m"; do
    printf '\n$ quamba bench %s\n' "$model"
    # shellcheck disable=SC2086 # an option and its value
    "$build/quamba" bench $model --per-operator
done
printf '\n$ checkkern --bench\n'
"$build/tests/checkkern" --bench
