# Thin front of the build.  `make run` and `make test` need nothing but Debian 12, git and make.
.DEFAULT_GOAL := build
.PHONY: run build test soak bench fuzz sim lint format clean deps deps-test

JOBS ?= $(shell nproc)

define configure
	@cmake -S . -B build/$(1) -G Ninja -DTRINE_FLAVOUR=$(2) $(3) > build/$(1).configure.log 2>&1 || \
	  { cat build/$(1).configure.log; exit 1; }
endef

deps: ; @tools/install-packages build
deps-test: ; @tools/install-packages test

build: deps build/release/trine

.PHONY: build/release/trine build/debug
build/release/trine:
	@mkdir -p build
	$(call configure,release,release,)
	@ninja -C build/release -j $(JOBS) --quiet trine

build/debug:
	@mkdir -p build
	$(call configure,debug,debug,)
	@ninja -C build/debug -j $(JOBS) --quiet

run: build
	@build/release/trine serve --examples

test: deps-test build/release/trine build/debug
	@tools/test

soak: deps-test build/release/trine build/debug
	@tools/soak

bench: deps-test build/release/trine
	@bench/run

lint: ; @tools/lint
format: ; @tools/format

clean: ; @rm -rf build
