#!/bin/bash
# Installs into a temporary prefix and uses the installed tree as a stranger would: the header alone,
# examples/generate.c by pkg-config against the shared and the static library, the manual pages.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
skip() { echo "SKIPPED: $*"; }

prefix=$dir/usr
cmake --install "$QUAMBA_BUILD_DIR" --prefix "$prefix" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }

cache() { sed -n "s/^$1:[A-Z]*=//p" "$QUAMBA_BUILD_DIR/CMakeCache.txt"; }
cc=$(cache CMAKE_C_COMPILER)
libdir=$prefix/$(cache CMAKE_INSTALL_LIBDIR)
sanitize=
[ "$(cache QUAMBA_SANITIZE)" != ON ] || sanitize=-fsanitize=address,undefined
export PKG_CONFIG_PATH=$libdir/pkgconfig

# ---- what is there ------------------------------------------------------------------------------
for file in bin/quamba include/quamba/quamba.h share/man/man1/quamba.1 share/man/man1/quamba-eval.1; do
    [ -s "$prefix/$file" ] || fail "not installed: $file"
done
for name in libquamba.a libquamba.so quamba.pc LICENSE README.md generate.c; do
    [ -n "$(find "$prefix" -name "$name" -size +0)" ] || fail "not installed: $name"
done
version=$("$prefix/bin/quamba" --version) || fail "the installed program does not run"
[ "$version" = "quamba $(pkg-config --modversion quamba)" ] || fail "quamba.pc is not of $version"
if command -v mandoc >/dev/null; then
    for page in "$prefix"/share/man/man1/*.1; do
        mandoc -T lint -W warning "$page" >"$dir/log" || { cat "$dir/log"; fail "mandoc: $page"; }
    done
else
    skip "the manual pages are not checked: no mandoc"
fi

# ---- the header alone ---------------------------------------------------------------------------
echo '#include <quamba/quamba.h>' >"$dir/alone.c"
cp "$dir/alone.c" "$dir/alone.cpp"
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags quamba) \
    -c "$dir/alone.c" -o "$dir/alone.o" || fail "quamba.h alone as C11"
cxx=$(command -v g++ || command -v clang++) || cxx=
if [ -n "$cxx" ]; then
    "$cxx" -std=c++11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags quamba) \
        -c "$dir/alone.cpp" -o "$dir/alone.o" || fail "quamba.h alone as C++"
else
    skip "quamba.h is not tried as C++: no g++ and no clang++"
fi

# ---- the example --------------------------------------------------------------------------------
build() { # build NAME FLAGS...
    local name=$1
    shift
    "$cc" -std=c11 -Wall -Wextra -Werror $sanitize "$QUAMBA_SOURCE_DIR/examples/generate.c" \
        -o "$dir/$name" "$@" || { fail "examples/generate.c does not build: $name"; return 1; }
    "$dir/$name" "$QUAMBA_SOURCE_DIR/models/demo" "Once upon a time" 20 >"$dir/$name.txt" ||
        { fail "examples/generate.c fails: $name"; return 1; }
    [ "$(wc -c <"$dir/$name.txt")" -gt 40 ] || fail "examples/generate.c says little: $name"
}
export LD_LIBRARY_PATH=$libdir
build shared $(pkg-config --cflags --libs quamba) && {
    "$dir/shared" "$dir/nowhere" "Once" >/dev/null 2>"$dir/log" && fail "no model, and status 0"
    grep -q nowhere "$dir/log" || fail "the error does not name the model"
}
unset LD_LIBRARY_PATH
if [ -z "$sanitize" ]; then
    rm -f "$libdir"/libquamba.so* # so that -lquamba means the archive
    build static $(pkg-config --cflags --libs --static quamba)
    ! ldd "$dir/static" | grep libquamba || fail "the static example needs the shared library"
    cmp "$dir/shared.txt" "$dir/static.txt" || fail "shared and static library say different things"
else
    skip "the static example, under sanitizers"
fi
finish
