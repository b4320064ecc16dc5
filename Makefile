# Needs make and Python 3.11, 3.12 or 3.13; everything else is installed into .venv, at the versions of constraints.txt.
# Another interpreter: make PYTHON=/path/to/python3.11 …

.DEFAULT_GOAL := help

# The first of these that runs and suits (a version manager's shim may exist and not run). Python 3.11 comes first
# because constraints.txt was made with it.
suits := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
needed := Python 3.11, 3.12 or 3.13 is needed (TensorFlow has no wheel for 3.14 yet)
PYTHON ?= $(shell for p in python3.11 python3 python3.13 python3.12; do $$p $(suits) 2>/dev/null && { echo $$p; break; }; done)

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help
help:  ## list what can be made
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

.PHONY: mnist
mnist: $(STAMP)  ## search for a good MNIST model, the shortest way to see the pipeline work
	@$(RUN) -m pipeline.run mnist

.PHONY: venv
venv: $(STAMP)  ## make the environment .venv

.PHONY: gpu
gpu: $(STAMP)  ## add CUDA's libraries to .venv, which TensorFlow needs to see an NVIDIA GPU (3 GB)
	@$(RUN) -c "$$NAMES" gpu > $(VENV)/requirements-gpu.txt
	@echo "Installing CUDA's libraries into $(VENV)."
	@$(PIP) -r $(VENV)/requirements-gpu.txt

.PHONY: torch
torch: $(STAMP)  ## add PyTorch to .venv, for KERAS_BACKEND=torch and its tests (a download of 3 GB, 6 GB on disk)
	@$(RUN) -c "$$NAMES" torch > $(VENV)/requirements-torch.txt
	@echo "Installing PyTorch into $(VENV)."
	@$(PIP) -r $(VENV)/requirements-torch.txt

.PHONY: cluster
cluster: $(STAMP)  ## add Ray's launcher and job server to .venv (ray up, ray job)
	@$(RUN) -c "$$NAMES" cluster > $(VENV)/requirements-cluster.txt
	@$(PIP) -r $(VENV)/requirements-cluster.txt

# The tests of a file share what is dear to make, so they stay in one process; tests/conftest.py orders the files.
parallel := -n 2 --dist loadfile --no-loadscope-reorder

# Compiled sources are kept, whatever the caller's setting: the tests start processes by the hundred.
test test-all test-gpu test-cluster: export PYTHONDONTWRITEBYTECODE =

.PHONY: test
test: $(STAMP)  ## run the tests, without the slow ones and those that need a GPU
	$(RUN) -m pytest -m "not slow and not gpu" $(parallel)

.PHONY: test-all
test-all: $(STAMP)  ## run what `make test` leaves out: the slow tests (those that need a GPU: make test-gpu)
	$(RUN) -m pytest -m "slow and not gpu" $(parallel) $(explained)

.PHONY: test-gpu
test-gpu: $(STAMP)  ## run the tests that need a GPU
	$(RUN) -m pytest -m gpu $(explained)

.PHONY: test-cluster
test-cluster: cluster  ## run the test of Ray's launcher and job server, which the others are faster without
	$(RUN) -m pytest tests/hosts/test_launcher.py $(explained)

.PHONY: test-wheel
test-wheel: cluster  ## run the tests on hosts and of sweeps again, with the installed wheel in place of the sources
	$(RUN) -m tests.packaging.with_wheel tests/hosts tests/cli/test_sweeps.py

.PHONY: chaos
chaos: $(STAMP)  ## kill, starve and freeze N=10 searches, drawn from SEED=0 and on, and resume them: two minutes each
	$(RUN) -m tests.chaos.run --searches $(or $(N),10) --seed $(or $(SEED),0)

.PHONY: orphans
orphans: $(STAMP)  ## kill N=100 searches, drawn from SEED=0, and count what is left running: half a minute each
	$(RUN) -m tests.chaos.orphans --starts $(or $(N),100) --seed $(or $(SEED),0)

