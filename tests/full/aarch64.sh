#!/bin/bash
# The same bits on another architecture: checkkern (all NEON kernels), the golden logits and every
# edge of all quantized modes, for each --cpu, on 64-bit ARM under qemu-user.  Half an hour.
set -u
cd "$QUAMBA_SOURCE_DIR" || exit 1
tools/aarch64.sh || exit
cd build-aarch64 || exit 1
nice ctest --output-on-failure -R '^(checkkern|unit_forward|unit_modes_golden)$' || exit 1
# A processor without the dot product takes the other INT8 products, and says so.
qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu tests/checkkern --op matvec_i8 | tee without-dot.txt
grep -q 'neondot *1 SKIPPED' without-dot.txt
