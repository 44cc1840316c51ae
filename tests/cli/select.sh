#!/bin/bash
# Choosing a mode in the program itself: the three routes reach the run, the environment is read,
# warnings and refusals come out as they should.  The rules one by one: tests/unit/test_select.c.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
model=$QUAMBA_SOURCE_DIR/models/demo
made_up_scales >"$dir/scales.json"
"$QUAMBA" quantize --quiet --threads 1 --act-scales "$dir/scales.json" -o "$dir/w8a8" "$model" >/dev/null ||
    { fail "quantize"; exit 1; }

# run STATUS PATTERN [VARIABLE=VALUE...] -- OPTIONS...: `quamba generate` ends so; PATTERN is in what it says
run() {
    local want=$1 pattern=$2 environment=()
    shift 2
    while [ "$1" != -- ]; do environment+=("$1"); shift; done
    shift
    ends "$want" "$pattern" env "${environment[@]}" "$QUAMBA" generate --threads 1 --json --prompt x \
        --max-tokens 1 "$@"
}
silent() { [ ! -s "$dir/err" ] || { cat "$dir/err"; fail "said something"; }; }
q=$dir/w8a8

# ---- every mode by every route -----------------------------------------------------------------
run 0 '"mode": "0"' -- "$q"
routes() { # routes ID VARIABLE...
    local id=$1 variables=()
    shift
    for name in "$@"; do variables+=("$name=true"); done
    run 0 "\"mode\": \"$id\"" -- --mode "$id" "$q" && silent
    run 0 "\"mode\": \"$id\"" "QUAMBA_MODE=$id" -- "$q" && silent
    run 0 "\"mode\": \"$id\"" "${variables[@]}" -- "$q" && silent
    run 0 "\"mode\": \"$id\"" "QUAMBA_MODE=$id" "${variables[@]}" -- --strict-mode --mode "$id" "$q" && silent
}
routes 0
routes 2-0 FLOAT_SIM_ASIC_INT8 SSM_USE_CUDA_FOR_FP32
routes 2-1 FLOAT_SIM_ASIC_INT8 SSM_USE_PYTORCH_INT8
routes 2-2 FLOAT_SIM_ASIC_INT8
routes 2-3 FLOAT_SIM_ASIC_INT8 CONV1D_MODE23_FP32
routes 2-4 FLOAT_SIM_ASIC_INT8 CONV1D_MODE24_FP32
routes 3 CONV1D_MODE3_FP32
run 0 '"mode": "2-4"' CONV1D_MODE24_FP32=true -- --float-sim-asic-int8 "$q" && silent
run 0 '"mode": "2-4"' CONV1D_MODE24_FP32=TRUE -- --float_sim_asic_int8 "$q" && silent
run 0 '"mode": "2-1"' SSM_USE_PYTORCH_INT8=true -- --legacy-env fork "$q" && silent
run 0 '"mode": "2-4@fork"' FLOAT_SIM_ASIC_INT8=true CONV1D_MODE24_FP32=true -- --legacy-env fork "$q" && silent
run 0 '"mode": "4' CONV1D_MODE3_FP32=true CONV1D_MODE4_SELECTIVE_GRID=true -- --legacy-env fork "$q" && silent
run 0 '"mode": "4' FLOAT_SIM_ASIC_INT8=true SSM_USE_CUDA_FOR_FP32=true CONV1D_MODE4_SELECTIVE_GRID=true -- --legacy-env fork "$q" && silent

# ---- warnings ----------------------------------------------------------------------------------
run 0 'warning: --mode chooses mode 2-4, but QUAMBA_MODE names mode 2-1: --mode counts' QUAMBA_MODE=2-1 -- --mode 2-4 "$q"
grep -q '"mode": "2-4"' "$dir/out" || fail "the variable won"
[ "$(wc -l <"$dir/err")" = 1 ] || fail "more than one line"
run 0 'warning: --float-sim-asic-int8 has no effect in mode 3' -- --mode 3 --float-sim-asic-int8 "$q"
run 0 'warning: FLOAT_SIM_ASIC_INT8 is "1", neither true nor false' FLOAT_SIM_ASIC_INT8=1 -- "$q"
run 2 'but QUAMBA_MODE names mode 2-1: --strict-mode wants one choice' QUAMBA_MODE=2-1 -- --strict-mode --mode 2-4 "$q"

# ---- refusals ----------------------------------------------------------------------------------
run 2 'no mode is given: name one with --mode ID or with QUAMBA_MODE=ID; modes: fp32 ' -- --mode '' "$q"
run 2 'there is no mode "24": did you mean 2-4\?; for example --mode 2-4; modes: fp32 ' -- --mode 24 "$q"
run 2 'QUAMBA_MODE: there is no mode "2.4": did you mean 2-4\?' QUAMBA_MODE=2.4 -- "$q"
run 2 'mode 1 was removed.*use 3 .*6-1 .*fp16 .*modes: ' -- --mode 1 "$q"
run 2 'mode 1 was removed' QUAMBA_MODE=1 -- "$q"
run 2 'FP32_SSM_INPUT: mode 1 was removed' FP32_SSM_INPUT=true -- --mode 2-4 "$q"
run 2 '5-5 was never assigned' -- --mode 5-5 "$q"
run 2 'FLOAT_SIM_SCALE_FACTOR: this feature was removed: the nearest mode is 5-3' FLOAT_SIM_SCALE_FACTOR=2025 -- "$q"
run 2 'FLOAT_SIM_ASIC_INT8, CONV1D_MODE3_FP32 together are no mode.*2-2 .*, 3 .*would run mode 3@fork: --legacy-env=fork' \
    FLOAT_SIM_ASIC_INT8=true CONV1D_MODE3_FP32=true -- "$q"
run 2 'not quantized, mode 2-2 needs INT8 weights' -- --float-sim-asic-int8 "$model"
run 2 'quantized, mode fp16 needs the weights' QUAMBA_MODE=fp16 -- "$q"
run 0 '"mode": "fp32"' -- "$model"
# a command that runs no model does not care
FLOAT_SIM_ASIC=true QUAMBA_MODE=7 "$QUAMBA" modes list >"$dir/out" 2>"$dir/err" || fail "modes list looks at QUAMBA_MODE"
finish
