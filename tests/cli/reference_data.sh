#!/bin/bash
# Says in ctest's summary when the reference models and outputs are not there: a test that only
# skips some of its cases still counts as passed.
[ -d "$QUAMBA_SHARED_DIR/golden" ] && exit 0
echo "SKIPPED: every comparison with reference outputs needs ../shared (QUAMBA_SHARED_DIR)"
exit 77
