# The front door; CMake does the work.  Every target that builds sets up what it needs first.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
inner = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL BUILD=$(BUILD) JOBS=$(JOBS) # an inner make counts its own jobs
.NOTPARALLEL:
.PHONY: all configure demo test check check-full check-hw bench install clean

all: configure
	@$(inner) cmake --build $(BUILD) -j $(JOBS)
configure:
	@tools/setup.sh
	@$(inner) cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_ARGS) --log-level=NOTICE >/dev/null
demo: configure
	@$(inner) cmake --build $(BUILD) -j $(JOBS) --target quamba
	@$(inner) tools/demo.sh
test: all
	@cd $(BUILD) && $(inner) ctest --output-on-failure -j $(JOBS)
check check-full: all
	@tools/setup.sh --check
	@$(inner) tools/$(subst -,_,$@).sh
check-hw: all
	@tools/setup.sh --hw
	@$(inner) tools/check_hw.sh
bench: all
	@$(inner) tools/bench.sh
install: all
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD)
clean:
	rm -rf $(BUILD) build-*
