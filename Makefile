# Everything is installed into .venv; each target does what it needs first.
PYTHON ?= python3
BIN := .venv/bin
OLDEST_TIMM := $(shell sed -n 's/^ *"timm>=\([0-9.]*\),.*/\1/p' pyproject.toml)
INSTALLED := .venv/.installed

.PHONY: setup browser oldest-timm demo test lint bench bench-search

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# The report is tested in a real browser: Debian's, where it can be installed, else one that Playwright fetches.
browser: setup
	command -v chromium > /dev/null \
	  || (apt-get update -qq && apt-get install --yes -qq --no-install-recommends chromium > /dev/null) \
	  || $(BIN)/playwright install chromium

# Exports are loaded by the oldest timm that pyproject.toml allows as well as by the one installed, which is the newest.
oldest-timm: .venv/oldest-timm/timm-$(OLDEST_TIMM).dist-info

.venv/oldest-timm/timm-$(OLDEST_TIMM).dist-info: $(INSTALLED)
	rm -rf .venv/oldest-timm
	$(BIN)/pip install --quiet --no-deps --target .venv/oldest-timm timm==$(OLDEST_TIMM)

demo: setup
	$(BIN)/scaler search studies/quickstart --resume
	$(BIN)/scaler baselines studies/quickstart
	$(BIN)/scaler confirm studies/quickstart --top 1 --seeds 1
	$(BIN)/scaler leaderboard studies/quickstart
	$(BIN)/scaler export studies/quickstart --trial best --to exports/quickstart --force

test: setup browser oldest-timm
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy scaler

bench: setup
	$(BIN)/python -m tests.bench

# TABLE is a recorded table (see tests/bench/tables.py); a comparison that was broken off goes on.
bench-search: setup
	$(BIN)/python -m tests.bench.search $(TABLE)
