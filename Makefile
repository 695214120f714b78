# Every target sets up what it needs in .venv, and does nothing twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(shell find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*')
SLOW := browser faults peers server
# Tests side by side, those of one file on one worker, as they share what was costly.
# One thread each: threads that wait for one another, beside others' that do, cost tenfold.
WORKERS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
TESTS := $(ONE_THREAD) $(BIN)/python -m pytest -q --durations=20 -n $(WORKERS) --dist loadfile
# A container's only user is often root, whom JupyterLab turns away unless told.
ROOT_USER := $(if $(filter 0,$(shell id -u)),--allow-root)

# Without a network there is no model: what needs it says so, and the rest goes on.
FETCH := $(BIN)/smallscale model || true

.PHONY: run model test check lab notebooks docs pictures lint clean
.DEFAULT_GOAL := run

run: $(VENV)/.core  ## every notebook at its default scale, then the gallery
	@$(FETCH)
	$(BIN)/smallscale run all

model: $(VENV)/.core  ## the language model, 93 MB, once
	$(BIN)/smallscale model

lab: $(VENV)/.core  ## JupyterLab, opened on the notebooks
	$(BIN)/jupyter lab --config=jupyter_server_config.py --notebook-dir=notebooks $(ROOT_USER)

check: lint  ## the quick loop: unit and face tests, every notebook at tiny
	$(TESTS) tests $(SLOW:%=--ignore=tests/%)
	$(TESTS) --doctest-modules lib/smallscale

test: lint  ## everything, as CI runs it; one execution of each notebook serves nbval and its claims
	@$(FETCH)
	$(TESTS) tests
	$(TESTS) --doctest-modules lib/smallscale
	$(TESTS) --nbval-lax --nbval-sanitize-with tests/nbval.cfg -p tests.judged \
		-p no:cacheprovider notebooks

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.test  ## a page for every public name: build/docs/index.html
	$(BIN)/python docs/build.py

pictures: $(VENV)/.test  ## the README's pictures, cut out of the committed notebooks
	$(BIN)/python docs/pictures.py

notebooks: $(VENV)/.test  ## execute the committed outputs anew, in place, without noise
	$(BIN)/python tests/renew.py $(NOTEBOOKS)

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,peers]'
	touch $@

clean:  ## remove what was run and set up
	rm -rf results build $(VENV)
