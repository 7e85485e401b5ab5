# Everything is installed into .venv; each target does what it needs first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: setup browser demo test lint bench bench-search

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

demo: setup
	$(BIN)/scaler search studies/quickstart --resume
	$(BIN)/scaler baselines studies/quickstart
	$(BIN)/scaler confirm studies/quickstart --top 1 --seeds 1
	$(BIN)/scaler leaderboard studies/quickstart
	$(BIN)/scaler export studies/quickstart --trial best --to exports/quickstart --force

test: setup browser
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
