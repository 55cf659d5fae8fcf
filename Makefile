# Weir, by make:
#
#   make            a release build, at build/weir
#   make run        the demo: four small services with Weir in front of them (weir demo)
#   make test       every check there is; the last line says how many passed
#   make asan       the unit and end-to-end tests under AddressSanitizer and UBSan
#   make tsan       the same under ThreadSanitizer
#   make fuzz       each fuzz target for five minutes (tools/fuzz takes names and other times)
#   make lint       clang-format, clang-tidy, cppcheck, shellcheck
#   make format     lays all sources out as .clang-format says
#   make bench      against nginx and HAProxy; writes docs/benchmarks.md
#   make install    into PREFIX (/usr/local), below DESTDIR
#   make clean      removes build/
#
# Each target installs the Debian packages that it needs and does not find (tools/setup).

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all run test asan tsan fuzz lint format bench install clean help

all:
	@tools/setup build
	@tools/build release
	@ln -sf release/weir build/weir

run: all
	build/weir demo

test:
	@tools/setup build test
	@tools/test

asan tsan:
	@tools/setup build test
	@tools/test --build $@ unit e2e

fuzz:
	@tools/setup build test
	@tools/fuzz --seconds 300

lint:
	@tools/setup build lint
	@tools/lint

format:
	@tools/setup lint
	@tools/lint --format

bench: all
	@tools/setup bench
	@tools/build release bench-programs
	build/release/micro_balance
	bench/balance
	bench/run

install: all
	@tools/install "$(DESTDIR)" "$(PREFIX)"

clean:
	rm -rf build

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile
