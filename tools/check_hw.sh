#!/bin/bash
# usage: check_hw.sh [--simulator icarus|verilator] [--tokens N] [--operands N] [--rtl DIR] [--vectors DIR]
# `make check-hw`: the hardware example against traced vectors of the demo model, and its binary32
# units alone against C, under Icarus Verilog and Verilator.
#     --tokens N     of the trace that Icarus reads, default 256: 131072 values (Verilator: always)
#     --operands N   on which Icarus runs the binary32 units, default 4000
#     --rtl DIR      sources in place of hw/rtl
#     --vectors DIR  a trace in place of one of the demo model, made as below
# Status 77: a simulator is not there, and what could be run passed.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() { sed -n '2s/^# //p' "$0" >&2; exit 2; }
simulators="icarus verilator" tokens=256 operands=4000 rtl=hw/rtl vectors=
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
    --simulator) simulators=$2 ;;
    --tokens) tokens=$2 ;;
    --operands) operands=$2 ;;
    --rtl) rtl=$2 ;;
    --vectors) vectors=$2 ;;
    *) usage ;;
    esac
    shift 2
done
build=${BUILD:-build}
quamba=${QUAMBA:-$build/quamba}
work=$(mktemp -d "$build/check-hw.XXXXXX")
trap 'rm -rf "$work"' EXIT
skipped=

# ---- vectors ---------------------------------------------------------------------------------------
if [ -z "$vectors" ]; then
    vectors=$work/vectors
    "$quamba" quantize --quiet --act-scales tests/golden/act_scales_demo.json -o "$work/w8a8" models/demo >/dev/null
    "$quamba" trace --quiet --text data/calibration.jsonl --tokens 0:256 --layers 0,23 --format mem \
        --edges conv_in,conv_acc,conv_pre,conv_silu,conv_out -o "$vectors" "$work/w8a8"
fi
for source in hw/dpi/dpi hw/sim/operands hw/sim/fp32_vectors; do
    cc -std=c11 -O2 -ffp-contract=off -Isrc -Ihw -c $source.c -o "$work/${source##*/}.o"
done

# ---- simulators ------------------------------------------------------------------------------------
sources="$rtl/fp32.sv $rtl/fp32_exp.sv $rtl/fp32_silu.sv $rtl/conv_silu_i8.sv
    hw/sim/tb_fp32.sv hw/sim/tb_conv_silu.sv hw/sim/sim.sv"

# run WHAT COMMAND...: one simulation, which must say that it passed
run() {
    local what=$1 start=$SECONDS
    shift
    "$@" >"$work/log" 2>&1 </dev/null || true
    if grep -q '^PASSED: ' "$work/log" && ! grep -qE '^(FAILED|ERROR|%Error)' "$work/log"; then
        printf '%-36s %s, %ds\n' "$what" "$(sed -n 's/^PASSED: //p' "$work/log")" $((SECONDS - start))
    else
        echo "check-hw: $what FAILED" >&2
        cat "$work/log" >&2
        exit 1
    fi
}

icarus() {
    # shellcheck disable=SC2086 # one word per file
    iverilog -g2012 -Wall -Wno-timescale -s sim -o "$work/sim.vvp" $sources
    "$work/fp32_vectors" "$operands" "$work/fp32.mem"
    run "icarus: binary32 units" vvp -n "$work/sim.vvp" +fp32="$operands" +vectors="$work/fp32.mem"
    run "icarus: layer 0" vvp -n "$work/sim.vvp" +conv="$vectors/layer00" +tokens="$tokens"
}

verilated() {
    command -v ccache >/dev/null && export OBJCACHE=ccache
    # shellcheck disable=SC2086 # one word per file; unoptimized: compiling takes longer than running
    verilator --binary --timing --output-split 0 -j 2 -Wall -Wno-TIMESCALEMOD -Wno-UNUSEDSIGNAL \
        -Wno-UNUSEDPARAM -MAKEFLAGS "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0" --top-module sim \
        -Mdir "$work/verilator" hw/dpi/quamba_dpi.sv hw/sim/tb_dpi.sv $sources \
        "$(realpath "$work")"/{dpi,operands}.o \
        >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    run "verilator: operators by DPI" "$work/verilator/Vsim" +dpi
    run "verilator: binary32 units" "$work/verilator/Vsim" +fp32=100000
    run "verilator: layer 0" "$work/verilator/Vsim" +conv="$vectors/layer00" +tokens=256
    run "verilator: layer 23" "$work/verilator/Vsim" +conv="$vectors/layer23" +tokens=256
}

for simulator in $simulators; do
    case $simulator in
    icarus) command=iverilog function=icarus ;;
    verilator) command=verilator function=verilated ;;
    *) usage ;;
    esac
    if ! command -v $command >/dev/null; then
        echo "SKIPPED: $simulator is not there (tools/setup.sh --hw installs it)"
        skipped=yes
        continue
    fi
    if [ $simulator = icarus ]; then
        cc -o "$work/fp32_vectors" "$work"/{fp32_vectors,dpi,operands}.o -lm
    fi
    $function
done
[ -z "$skipped" ] || exit 77
