#!/bin/bash
# The hardware example under Icarus Verilog: it passes, and it fails when one vector or one line of
# it is wrong.  (Verilator and all vectors: make check-hw; tests/cli/tutorial_asic.sh.)
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
command -v iverilog >/dev/null || { echo "SKIPPED: needs iverilog (tools/setup.sh --hw)"; exit 77; }
cd "$QUAMBA_SOURCE_DIR" || exit 1
few="--tokens 2 --operands 200"
check() { env BUILD="$QUAMBA_BUILD_DIR" QUAMBA="$QUAMBA" tools/check_hw.sh --simulator icarus "$@"; }

ends 0 "layer 0 +4096 values at 4 edges" check --tokens 8 --operands 1000
ends 2 "usage: check_hw.sh" check --tokens
ends 2 "usage: check_hw.sh" check --token 8

# ---- vectors of our own, then wrong ones -----------------------------------------------------------
made_up_scales >"$dir/scales.json"
"$QUAMBA" quantize --quiet --act-scales "$dir/scales.json" -o "$dir/w8a8" models/demo >/dev/null &&
    "$QUAMBA" trace --quiet --prompt "Once upon a time" --layers 0 --format mem -o "$dir/vectors" \
        --edges conv_in,conv_acc,conv_pre,conv_silu,conv_out "$dir/w8a8" || fail "no vectors"
wrong_line() { # wrong_line FILE NUMBER PATTERN: the lowest bit of that line
    local line
    cp "$dir/vectors/layer00.$1.mem" "$dir/kept"
    line=$(sed -n "$2p" "$dir/kept")
    sed -i "$2s/.*/$(printf "%0${#line}x" $((0x$line ^ 1)))/" "$dir/vectors/layer00.$1.mem"
    ends 1 "$3" check $few --vectors "$dir/vectors"
    cp "$dir/kept" "$dir/vectors/layer00.$1.mem"
}
wrong_line conv_out 1024 "out: token 1, channel 511"
wrong_line conv_weight 1050 "acc: token 1, channel 25"
mv "$dir/vectors/layer00.conv_silu.mem" "$dir/kept"
ends 1 "FAILED" check $few --vectors "$dir/vectors"
mv "$dir/kept" "$dir/vectors/layer00.conv_silu.mem"

# ---- the circuit, wrong in one line ----------------------------------------------------------------
wrong_rtl() { # wrong_rtl FILE SED-SCRIPT PATTERN
    rm -rf "$dir/rtl"
    cp -r hw/rtl "$dir/rtl"
    sed -i "$2" "$dir/rtl/$1"
    cmp -s "hw/rtl/$1" "$dir/rtl/$1" && fail "$2 changes nothing in $1"
    ends 1 "$3" check $few --vectors "$dir/vectors" --rtl "$dir/rtl"
}
wrong_rtl fp32.sv 's/ || kept\[104\])/)/' "(fma|mul): .* must give"
wrong_rtl fp32_exp.sv "s/C3 = 32'h3e2aaa48/C3 = 32'h3e2aaac8/" "exp: .* must give"
wrong_rtl conv_silu_i8.sv 's/first <= 0;/first <= 1;/' "acc: token 1"
finish
