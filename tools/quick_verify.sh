#!/bin/bash
# usage: tools/quick_verify.sh MODEL [OPTIONS of quamba generate]
# Runs up to the scan of one layer twice and compares the hashes of the convolution's output, u, dt,
# B, C and y.  Status 1 when one differs or is missing.
set -u
[ $# -ge 1 ] || { sed -n 's/^# //p' "$0" | head -n 3 >&2; exit 2; }
quamba=${QUAMBA:-${BUILD:-build}/quamba}
hashes() {
    "$quamba" generate --prompt "Quick verify reads this line twice." --max-tokens 1 --quick-verify "$@" 2>&1 >/dev/null |
        sed -n 's/^quick verify: //p'
}
one=$(hashes "$@")
two=$(hashes "$@")
for name in conv_out u dt B C y; do
    line=$(grep -E "^layer [0-9]+ $name [0-9a-f]{16}\$" <<<"$one") || { echo "quick verify: no hash of $name"; exit 1; }
    grep -qxF -- "$line" <<<"$two" || { echo "quick verify: $line in the first run only"; exit 1; }
    echo "$line: equal"
done
