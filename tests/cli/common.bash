# What the tests of the program have in common:
#     . "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"     at the start, `finish` at the end.
set -u
unset QUAMBA_MODE QUAMBA_CPU
dir=$(mktemp -d) || exit 1 # what a test writes; goes at the end, as do jobs that still run
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT

failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
finish() {
    [ "$failures" = 0 ] || echo "$failures failures"
    exit $((failures > 0))
}

# ends STATUS PATTERN COMMAND...: so does the command end, and the extended regular expression is
# in what it says.  $dir/out and $dir/err stay.
ends() {
    local want=$1 pattern=$2 got
    shift 2
    "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    if [ "$got" = "$want" ]; then
        [ -n "$pattern" ] || return 0
        cat "$dir/out" "$dir/err" | grep -Eq -e "$pattern" && return
    fi
    cat "$dir/out" "$dir/err"
    fail "$*: status $got, wanted $want and $pattern"
}

# A file of activation scales for the demo model: made up, for tests that do not care for numbers.
made_up_scales() {
    local layer key
    printf '['
    for layer in $(seq 24); do
        printf '{'
        for key in dt_proj:output in_proj:input in_proj:output out_proj:input ssm_state_act:input x_proj:input; do
            printf '"%s": {"value": 0.0%s}, ' "$key" "$layer"
        done
        printf '"x_proj:output": {"value": 0.0625, "f32": "0000803d"}}, '
    done
    printf '{"lm_head:input": {"value": 0.04}}]'
}
