#!/bin/bash
# Builds everything for 64-bit ARM into build-aarch64, with Debian's cross compiler; programs and
# tests of it run under qemu-user:
#     tools/aarch64.sh && cd build-aarch64 && ctest -R 'checkkern|unit_forward'
# The libraries come from Debian's arm64 archive and are unpacked to build-aarch64/libraries: nothing
# is installed, and this machine's own package lists stay as they are.  Status 77: something is missing.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for need in aarch64-linux-gnu-gcc qemu-aarch64 apt-get dpkg; do
    command -v $need >/dev/null || { echo "SKIPPED: building for AArch64 needs $need (tools/setup.sh --check)"; exit 77; }
done

libraries=$PWD/build-aarch64/libraries
if ! [ -e "$libraries/complete" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$libraries" "$work/lists/partial" "$work/cache/archives/partial"
    arm64=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status=/dev/null
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::Languages=none
        -o APT::Sandbox::User=root)
    (cd "$work" && "${arm64[@]}" update && "${arm64[@]}" download libjansson-dev libjansson4 \
        libpcre2-dev libpcre2-8-0 libutf8proc-dev libutf8proc2 libcmocka-dev libcmocka0) ||
        { echo "SKIPPED: Debian's arm64 packages cannot be fetched"; exit 77; }
    for package in "$work"/*.deb; do
        dpkg -x "$package" "$libraries"
    done
    touch "$libraries/complete"
fi
cmake -S . -B build-aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake --log-level=NOTICE -DQUAMBA_WERROR=ON \
    -DQUAMBA_SHARED_DIR="$libraries/none" "$@" # whole reference models would take hours
cmake --build build-aarch64 -j "${JOBS:-2}"
