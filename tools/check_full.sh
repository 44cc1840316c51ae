#!/bin/bash
# `make check-full`: everything of `make check`, then both compilers with warnings as errors, the
# sanitizers, every instruction set, the fuzz targets, the exhaustive tests and tests/full/*.sh.
# FUZZ_SECONDS (20) is the length of a fuzz run per target.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/check.sh

preset() { # preset NAME: configure and build
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"
}
preset_tests() { preset "$1" && run_ctest "build-$1"; }

# Names of the instruction sets, from the one list there is; those this processor lacks are skipped.
cpu_names() { sed -n '/define QM_ISA_LIST/,/^$/s/.*X([A-Z0-9_]*, "\(.*\)").*/\1/p' src/kernels/cpu.h; }

# The tests of the program once more, held to one instruction set: no result may depend on it.
each_cpu() {
    if QUAMBA_CPU=$1 "$build/quamba" generate models/demo --prompt Once --max-tokens 1 2>&1 |
        grep "this processor lacks it"; then
        echo "SKIPPED: this processor has no $1"
        return 0
    fi
    local without='checks|install'
    # Plain C would score whole sets for an hour; eval.sh compares its items by itself.
    [ "$1" != scalar ] || without+='|eval'
    QUAMBA_CPU=$1 run_ctest "$build" -R '^cli_' -E "^cli_($without)\$"
}

# A short run from a copy of the corpus, so that the corpus in the tree does not grow by itself.
fuzz() {
    local target=$1 subject=${1#fuzz_} work status
    work=$(mktemp -d)
    cp -r "tests/fuzz/corpus/$subject/." "$work"
    (cd "$work" && "$OLDPWD/build-fuzz/tests/$target" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 \
        -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 .)
    status=$?
    [ $status = 0 ] || cp "$work"/crash-* "$work"/oom-* "$work"/timeout-* build-fuzz/ 2>/dev/null
    rm -rf "$work"
    return $status
}

hardware() { BUILD=$build tools/check_hw.sh || [ $? = 77 ]; }

full_test() { # as ctest runs a test; 77 is skipped, and said so
    QUAMBA=$build/quamba QUAMBA_SOURCE_DIR=$PWD QUAMBA_BUILD_DIR=$build \
        QUAMBA_SHARED_DIR=${QUAMBA_SHARED_DIR:-$PWD/../shared} bash "$1" || [ $? = 77 ]
}

step "gcc, warnings are errors: tests" preset_tests gcc
step "clang, warnings are errors: tests" preset_tests clang
step "address and undefined sanitizers: tests" preset_tests asan
for cpu in $(cpu_names); do
    step "--cpu $cpu: tests of the program" each_cpu "$cpu"
done
step "exp, log and their kin over every float" env QUAMBA_EXHAUSTIVE=1 "$build/tests/test_fmath"
step "kernels over every float" "$build/tests/checkkern" --exhaustive
step "hardware example: all vectors, both simulators" hardware
step "fuzz targets build" preset fuzz
for source in tests/fuzz/fuzz_*.c; do
    [ ! -e "$source" ] || step "$(basename "$source" .c), ${FUZZ_SECONDS:-20}s" fuzz "$(basename "$source" .c)"
done
for script in tests/full/*.sh; do
    [ ! -e "$script" ] || step "$script" full_test "$script"
done
verdict "make check-full"
