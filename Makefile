# Two commands on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# A worker needs up to 3 GB and computes in one thread; the tests of a file share what they make, so they stay together.
WORKERS ?= 2
PYTEST = TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup
# Importing the other files takes as long as their tests.
FAST_FILES = $(shell grep -rlE '^pytestmark = pytest.mark.fast$$' tests)

.PHONY: demo test test-fast test-all check lint types wheel docs site matrix weights benchmark

demo: $(VENV)/installed
	$(BIN)/pocketzoo quickstart

test: $(VENV)/installed-test build/node/installed
	$(PYTEST)

# A minute on 2 cores, for the inner loop: the files that are marked `fast`, without their slow tests.
test-fast: $(VENV)/installed-test
	$(PYTEST) -m "fast and not slow and not every_card" $(FAST_FILES)

# Also the models that differ from a cheaper one in nothing but numbers.
test-all: $(VENV)/installed-test build/node/installed
	$(PYTEST) -m "every_card or not every_card"

# Lint and the wheel at once: each takes one thread.
check: $(VENV)/installed-dev
	$(MAKE) --jobs 2 --output-sync lint wheel

lint: types site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy's errors per folder, against the numbers recorded in pyproject.toml.
types: $(VENV)/installed-dev
	$(BIN)/python .ci/check_types.py

# What an artifact needs where it is asked, which is no TensorFlow.
RUNTIME := ai-edge-litert onnxruntime pydantic lazy-loader pillow

# A wheel, installed into an empty environment, must work from outside the checkout, and with the runtimes alone.
wheel: $(VENV)/installed-dev
	rm -rf build/lib build/bdist.* build/wheel
	mkdir -p build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel . > build/wheel/build.log
	outside=$$(mktemp -d) && trap 'rm -rf "$$outside"' EXIT && $(PYTHON) -m venv "$$outside/venv" && \
	"$$outside/venv/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt build/wheel/*.whl && \
	cd "$$outside" && venv/bin/pocketzoo list && venv/bin/pocketzoo quickstart --fast && \
	venv/bin/pocketzoo --offline predict lenet5 build/quickstart/digit.png && \
	$(PYTHON) -m venv runtime && \
	runtime/bin/pip install --quiet --disable-pip-version-check --constraint $(CURDIR)/constraints.txt $(RUNTIME) && \
	runtime/bin/pip install --quiet --disable-pip-version-check --no-deps $(CURDIR)/build/wheel/*.whl && \
	runtime/bin/python $(CURDIR)/tests/support/runtime_only.py build/quickstart

# The pages and pictures that are generated, and the site.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/make_models.py
	$(BIN)/python docs/make_recipe.py
	$(BIN)/python docs/make_commands.py
	$(BIN)/python docs/make_limits.py
	$(BIN)/python docs/make_clients.py
	$(BIN)/python docs/make_pictures.py
	$(MAKE) site

# The site in build/site, without a network; a broken link or an unknown name in the reference is an error.
site: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Every model on every target: hours on 2 cores; it goes on where it was stopped.
matrix: $(VENV)/installed-test
	$(BIN)/python docs/make_matrix.py

# The weights that ship with the package: 6 minutes on 2 cores.
weights: $(VENV)/installed
	$(BIN)/python recipes/make_weights.py

benchmark: $(VENV)/installed
	$(BIN)/python benchmarks/composite_layers.py
	$(BIN)/python benchmarks/creation.py

# What runs the JavaScript programs of READMEs and the web page; where there is no npm, their tests are skipped. The
# script of onnxruntime-node, which downloads CUDA, is not run.
NODE_PACKAGES := onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 sharp@0.35.5 @litertjs/core@2.5.3 \
	@litertjs/wasm-utils@2.5.3

build/node/installed: Makefile
	mkdir -p build/node
	! command -v npm > /dev/null || npm install --prefix build/node --ignore-scripts --no-fund --no-audit --silent \
	$(NODE_PACKAGES)
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A marker in the environment for what was installed there, renewed when the requirements change.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	touch $@

# Clients that tests run, in an environment of their own: their requirements conflict with TensorFlow's. pnnx, which
# converts ONNX for ncnn, is a program that needs none of its requirements, among them PyTorch.
CLIENTS := mediapipe MNN ncnn opencv-contrib-python tract
CLIENTS_INSTALL := $(VENV)/clients/bin/pip install --quiet --disable-pip-version-check --constraint constraints-clients.txt
$(VENV)/clients/installed: constraints-clients.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/clients
	$(CLIENTS_INSTALL) $(CLIENTS)
	$(CLIENTS_INSTALL) --no-deps pnnx
	touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python $(VENV)/clients/installed
	$(INSTALL) --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/installed-test $(VENV)/installed