.PHONY: bench
bench: $(STAMP)  ## run the benchmarks, two hours on an idle machine; results go to benchmarks/results
	@$(RUN) -c "$$NAMES" bench > $(VENV)/requirements-bench.txt
	@$(PIP) -r $(VENV)/requirements-bench.txt
	$(RUN) benchmarks/start_up.py
	$(RUN) benchmarks/limit.py
	$(RUN) benchmarks/checkpoints.py
	$(RUN) benchmarks/fit_plans.py
	KERAS_BACKEND=jax $(RUN) benchmarks/fit_plans.py
	$(RUN) benchmarks/overhead.py
	$(RUN) benchmarks/read_back.py
	$(RUN) benchmarks/small_grid.py
	$(RUN) benchmarks/same_work.py --n 1
	$(RUN) benchmarks/example.py --ours 3 --ours-jax 1 --ours-ten 1 --keras-tuner 1 --ray-tune 1

.PHONY: check
check: $(STAMP)  ## check format, lint and types, for each Python that is supported
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	@$(MAKE) --jobs=2 --output-sync --no-print-directory types-11 types-12 types-13

# mypy computes on one processor, and keeps what it knows apart for each Python.
types-%: $(STAMP)
	$(RUN) -m ruff check --target-version py3$* --extend-ignore UP .
	$(RUN) -m mypy --python-version 3.$*

# What pyproject.toml asks for, and each pin, is resolved to wheels alone; nothing is installed. The pip of Python 3.11 (23.2)
# would download all of them, 6 GB; a newer one reads the index's metadata. The Python that runs pip answers conditions such
# as python_version >= "3.12": what a package needs on another Python alone is not looked for.
.PHONY: pins
pins: $(STAMP)  ## check that all pinned packages have wheels that go together, for each Python that is supported
	@$(RUN) -c "$$NAMES" test check jax torch bench gpu cluster > $(VENV)/requirements-pins.txt
	@$(RUN) -m pip install -q --disable-pip-version-check --upgrade --target $(VENV)/pip 'pip>=25'
	@for newer in 11 12 13; do \
	    PYTHONPATH=$(VENV)/pip $(RUN) -m pip install -q --dry-run --ignore-installed --only-binary=:all: \
	        --python-version 3.$$newer --target $(VENV)/nowhere -r $(VENV)/requirements-pins.txt -r constraints.txt && \
	    echo "Python 3.$$newer: all pins resolve to wheels." || exit; \
	done

.PHONY: format
format: $(STAMP)  ## format the code and apply the lint's safe fixes
	$(RUN) -m ruff check --fix-only .
	$(RUN) -m ruff format .

.PHONY: reference
reference: $(STAMP)  ## write the reference pages: options and components, the run directory
	@mkdir -p docs/reference
	@$(RUN) -m pipeline.command.reference > docs/reference/options.md
	@$(RUN) -m pipeline.records.outputs.reference > docs/reference/run-directory.md

.PHONY: clean
clean:  ## remove what tools and builds leave behind; runs/ and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean  ## remove .venv too
	rm -rf $(VENV)

# pytest exits 5 when it selects no test. That is a failure here: a set that became empty tests nothing.
explained = || { status=$$?; [ $$status -ne 5 ] || echo 'No test was selected: a marker is gone or misspelt.' >&2; exit $$status; }

# Dependencies are named in pyproject.toml alone: this prints them, and those of the extras asked for, one a line, for pip.
define NAMES
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *(name for extra in sys.argv[1:] for name in extras[extra]), sep="\n")
endef
export NAMES

# --compile: else, where PYTHONDONTWRITEBYTECODE is set, every worker process compiles TensorFlow's sources anew.
PIP = $(RUN) -m pip install -q --disable-pip-version-check --compile -c constraints.txt

# The project itself is not installed: it runs from the checkout.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo '$(needed), and none was found. Install it, or name it: make PYTHON=/path/to/python' >&2; exit 1; }
	@"$(PYTHON)" $(suits) || { echo "$(needed); $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." >&2; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) ($$("$(PYTHON)" --version), 3 GB): two to five minutes, once."
	@"$(PYTHON)" -m venv $(VENV)
	@$(RUN) -c "$$NAMES" test check > $(VENV)/requirements.txt
	@$(PIP) -r $(VENV)/requirements.txt
	@touch $@
