# The front door; CMake does the work.  Every target that builds sets up what it needs first.
.PHONY: all setup configure demo test check check-full bench install clean
BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

all: configure
	@cmake --build $(BUILD) -j $(JOBS)

setup:
	@tools/setup.sh

configure: setup
	@cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=RelWithDebInfo $(CMAKE_ARGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }; rm -f $(BUILD).log

test: all
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

clean:
	rm -rf $(BUILD)
