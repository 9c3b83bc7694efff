# make demo         run the ensemble on the first camera, or on a short clip where there is none
# make page         serve the live page at http://127.0.0.1:8080/ from the same, until Ctrl-C; WEB=[HOST:]PORT
# make test         all tests, in an environment of their own
# make test-fast    the tests that need no TensorFlow, browser, broker or systemd and are not slow; a minute
# make test-lowest  the runtime's part of test-fast, without faults, with the oldest versions that setup.cfg allows
# make test-faults  the faults of docs/reliability.md with many cases each, and their results into that page; half an hour
# make fuzz         every reader on 200,000 changed copies of real inputs; a quarter of an hour; FUZZ='--cases 1000 csv'
# make lint         ruff, mypy and codespell
# make test-mlflow  train --track mlflow with real MLflow, in an environment of its own; some minutes
# make test-fleet   fifty devices at one Mosquitto, three of them real runs; a minute or two
# make test-cluster 2,000 pictures on a Dask cluster whose workers and scheduler are killed meanwhile; some minutes
# make test-device  V4L2 cameras, unplugging and reconnecting, libcamera, GStreamer and the systemd service, in two
#                   virtual machines; a quarter of an hour
# make test-ansible the Ansible role of examples/ on two machines with systemd; a quarter of an hour
# make test-arm     results compared with this computer's, tests and, on Debian 12, instructions compared with those
#                   recorded, on emulated 64-bit Arm with Debian 12 and 13, or with SUITE=trixie alone; half an hour
# make arm-instructions  count the instructions anew and record them, with their table; five minutes
# make wheel        build the wheel of the last commit into dist/, twice: the same bytes or a failure
# make audit        known vulnerabilities, unsafe code and licences of what that wheel installs, and its SBOM in dist/
# make clean        remove what the above made

PYTHON ?= python3
VENV ?= .venv
VENV_TEST ?= .venv-test
VENV_FAST ?= .venv-fast
VENV_LOWEST ?= .venv-lowest
VENV_TFLITE ?= .venv-tflite
VENV_AUDIT ?= .venv-audit
VENV_MLFLOW ?= .venv-mlflow
VENV_ANSIBLE ?= .venv-ansible
PIP = -m pip install --quiet --disable-pip-version-check
PYTEST ?=
WEB ?= 8080
FUZZ ?=
SUITE ?= bookworm trixie

# a worker that dies fails the run: without the limit xdist would wait for it for ever
WORKERS = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
COUNT = tests/device/instructions.sh
UV = VIRTUAL_ENV=$(abspath $(VENV_LOWEST)) $(VENV_LOWEST)/bin/uv --quiet
FAST = not slow and not tensorflow and not browser and not system

# the last tflite-runtime was built for Python 3.11 and numpy 1
HAS_TFLITE := $(shell $(PYTHON) -c 'import sys; print("yes" if sys.version_info[:2] == (3, 11) else "")')

.PHONY: demo page test test-fast test-lowest test-faults fuzz test-mlflow test-fleet test-cluster test-device test-ansible test-arm arm-instructions lint mypy wheel audit clean
.DELETE_ON_ERROR:

demo: $(VENV)/ready
	@$(VENV)/bin/python examples/demo.py

page: $(VENV)/ready
	@$(VENV)/bin/python examples/demo.py --web $(WEB)

test: $(VENV_TEST)/ready $(if $(HAS_TFLITE),$(VENV_TFLITE)/ready)
ifeq ($(HAS_TFLITE),)
	@echo "tflite-runtime is not available on this Python (3.11 is needed): its tests are skipped"
endif
	FER_EDGE_TFLITE_PYTHON=$(if $(HAS_TFLITE),$(abspath $(VENV_TFLITE))/bin/python) \
	TF_CPP_MIN_LOG_LEVEL=2 $(VENV_TEST)/bin/python -m pytest $(WORKERS) $(PYTEST)

test-fast: $(VENV_FAST)/ready
	$(VENV_FAST)/bin/python -m pytest $(WORKERS) -m '$(FAST)' $(PYTEST)

test-lowest: $(VENV_LOWEST)/ready
	$(VENV_LOWEST)/bin/python -m pytest $(WORKERS) -m '$(FAST) and not faults' tests/edge $(PYTEST)

# JUnit's file is what the page's results are written from, also where a test fails
test-faults: $(VENV_TEST)/ready
	@mkdir -p .cache
	status=0; $(VENV_TEST)/bin/python -m pytest $(WORKERS) -m faults --long --junit-xml .cache/faults.xml $(PYTEST) || status=1; \
	$(VENV_TEST)/bin/python tests/faults/write_results.py .cache/faults.xml || status=1; exit $$status

fuzz: $(VENV_TEST)/ready
	$(VENV_TEST)/bin/python tests/fuzz/fuzz.py $(FUZZ)

test-mlflow: $(VENV_MLFLOW)/ready
	TF_CPP_MIN_LOG_LEVEL=2 $(VENV_MLFLOW)/bin/python -m pytest tests/train/check_mlflow.py $(PYTEST)

test-fleet: $(VENV_TEST)/ready
	$(VENV_TEST)/bin/python -m pytest tests/edge/commands/check_fleet.py $(PYTEST)

test-cluster: $(VENV_TEST)/ready
	$(VENV_TEST)/bin/python -m pytest tests/edge/commands/check_dask.py $(PYTEST)

test-device: $(VENV)/ready
	status=0; tests/device/vm.sh $(abspath $(VENV))/bin/python tests/device/check.py || status=1; \
	tests/device/debian.sh /opt/venv/bin/python tests/device/check_debian.py || status=1; exit $$status

