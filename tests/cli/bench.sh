#!/bin/bash
# quamba bench: what a random model is and how large, in every kind; refusals.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
short=(--prompt-len 2 --gen-len 1 --repeat 1)

# sizes MODE FORMAT WEIGHTS PER_TOKEN STATE OPTIONS...: of the 130m shape, in bytes.
sizes() {
    local want="\"mode\": \"$1\", \"weight_format\": \"$2\", \"weights_bytes\": $3, \"bytes_per_token\": $4, \"state_bytes\": $5,"
    shift 5
    "$QUAMBA" bench --shape 130m "${short[@]}" --json "$@" > "$dir/out" 2> "$dir/err" || fail "$*: $(cat "$dir/err")"
    local got
    got=$(grep -E '"(mode|weight_format|weights_bytes|bytes_per_token|state_bytes)":' "$dir/out" | tr -s ' \n' ' ')
    [ "$got" = " $want " ] || fail "$*: got $got, expected $want"
}

# refuse PATTERN OPTIONS...: status 2, one line "quamba: ..." on stderr that matches.
refuse() {
    local pattern=$1 got
    shift
    "$QUAMBA" bench "${short[@]}" "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    [ "$got" = 2 ] || fail "$*: status $got, expected 2"
    grep -Eq "^quamba: .*$pattern" "$dir/err" || fail "$*: $(cat "$dir/err") does not match $pattern"
}

# 24 layers of 3735552 codes in matrices and 125952 bytes of vectors; head and embedding 50280 x 768,
# the embedding with a scale per row; state: 24 x 1536 channels of 4 codes and 16 floats.
layers=$((24 * (3735552 + 125952) + 768 * 4))
matrix=$((50280 * 768))
state=$((24 * 1536 * (4 + 16 * 4)))
sizes 0 i8 $((layers + 2 * matrix + 50280 * 4)) $((layers + matrix + state)) $state
sizes 0 i8 $((layers + 3 * matrix)) $((layers + matrix + state)) $state --no-quantize-embedding
sizes 0 i8 $((layers + 2 * matrix)) $((layers + 2 * matrix + state)) $state --no-quantize-embedding --no-quantize-lm-head
sizes 3 i8 $((layers + 3 * matrix + 50280 * 4)) $((layers + 2 * matrix + state)) $state --mode 3 --no-quantize-lm-head \
    --w-bits 8 --a-bits 8
# half matrices; the convolution's weight is four floats instead of codes
layers=$((24 * (2 * 3735552 + 125952 + 3 * 4 * 1536) + 768 * 4))
state=$((24 * 1536 * (4 + 16) * 4))
sizes fp32 f16 $((layers + 2 * matrix)) $((layers + 2 * matrix + state)) $state --mode fp32

refuse "--w-bits 4 with --a-bits 8 is not supported yet" --shape 130m --w-bits 4
refuse "--w-bits 8 with --a-bits 16 is not supported yet" --shape 130m --mode 2-4 --a-bits 16
refuse "--w-bits says how to quantize, mode fp16 does not" --shape 130m --mode fp16 --w-bits 8
refuse "--no-quantize-lm-head is for --shape" --no-quantize-lm-head "$QUAMBA_SOURCE_DIR/models/demo"
refuse "--datapath and --outlier-scales need a MODEL" --shape 130m --datapath u=val
refuse "either a MODEL or --shape" --shape 130m "$QUAMBA_SOURCE_DIR/models/demo"
refuse "either a MODEL or --shape"

finish
