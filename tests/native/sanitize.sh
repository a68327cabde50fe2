#!/bin/sh
# The contract suite against builds of the native core that watch every memory access, undefined step and data race.
# `make sanitize` calls this; KINDS="thread" runs one of them.
set -eu
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for kind in ${KINDS:-address,undefined thread}; do
    "$python" -m cmake -S backends/cpu/native -B "$work/$kind" -DSANITIZE="$kind" >"$work/log" 2>&1 &&
        "$python" -m cmake --build "$work/$kind" -j 2 >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    case $kind in thread) runtime=libtsan.so ;; *) runtime=libasan.so ;; esac
    echo "== $kind"
    # Python itself leaks by design, and its own threads are not instrumented.
    RWKV7_LIBRARY=$work/$kind/librwkv7.so LD_PRELOAD=$(cc -print-file-name=$runtime) \
        ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/tests/native/tsan.txt" \
        OPENBLAS_NUM_THREADS=1 "$python" -m pytest -q -p no:cacheprovider -k "cpu or native" \
        tests/contract/test_backend.py tests/native/test_instruction_sets.py
done
