# SPDX-License-Identifier: Apache-2.0
# A thin face over meson: every target works as the first command on a fresh Debian machine.
BUILD := build
MESON_ARGS ?=
JOBS ?= $(shell nproc)
SOAK_MINUTES ?= 10
# What starts hosts ends them too, also when it is interrupted.
FAMILY := /usr/bin/python3 tools/family.py

.PHONY: all deps demo test unit walk load soak model bench asan tsan fuzz lint install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS) --quiet

deps:
	@tools/install-deps.sh

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) $(MESON_ARGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

demo: all
	@$(FAMILY) /usr/bin/python3 tools/demo.py --build $(BUILD)

test: all
	@$(FAMILY) /usr/bin/python3 tools/run_tests.py --build $(BUILD)

unit: all
	@$(FAMILY) /usr/bin/python3 tools/run_tests.py --build $(BUILD) --suite unit

# Every fault at every place of a move (docs/faults.md); FAULT=TEXT: only the cases whose name contains it.
walk: all
	@VF_BUILD=$(BUILD) $(FAMILY) /usr/bin/python3 tests/faults/walk.py $(if $(FAULT),--only "$(FAULT)") --out $(BUILD)/tests/faults/walk.md

# All that spin is asked about the hand-off (docs/model.md); make test asks what takes a minute.
model: deps
	@models/check.py --whole --work $(BUILD)-model

bench: all
	@$(FAMILY) /usr/bin/python3 bench/bench.py --build $(BUILD)

# A day's life of two hosts in SOAK_MINUTES; SOAK_SEED repeats its choices.
soak: all
	@$(FAMILY) /usr/bin/python3 tools/soak.py --build $(BUILD) --minutes $(SOAK_MINUTES) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

# 16 partitions move at once while 16 more work; then 8 each way.
load: all
	@$(FAMILY) /usr/bin/python3 tools/load.py --build $(BUILD)

asan: deps
	@$(MAKE) --no-print-directory test BUILD=build-asan MESON_ARGS="-Db_sanitize=address,undefined -Db_lundef=false"

tsan: deps
	@$(MAKE) --no-print-directory test BUILD=build-tsan MESON_ARGS="-Db_sanitize=thread -Db_lundef=false"

fuzz: deps
	@tools/fuzz.sh

lint: all
	@tools/lint.sh $(BUILD)

# PREFIX=/usr changes where it is made for; DESTDIR=/stage puts it elsewhere.
install: all
	@$(if $(PREFIX),meson configure $(BUILD) --prefix $(PREFIX))
	@meson install -C $(BUILD) --quiet

clean:
	@rm -rf build build-asan build-tsan build-gcc build-clang build-fuzz build-model
