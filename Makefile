# Everything runs in .venv, which is made on first use from the pinned versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

# All cores compile what is installed, in a third of the time that pip takes for it; one file of torch is for Python 3.12.
define install
$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
@$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null || true
endef

.PHONY: quickstart test slow mutation check format clean

quickstart: .venv/bundled
	$(BIN)/textmix train recipes/bbc_news/minilm_manifold.yaml --overwrite

test: .venv/dev check
	$(BIN)/pytest -n 2 --dist loadgroup

# The figures of the README, over again: about half an hour on 2 cores.
slow: .venv/slow
	$(BIN)/pytest -m slow -s

# Change the mathematics of mixing line by line and see which changes the tests notice: docs/testing.md.
mutation: .venv/dev
	HF_HUB_OFFLINE=1 $(BIN)/mutmut run
	$(BIN)/mutmut results

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "textmix needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/bundled: EXTRAS = bundled
.venv/bundled: .venv/bin/python pyproject.toml constraints.txt
	$(install)
	touch $@

.venv/dev: EXTRAS = bundled,vectors,export,plots,dev
.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(install)
	touch $@ .venv/bundled

.venv/slow: EXTRAS = bundled,vectors,export,plots,ray,dev
.venv/slow: .venv/dev
	$(install)
	touch $@ .venv/dev .venv/bundled

clean:
	rm -rf .venv build mutants *.egg-info
