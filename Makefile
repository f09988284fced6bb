# Everything runs in .venv, which is made on first use from the pinned versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

# All cores compile what is installed, in a third of the time that pip takes for it; one file of torch is for Python 3.12.
define install
$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
@$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null || true
endef

.PHONY: help quickstart test slow lowest latest peers check format mutation dist clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: .venv/bundled ## train the recipe of the README on BBC News
	$(BIN)/textmix train bbc_news/minilm_manifold --overwrite

test: .venv/dev ## run the tests, but for the slow ones
	$(BIN)/pytest -n 2 --dist loadgroup

slow: .venv/slow ## run the slow tests, which measure the figures of the documentation again: about half an hour on 2 cores
	$(BIN)/pytest -m slow -s

# The code of wordllama is not run; it asks for numpy 2. The newest versions are looked up at each run.
lowest: ## run the tests in .venv-lowest, with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet -c constraints-lowest.txt gensim -e '.[bundled,plots,dev]'
	.venv-lowest/bin/pip install --quiet -c constraints-lowest.txt --no-deps wordllama
	.venv-lowest/bin/pytest -n 2 --dist loadgroup

latest: ## run the tests in .venv-latest, with the newest versions there are
	$(PYTHON) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --upgrade --upgrade-strategy eager -e '.[bundled,vectors,export,plots,dev]'
	.venv-latest/bin/pytest -n 2 --dist loadgroup

check: .venv/dev ## lint: style, format, layers of imports, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

peers: .venv/dev ## run the common model tests of transformers over our models: docs/testing.md
	$(BIN)/python -m tests.peers.run

format: .venv/dev ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mutation: .venv/dev ## change textmix/mixing line by line and list the changes that no test notices: docs/testing.md
	HF_HUB_OFFLINE=1 $(BIN)/mutmut run
	$(BIN)/mutmut results

dist: .venv/bin/python ## build the source distribution and the wheel in dist/, and check them
	$(BIN)/python -m pip install --quiet -c constraints.txt build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean: ## remove the environment and what was built
	rm -rf .venv .venv-lowest .venv-latest .peers build dist mutants *.egg-info

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
