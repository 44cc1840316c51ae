#!/bin/bash
# docs/tutorial-asic.md: every command in a ```sh block is run, one after the other, from a folder
# that looks like the root of the repository; each must succeed, and the lines of the ```text block
# that follows must be in what the commands of the block before printed.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
for tool in iverilog verilator g++; do
    command -v $tool >/dev/null || { echo "SKIPPED: needs $tool (tools/setup.sh --hw)"; exit 77; }
done
command -v ccache >/dev/null && export OBJCACHE=ccache
mkdir "$dir/root"
cd "$dir/root" || exit 1
ln -s "$QUAMBA_SOURCE_DIR"/{data,docs,hw,models,src,tests,tools} .
mkdir build
ln -s "$QUAMBA" build/quamba
: >"$dir/said"

n_commands=0 n_expected=0 block=
while IFS= read -r line; do
    case $line in
    '```sh') block=sh; : >"$dir/said" ;;
    '```text') block=text ;;
    '```') block= ;;
    *)
        if [ "$block" = sh ]; then
            n_commands=$((n_commands + 1))
            bash -c "$line" >"$dir/out" 2>&1 </dev/null || { cat "$dir/out"; fail "$line"; }
            cat "$dir/out" >>"$dir/said"
        elif [ "$block" = text ]; then
            n_expected=$((n_expected + 1))
            grep -Fq -e "$line" "$dir/said" || { tail -n 40 "$dir/said"; fail "\"$line\" is not said"; }
        fi
        ;;
    esac
done <docs/tutorial-asic.md
[ "$n_commands" -ge 20 ] && [ "$n_expected" -ge 10 ] || fail "only $n_commands commands and $n_expected lines found"
grep -Eq "PASSED: 131072 values" <(asic/verilator/Vsim +conv=asic/vectors/layer23 +tokens=256) || fail "layer 23"
finish
