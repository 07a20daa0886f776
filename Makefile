# make demo   see one lead go through a host, end to end (ONCE=1: stop after the story)
# make test   every test
# make bench  measure, print a table, write target/bench/latest.json
# make hostile  strangers' worst, one probe at a time, and a table of what each cost
# make fuzz   look for what breaks a reader of strangers' texts (FUZZ_ARGS: libFuzzer's)
#
# Each installs what is missing: the wasm targets of rustup's toolchain.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo test bench hostile fuzz guests setup

WASM := wasm32-unknown-unknown

setup:
	@rustup target list --installed | grep -qx $(WASM) || rustup target add $(WASM)
	@rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2

# Every guest is a finished component in target/$(WASM)/guest/; one also as Rust's own WASI target makes it.
guests: setup
	cargo build --quiet --profile guest --target $(WASM) \
	  -p example-web-form -p example-crm -p example-mail -p example-chat -p example-exchange-rates -p example-lead-intake -p example-lead-approval \
	  -p example-http-hello \
	  -p probes --lib --examples
	cargo build --quiet --profile guest --target wasm32-wasip2 -p probes --example wasi_reach

demo: guests
	cargo build --quiet --bins
	tests/demo/run.sh

# The stories run the binary `wharf` itself, which `cargo test` alone would not build.
test: guests
	cargo build --quiet --bins
	cargo test --quiet

bench: guests
	cargo build --quiet --release --bins
	target/release/bench

# The table is printed also if a story fails; one at a time, so that each is measured alone.
hostile: guests
	cargo build --quiet --bins
	rm -rf target/hostile && mkdir -p target/hostile
	status=0; WHARF_HOSTILE_ROWS=$(CURDIR)/target/hostile \
	  cargo test --quiet -p tests-hostile --lib -- --test-threads=1 || status=$$?; \
	target/debug/hostile-table target/hostile && exit $$status

# As long as you like: FUZZ_ARGS=-max_total_time=600. By default it is the same each time, as CI needs it.
FUZZ_ARGS ?= -runs=5000 -seed=1
FUZZ := --fuzz-dir tests/fuzz --dev --sanitizer none --features libfuzzer

# The stable compiler has the coverage that the fuzzer needs; the sanitizers, which it has not, find little in safe code.
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
	cargo fuzz build $(FUZZ)
	for target in $$(cargo fuzz list --fuzz-dir tests/fuzz); do \
	  mkdir -p target/fuzz/$$target; \
	  cargo fuzz run $(FUZZ) $$target target/fuzz/$$target tests/fuzz/seeds/$$target -- \
	    $(FUZZ_ARGS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1; \
	done
