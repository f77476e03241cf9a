# SPDX-License-Identifier: Apache-2.0
# A thin face over meson: every target works as the first command on a fresh Debian machine.
# What "make help" says of a target stands above it, behind two signs.
BUILD := build
MESON_ARGS ?=
JOBS ?= $(shell nproc)
SOAK_MINUTES ?= 10
QEMU ?= build-qemu/qemu-system-x86_64
# What starts hosts ends them too, also when it is interrupted.
FAMILY := /usr/bin/python3 tools/family.py
# One after the other: a build needs its packages, and takes all processors by itself.
.NOTPARALLEL:

.PHONY: all help deps deps-test product demo demo-says test check-quick unit pairs walk limits load soak model bench bench-deps asan tsan fuzz lint install clean

## all      build everything into build/                                                 1 min
all: $(BUILD)/build.ninja
	@tools/build.sh $(BUILD) $(JOBS)

## help     this list; times are of 2 cores, once packages are there and all is built
help:
	@sed -n 's/^## /make /p' Makefile

deps:
	@tools/install-deps.sh build

deps-test:
	@tools/install-deps.sh test

$(BUILD)/build.ninja: | deps
	@echo "configuring $(BUILD)/"
	@meson setup $(BUILD) $(MESON_ARGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

# What runs, without what tests it.
product: $(BUILD)/build.ninja
	@tools/build.sh $(BUILD) $(JOBS) product

## demo     two hosts, a picture that diffuses, a move midway, a kill -9 in a second     1 min
demo: demo-says product
	@$(FAMILY) /usr/bin/python3 tools/demo.py --build $(BUILD)

demo-says:
	@echo "make demo: 1 to 2 minutes on 2 cores; on a fresh machine 1 more to build, and the packages' way through your link"

## test     everything is tested                                                         15 min
test: deps-test all
	@$(FAMILY) /usr/bin/python3 tools/run_tests.py --build $(BUILD)

## check-quick  for between two edits: tools/quick_tests.txt: some of every room, a few moves   30 s
check-quick: deps-test all
	@python3 tools/check_tree.py
	@$(FAMILY) /usr/bin/python3 tools/run_tests.py --build $(BUILD) --quick

## unit     the tests that start no hosts                                                3 min
unit: deps-test all
	@$(FAMILY) /usr/bin/python3 tools/run_tests.py --build $(BUILD) --suite unit

## walk     every fault at every place of a move (docs/faults.md); FAULT=TEXT: some      15 min
walk: all
	@VF_BUILD=$(BUILD) $(FAMILY) /usr/bin/python3 tests/faults/walk.py $(if $(FAULT),--only "$(FAULT)") --out $(BUILD)/tests/faults/walk.md

## pairs    every two verbs on one partition, the second at every step of the first         3 min
#           VF_PAIRS_SEED repeats what was drawn
pairs: all
	@VF_PAIRS=all VF_BUILD=$(BUILD) $(FAMILY) /usr/bin/python3 tests/e2e/tap.py tests/e2e/host/test_pairs.py

## limits   every value of every limit that a machine sets: descriptors, threads, memory, disk  an hour
limits: all
	@failed=0; for name in limits limits_start full; do \
		VF_SWEEP=all VF_BUILD=$(BUILD) $(FAMILY) /usr/bin/python3 tests/e2e/tap.py tests/e2e/limits/test_$$name.py || failed=1; \
	done; exit $$failed

## load     16 partitions move at once while 16 more work; then 8 each way               1 min
load: all
	@$(FAMILY) /usr/bin/python3 tools/load.py --build $(BUILD)

## soak     a day's life of two hosts; SOAK_SEED repeats one                             SOAK_MINUTES=10
soak: all
	@$(FAMILY) /usr/bin/python3 tools/soak.py --build $(BUILD) --minutes $(SOAK_MINUTES) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

## model    all that spin is asked about the hand-off (docs/model.md)                    hours
model:
	@tools/install-deps.sh model
	@migrate/tests/mutate_handoff.py
	@models/check.py --whole --work $(BUILD)-model

## bench    moves of every kind beside raw TCP and the least they could cost             half an hour
#           ROWS=idle,200: some of them; RUNS=1: medians want 5, the default
bench: all
	@$(FAMILY) /usr/bin/python3 bench/bench.py --build $(BUILD) $(if $(ROWS),--rows "$(ROWS)") $(if $(RUNS),--runs $(RUNS)) $(if $(wildcard $(QEMU)),--qemu $(QEMU))

## bench-deps   a current QEMU into build-qemu/, for bench to measure beside; 170 MB        1 min
bench-deps:
	@bench/get_qemu.sh $(dir $(QEMU))

## asan     make test, with the address and undefined behaviour sanitizers      half an hour
asan:
	@$(MAKE) --no-print-directory test BUILD=build-asan MESON_ARGS="-Db_sanitize=address,undefined -Db_lundef=false"

## tsan     make test, with the thread sanitizer                                an hour
tsan:
	@$(MAKE) --no-print-directory test BUILD=build-tsan MESON_ARGS="-Db_sanitize=thread -Db_lundef=false"

## fuzz     what strangers send, fuzzed: a dozen targets                                 FUZZ_SECONDS=20 each
fuzz: deps
	@tools/fuzz.sh

## lint     what tells of mistakes without running the program                           5 min
lint:
	@tools/install-deps.sh lint
	@tools/lint.sh $(BUILD)

## install  PREFIX=/usr: where it is made for; DESTDIR=/stage: where it is put
install: all
	@$(if $(PREFIX),meson configure $(BUILD) --prefix $(PREFIX))
	@meson install -C $(BUILD) --quiet

## clean    remove what was built
clean:
	@rm -rf build build-asan build-tsan build-gcc build-clang build-fuzz build-model
