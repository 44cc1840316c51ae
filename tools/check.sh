#!/bin/bash
# `make check`: what every commit must pass, in two minutes at most.  Called with the build made.
# tools/check_full.sh sources this file and goes on.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${BUILD:-build}")
jobs=${JOBS:-2}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

# step NAME COMMAND...: runs it, shows one line, and what it printed when it failed
step() {
    local name=$1 start=$SECONDS
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        printf 'ok      %-44s %4ds\n' "$name" $((SECONDS - start))
        grep -hE 'SKIPPED|\*\*\*Skipped' "$log" | sed 's/^/        /' | sort -u | head -n 20
    else
        printf 'FAILED  %-44s %4ds\n' "$name" $((SECONDS - start))
        tail -n 80 "$log" | sed 's/^/        /'
        failed+=("$name")
    fi
}

verdict() {
    if [ ${#failed[@]} = 0 ]; then
        echo "$1: all passed, ${SECONDS}s"
    else
        printf '%s: %d failed:\n' "$1" ${#failed[@]}
        printf '    %s\n' "${failed[@]}"
        exit 1
    fi
}

run_ctest() { (cd "$1" && shift && ctest --output-on-failure -j "$jobs" "$@"); }

# Every public header alone, in both languages and with both compilers where they are.
headers_alone() {
    local header compiler
    for header in include/quamba/*.h; do
        for compiler in gcc clang; do
            command -v $compiler >/dev/null || { echo "SKIPPED: no $compiler"; continue; }
            $compiler -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c "$header" ||
                return 1
        done
        for compiler in g++ clang++; do
            command -v $compiler >/dev/null || { echo "SKIPPED: no $compiler"; continue; }
            $compiler -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only \
                -x c++ "$header" || return 1
        done
    done
}

formatted() {
    git ls-files -- '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

shell_scripts() {
    local file
    for file in tools/*.sh tests/cli/*.sh tests/full/*.sh .ci/run; do
        [ ! -e "$file" ] || bash -n "$file" || return 1
    done
}

step "tests" run_ctest "$build"
step "layers: no include points up or sideways" tools/check_layers.sh
step "symbols of the library" tools/check_symbols.sh "$build"
step "public headers alone, C11 and C++" headers_alone
step "clang-format" formatted
step "shell scripts parse" shell_scripts
[ "${BASH_SOURCE[0]}" != "$0" ] || verdict "make check"
