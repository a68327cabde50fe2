#!/bin/sh
# All long runs, two at a time: the crowd beside the kills and the API, then the bad inputs on all cores.
set -u
python=${1:?usage: run.sh PYTHON [pytest options]}
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
soak() { "$python" -m pytest -m soak -s -q -p no:cacheprovider "$@" tests/soak/test_soak.py; }
soak -k crowd "$@" >"$work/crowd" 2>&1 &
crowd=$!
status=0
soak -k "kills or api" "$@" || status=$?
wait $crowd || status=$?
cat "$work/crowd"
soak -k fuzz "$@" || status=$?
exit $status
