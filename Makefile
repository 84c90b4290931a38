# Thin front of the build.  `make run` and `make test` need nothing but Debian 12, git and make.
.DEFAULT_GOAL := build
.PHONY: run build test soak bench fuzz sim spec lint format clean deps deps-test deps-soak

JOBS ?= $(shell nproc)

define configure
	@cmake -S . -B build/$(1) -G Ninja -DTRINE_FLAVOUR=$(2) $(3) > build/$(1).configure.log 2>&1 || \
	  { cat build/$(1).configure.log; exit 1; }
endef

deps: ; @tools/install-packages build
deps-test: ; @tools/install-packages test
deps-soak: deps-test ; @tools/install-packages soak

build: deps build/release/trine

.PHONY: build/release/trine build/debug build/sim build/clang build/fuzz
build/release/trine:
	@mkdir -p build
	$(call configure,release,release,)
	@ninja -C build/release -j $(JOBS) --quiet trine

build/sim:
	@mkdir -p build
	$(call configure,sim,sim,)
	@ninja -C build/sim -j $(JOBS) --quiet trine-sim

build/clang:
	@mkdir -p build
	$(call configure,clang,debug,-DCMAKE_C_COMPILER=clang)
	@ninja -C build/clang -j $(JOBS) --quiet

build/fuzz:
	@mkdir -p build
	$(call configure,fuzz,fuzz,-DCMAKE_C_COMPILER=clang)
	@ninja -C build/fuzz -j $(JOBS) --quiet

build/debug:
	@mkdir -p build
	$(call configure,debug,debug,)
	@ninja -C build/debug -j $(JOBS) --quiet

run: build
	@build/release/trine serve --examples

test: deps-test build/release/trine build/debug
	@tools/test test

soak: deps-soak build/release/trine build/debug build/sim build/clang build/fuzz
	@tools/test soak

# Each fuzz target for SECONDS; new seeds of the simulator for MINUTES.
SECONDS ?= 60
MINUTES ?= 10
fuzz: deps-test build/fuzz
	@tools/fuzz $(SECONDS)

sim: deps-test build/sim
	@tools/sim --minutes $(MINUTES) --record

# The protocols' models, within wider bounds than `make test` has.
spec: deps-test
	@tools/spec --large

bench: deps-test build/release/trine
	@ninja -C build/release -j $(JOBS) --quiet trine-load
	@bench/run $(ARGS)

lint: build/release/trine ; @tools/lint
format: ; @tools/format

clean: ; @rm -rf build