test-ansible: $(VENV)/ready $(VENV_ANSIBLE)/ready
	tests/device/ansible.sh $(VENV_ANSIBLE) $(abspath $(VENV))/bin/python

test-arm: $(VENV)/ready $(if $(HAS_TFLITE),$(VENV_TFLITE)/ready)
	status=0; for suite in $(SUITE); do tests/device/arm.sh $$suite $(abspath $(VENV))/bin/python \
	    $(if $(HAS_TFLITE),$(abspath $(VENV_TFLITE))/bin/python) || status=1; done; \
	$(if $(filter bookworm,$(SUITE)),$(COUNT) compare $(abspath $(VENV))/bin/python || status=1;) exit $$status

arm-instructions: $(VENV)/ready
	$(COUNT) record $(abspath $(VENV))/bin/python
	$(VENV)/bin/fer-edge bench table --write docs/benchmarks.md

lint: $(VENV_TEST)/ready mypy
	$(VENV_TEST)/bin/ruff check --output-format concise .
	$(VENV_TEST)/bin/ruff format --check .
	$(VENV_TEST)/bin/python -m codespell_lib

# mypy finds the package, whose folder is this one, through a link of the package's name
mypy: $(VENV_TEST)/ready
	@mkdir -p .cache/mypy && ln -sfn ../.. .cache/mypy/fer_edge
	$(VENV_TEST)/bin/python -m mypy -p fer_edge.edge -p fer_edge.models -p fer_edge.benchmarks -p fer_edge.train -p fer_edge.convert

wheel: $(VENV_AUDIT)/ready
	PYTHON=$(VENV_AUDIT)/bin/python .ci/wheel --twice dist

audit: wheel
	$(VENV_AUDIT)/bin/python .ci/audit "$$(ls -t dist/*.whl | head -n 1)"

# a file marks a finished environment: made once, and again when the dependencies change
$(VENV)/ready: setup.cfg examples/environment.py
	@echo "making $(VENV): the runtime alone, a minute or two"
	@$(PYTHON) examples/environment.py $(VENV)
	@touch $@

$(VENV_TEST)/ready: setup.cfg
	@echo "making $(VENV_TEST): TensorFlow, JAX and the tools, some minutes"
	@$(PYTHON) -m venv --clear $(VENV_TEST)
	@$(VENV_TEST)/bin/python $(PIP) -e '.[train,convert,onnx,jax,sweep,cluster,dev]'
	@touch $@

$(VENV_FAST)/ready: setup.cfg
	@echo "making $(VENV_FAST): the runtime and pytest, a minute or two"
	@$(PYTHON) -m venv --clear $(VENV_FAST)
	@$(VENV_FAST)/bin/python $(PIP) -e '.[dev]'
	@touch $@

# direct requirements at their lowest versions first, then the tests' tools without moving those
$(VENV_LOWEST)/ready: setup.cfg
	@echo "making $(VENV_LOWEST): the oldest versions that setup.cfg allows, a minute or two"
	@$(PYTHON) -m venv --clear $(VENV_LOWEST)
	@$(VENV_LOWEST)/bin/python $(PIP) uv
	@$(UV) pip install --resolution lowest-direct --editable '.[web,mqtt]'
	@$(UV) pip freeze --exclude-editable | grep -vE '^(pip|setuptools|uv)==' > $(VENV_LOWEST)/lowest.txt
	@$(UV) pip install --constraint $(VENV_LOWEST)/lowest.txt --editable '.[dev]'
	@touch $@

$(VENV_TFLITE)/ready: setup.cfg
	@echo "making $(VENV_TFLITE): tflite-runtime, which needs numpy 1"
	@$(PYTHON) -m venv --clear $(VENV_TFLITE)
	@$(VENV_TFLITE)/bin/python $(PIP) tflite-runtime 'numpy<2' 'opencv-python<5' 'click>=8.2' 'tqdm>=4.65'
	@$(VENV_TFLITE)/bin/python $(PIP) --no-deps -e .
	@touch $@

# MLflow brings seventy packages, some in versions that are not the tests' own
$(VENV_MLFLOW)/ready: setup.cfg
	@echo "making $(VENV_MLFLOW): TensorFlow and MLflow, some minutes"
	@$(PYTHON) -m venv --clear $(VENV_MLFLOW)
	@$(VENV_MLFLOW)/bin/python $(PIP) -e '.[train,mlflow,dev]'
	@touch $@

# setuptools builds the wheels that are rolled out, without a network
$(VENV_ANSIBLE)/ready:
	@echo "making $(VENV_ANSIBLE): Ansible and ansible-lint, a minute"
	@$(PYTHON) -m venv --clear $(VENV_ANSIBLE)
	@$(VENV_ANSIBLE)/bin/python $(PIP) 'ansible-core>=2.16' 'ansible-lint>=25' 'setuptools>=77' wheel
	@touch $@

$(VENV_AUDIT)/ready:
	@echo "making $(VENV_AUDIT): pip-audit, bandit and cyclonedx-bom, a minute"
	@$(PYTHON) -m venv --clear $(VENV_AUDIT)
	@$(VENV_AUDIT)/bin/python $(PIP) 'setuptools>=77' wheel 'pip-audit>=2.10' 'bandit>=1.9' 'cyclonedx-bom>=7'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV_TEST) $(VENV_FAST) $(VENV_LOWEST) $(VENV_TFLITE) $(VENV_AUDIT) $(VENV_MLFLOW) $(VENV_ANSIBLE) .cache build dist fer_edge.egg-info demo-output
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
