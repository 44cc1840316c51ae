#!/bin/bash
# The check scripts pass on the tree as it is and fail on each fault they are there to find.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
tools=$QUAMBA_SOURCE_DIR/tools

# ---- layers ------------------------------------------------------------------------------------
"$tools/check_layers.sh" "$QUAMBA_SOURCE_DIR" || fail "check_layers.sh on the tree itself"

layers() { # layers STATUS FILE INCLUDE-LINE: a tree with one file of one line
    rm -rf "$dir/tree"
    mkdir -p "$dir/tree/include/quamba" "$dir/tree/src/base" "$dir/tree/hw" \
        "$dir/tree/$(dirname "$2")"
    echo '#include <stddef.h>' >"$dir/tree/src/base/good.h"
    echo "$3" >"$dir/tree/$2"
    "$tools/check_layers.sh" "$dir/tree" >"$dir/out" 2>&1
    local status=$?
    [ "$status" = "$1" ] || { cat "$dir/out"; fail "check_layers.sh: $2 with $3: status $status"; }
    [ "$1" = 0 ] || grep -q "^$2:1: " "$dir/out" || fail "check_layers.sh does not name $2:1"
}
layers 0 src/model/a.c '#include "base/good.h"'
layers 0 src/model/a.c '#include "model/b.h"'
layers 0 src/kernels/avx2/a.c '#include "kernels/kernels.h"'
layers 0 src/base/a.c '#include "quamba/quamba.h"'
layers 0 src/cli/a.c '#include "eval/eval.h"'
layers 0 hw/op/a.h '#include "base/good.h"'
layers 0 src/kernels/scalar/a.c '#include "op/a.h"'
layers 0 hw/hls/a.c '#include "op/a.h"'
layers 1 src/base/a.h '#include "op/a.h"'
layers 1 hw/op/a.h '#include "kernels/kernels.h"'
layers 1 hw/attic/a.h '#include "base/good.h"'
layers 1 src/base/a.h '#include "model/model.h"'        # up
layers 1 src/format/a.c '#include "tokenizer/bpe.h"'    # sideways
layers 1 src/kernels/avx2/a.c '  #  include "cli/cli.h"' # up, oddly written
layers 1 src/model/a.c '#include <base/good.h>'         # ours, in angle brackets
layers 1 src/model/a.c '#include "good.h"'              # no room
layers 1 src/model/a.c '#include "../base/good.h"'
layers 1 src/attic/a.c '#include "base/good.h"'         # a room the table does not know
layers 1 include/quamba/a.h '#include "base/good.h"'    # the public API shows nothing of ours

# ---- symbols: a library of one file -------------------------------------------------------------
cc=${CC:-cc}
command -v "$cc" >/dev/null || { echo "SKIPPED: the symbol checks need a C compiler named cc"; exit 77; }
declared='const char *quamba_version(void) { return 0; }'
symbols() { # symbols STATUS WORD CODE [DECLARED]: WORD must be in the complaint
    rm -rf "$dir/lib" "$dir/tree"
    mkdir -p "$dir/lib/src" "$dir/tree/src/cli" "$dir/tree/include/quamba"
    echo 'char *getenv(const char *);' >"$dir/tree/src/cli/env.c"
    echo "QUAMBA_API const char *quamba_version(void);" >"$dir/tree/include/quamba/quamba.h"
    printf '%s\n%s\n' "$3" "${4-$declared}" >"$dir/tree/src/a.c"
    "$cc" -O1 -fPIC -c "$dir/tree/src/a.c" -o "$dir/lib/a.o" &&
        ar rcs "$dir/lib/src/libquamba.a" "$dir/lib/a.o" &&
        "$cc" -shared -o "$dir/lib/src/libquamba.so" "$dir/lib/a.o" || { fail "cc: $3"; return; }
    "$tools/check_symbols.sh" "$dir/lib" "$dir/tree" >"$dir/out" 2>&1
    local status=$?
    [ "$status" = "$1" ] && { [ "$1" = 0 ] || grep -q "$2" "$dir/out"; } ||
        { cat "$dir/out"; fail "check_symbols.sh on: $3: status $status"; }
}
symbols 0 '' 'int quamba_add(int a) { return a + 1; }'
symbols 0 '' 'static const char *const names[] = {"a", "b"};
              const char *quamba_name(int i) { return names[i]; }'
symbols 0 '' '#include <stdio.h>
              int quamba_text(char *s, int n, int i) { return snprintf(s, n, "%d", i); }'
symbols 0 '' '#include <math.h>
              float quamba_root(float x) { return fmaf(x, x, floorf(x)); }'
symbols 1 expf '#include <math.h>
                float quamba_exp(float x) { return expf(x); }'
symbols 1 pow '#include <math.h>
               double quamba_pow(double x) { return pow(x, x); }'
symbols 1 quamba_version 'int quamba_other(void) { return 1; }' ''
symbols 1 qm_leak 'int qm_leak(int a) { return a + 1; }'
symbols 1 counter 'static int counter; int quamba_count(void) { return ++counter; }'
symbols 1 table 'static int table[2] = {1, 2}; int *quamba_table(void) { return table; }'
symbols 1 local 'static _Thread_local int local; int *quamba_local(void) { return &local; }'
symbols 1 printf '#include <stdio.h>
                  void quamba_say(int i) { printf("%d\n", i); }'
symbols 1 stderr '#include <stdio.h>
                  void quamba_say(int i) { fprintf(stderr, "%d\n", i); }'
symbols 1 abort '#include <stdlib.h>
                 void quamba_die(void) { abort(); }'
symbols 1 src/a.c:2 '#include <stdlib.h>
                     const char *quamba_home(void) { return getenv("HOME"); }'
finish
