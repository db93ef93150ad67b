# Two commands: `make app` opens the dashboard, `make test` proves it. `make` alone lists everything.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
PORT ?= 8501
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help check app demo test test-slow test-cluster lint format gpu-check bench reference clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## say whether this machine has what it takes
	@sh scripts/python.sh >/dev/null && echo "Python: $$(sh scripts/python.sh)"

$(VENV)/.run: requirements.txt
	@python=$$(sh scripts/python.sh) && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.run ## build the synthetic demo city, if it is not there yet
	$(BIN)/python -m fusion demo

app: demo ## install, prepare the demo city and open the dashboard (PORT=8501)
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.dev ## install what tests need, a browser too, and run the whole suite
	$(BIN)/python scripts/browser.py
	$(BIN)/python -m pytest -m "not slow and not browser" -n auto --maxprocesses 4 --dist loadfile
	$(BIN)/python -m pytest -m "browser and not slow" -n auto --maxprocesses 2 --dist loadfile

test-slow: $(VENV)/.dev ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-cluster: $(VENV)/.dev ## ablations and ingest on a local Ray cluster of two nodes, against the same on this machine
	$(BIN)/python -m pip install -q -r requirements-cluster.txt
	$(BIN)/python -m pytest -m slow tests/training/test_ablate_ray.py tests/ingest/test_partition_ray.py

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

gpu-check: $(VENV)/.run demo ## shipped checkpoints on the accelerator against the CPU
	$(BIN)/python scripts/gpu_check.py

bench: $(VENV)/.dev ## timed comparisons with peers, as ratios
	$(BIN)/python -m pip install -q -r requirements-bench.txt
	@for script in benchmarks/*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

reference: $(VENV)/.run demo ## train the reference runs: suite core, 2 seeds x 3 folds (some 5 core-hours)
	$(BIN)/python -m fusion reference

clean: ## remove the virtual environment and caches, never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
