#!/bin/sh
# Installs the Debian packages that the build needs, when one is missing and this user may install.
#     tools/setup.sh            what `make`, `make demo` and `make test` need
#     tools/setup.sh --hw       also the simulators of `make check-hw`
#     tools/setup.sh --check    also what `make check` and `make check-full` need
#     tools/setup.sh --browser  also the browser that opens the page of `quamba compare` (100 MB)
# Silent and instant when everything is there.  Otherwise prints what it does, or, without the
# right to install, the one command to run, and ends with status 1.
set -u

# command, pkg-config or Python module : Debian package
needs="gcc:gcc cmake:cmake make:make pkg-config:pkg-config
pc/jansson:libjansson-dev pc/libpcre2-8:libpcre2-dev pc/libutf8proc:libutf8proc-dev pc/cmocka:libcmocka-dev"
extras="clang:clang clang-format:clang-format g++:g++ file/libomp.so:libomp-dev
file/libclang_rt.fuzzer-*.a:libclang-rt-dev aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu
/usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross qemu-aarch64:qemu-user
py/scipy:python3-scipy"
simulators="verilator:verilator iverilog:iverilog g++:g++"

case "${1:-}" in
'') ;;
--check) needs="$needs $extras $simulators" ;;
--hw) needs="$needs $simulators" ;;
--browser) needs="$needs chromium:chromium" ;;
*) echo "usage: tools/setup.sh [--check|--hw|--browser]" >&2; exit 2 ;;
esac

has() {
    case "$1" in
    /*) [ -e "$1" ] ;;
    pc/*) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "${1#pc/}" ;;
    py/*) # Debian's own python3, whatever else comes first in PATH
        python3 -c "import ${1#py/}" 2>/dev/null || /usr/bin/python3 -c "import ${1#py/}" 2>/dev/null ;;
    file/*) # a file of LLVM's own folders, which no command or module stands for
        [ -n "$(find /usr/lib/llvm-* /usr/lib/clang -name "${1#file/}" 2>/dev/null | head -n 1)" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing() {
    for need in $needs; do
        has "${need%%:*}" || printf ' %s' "${need#*:}"
    done
    # gcc and make bring no C library headers when recommended packages are not installed
    [ -e /usr/include/stdio.h ] || printf ' libc6-dev'
}

packages=$(missing)
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: missing:$packages" >&2
    echo "setup: these are the names of Debian packages; please install what your system calls them" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    echo "setup: missing:$packages" >&2
    echo "setup: please run:  sudo apt-get install$packages" >&2
    exit 1
fi

echo "setup: installing$packages" >&2
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
apt() {
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 "$@" \
        >"$log" 2>&1 </dev/null
}
# shellcheck disable=SC2086 # one word per package is what is wanted
apt update && apt install --no-install-recommends $packages || {
    cat "$log" >&2
    echo "setup: apt-get failed (above); once it works, run:  sudo apt-get install$packages" >&2
    exit 1
}

packages=$(missing)
[ -z "$packages" ] || {
    echo "setup: installed, and still missing:$packages" >&2
    exit 1
}
