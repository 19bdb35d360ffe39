# Nibs. `make` lists the targets. Needs Debian or Ubuntu, Rust (stable, with clippy and rustfmt) and Go; what else is
# missing, each target installs by apt, after it has said what.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET := $(shell uname -m)-unknown-linux-gnu
BIN := target/$(TARGET)/release
ACTIONS := wipe-disk stream-image grow-partition write-netplan write-cloud-init kexec-reboot
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# To build: a C compiler for what cannot be had in Rust, and libblkid as a static library with its headers.
DEPS_BUILD := build-essential libblkid-dev libclang-dev ca-certificates
# To make the disk image, the in-memory OS and the virtual machine of `make demo`.
DEPS_DEMO := qemu-system-x86 qemu-utils ovmf mmdebstrap containerd runc skopeo docker-registry busybox-static cpio kmod \
	dosfstools mtools gdisk fdisk e2fsprogs zstd util-linux openssh-client lvm2 curl
# To run all suites: what makes old disks, and the runtimes that must take the images.
DEPS_TEST := docker.io podman parted xfsprogs btrfs-progs mdadm cryptsetup-bin xz-utils bzip2 pigz iproute2 \
	tabix tinyproxy
# To kill stream-image at random: what makes its disks and packs its image.
DEPS_SOAK := gdisk util-linux gzip tabix zstd xz-utils bzip2
# To measure: a server, and whom stream-image is compared with.
DEPS_BENCH := nginx-light curl time gzip isal tabix zstd xz-utils bzip2 mmdebstrap gdisk fdisk dosfstools mtools e2fsprogs util-linux

DENY := target/tools/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ := target/tools/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
FUZZ_TARGETS := $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_SECONDS = $(or $(SECONDS),60)
BMAP := target/tools/bin/bmap-rs
BMAP_VERSION := 0.2.3

##@ For everybody
.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps-demo ## From a Hardware object to a booted node, in a virtual machine, with the real agent
	@tests/demo.sh

.PHONY: build
build: deps-build ## The actions and nibs, as static release binaries
	cargo build --release --locked $(ACTIONS:%=-p %) -p nibs

.PHONY: images
images: build ## An OCI image for each action, and target/oci/index.json that lists them
	cargo run --quiet --locked -p images -- pack --platform linux/amd64=$(BIN) --out target/oci

.PHONY: push
push: images deps-demo ## Push the images: make push REGISTRY=registry.example/nibs [SKOPEO_FLAGS=--dest-tls-verify=false]
	@[ -n "$${REGISTRY:-}" ] || { echo "push: set REGISTRY, as in: make push REGISTRY=registry.example/nibs" >&2; exit 2; }
	for name in $(ACTIONS); do skopeo copy --all --preserve-digests $(SKOPEO_FLAGS) "oci:target/oci/$$name:$(VERSION)" \
		"docker://$$REGISTRY/$$name:$(VERSION)"; done

##@ For those who work on it
.PHONY: test
test: check deps images os ## Everything: checks, unit tests, loop devices, container runtimes, virtual machines
	cd tests/tinkerbell && go test ./...
	cargo test --locked --workspace --no-fail-fast

.PHONY: check
check: deps-build $(DENY) ## Format, lints, licences and sources, and whether the docs match the code
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package stream-image --features fuzzing -- -D warnings
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(DENY) --log-level error check bans licenses sources
	cargo run --quiet --locked -p common --bin action-pages -- --check
	cargo run --quiet --locked -p nibs --bin finding-page -- --check
	cd tests/tinkerbell && test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./...

.PHONY: test-hand-over
test-hand-over: images os ## Whether SUCCESS comes before the machine goes, into tests/hand-over.md: make test-hand-over [RUNS=20]
	RUNS=$(or $(RUNS),20) TABLE=tests/hand-over.md cargo test --locked -p nibs-tests --test vm_hand_over -- --nocapture

.PHONY: test-matrix
test-matrix: deps images os ## Whole cycles on many machines and with faults, into tests/matrix.md: make test-matrix [ONLY=uefi-ahci,…]
	ONLY=$(ONLY) cargo run --quiet --locked -p nibs-tests --bin matrix

.PHONY: soak
soak: build ## Kill and cut off stream-image at random, look at what it leaves: make soak [SEED=] [FIRST=0] [ROUNDS=1000]
	@tests/deps.sh $(DEPS_SOAK)
	SEED=$(SEED) FIRST=$(FIRST) ROUNDS=$(ROUNDS) cargo run --quiet --locked -p nibs-tests --bin soak

.PHONY: bench
bench: deps-bench $(BMAP) ## How fast stream-image is: make bench [RUNS=5] [ONLY=gz,gz-pipe] [SAVE=1: as the reference in tests/bench]
	cargo build --release --locked -p stream-image
	cargo build --release --locked -p nibs-tests --bin bench
	RUNS=$(RUNS) ONLY=$(ONLY) SAVE=$(SAVE) $(BIN)/bench

.PHONY: bench-nibs
bench-nibs: deps-build ## How long nibs takes with 10,000 servers: make bench-nibs [RUNS=5] [SAVE=1: as the reference in tests/bench]
	@tests/deps.sh time
	cargo build --release --locked -p nibs
	RUNS=$(RUNS) SAVE=$(SAVE) cargo run --quiet --locked -p nibs-tests --bin bench-nibs

# cargo-fuzz replaces the flags of .cargo/config.toml, so nothing is static here: no sanitizer works with that. The address
# sanitizer, which needs RUSTC_BOOTSTRAP, sees the decoders' unsafe Rust and, of their C, what it allocates and frees. What
# a decoder holds that was given up, and ends a moment later, is no leak.
.PHONY: fuzz
fuzz: deps-build $(FUZZ) ## Look for input that breaks a parser: make fuzz [SECONDS=60] [FUZZ_TARGETS="gpt mbr"]
	for name in $(FUZZ_TARGETS); do mkdir -p target/fuzz/corpus/$$name && RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0 \
		$(FUZZ) fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz --no-cfg-fuzzing $$name target/fuzz/corpus/$$name \
		tests/fuzz/corpus/$$name -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -malloc_limit_mb=320; done

.PHONY: docs
docs: deps-build ## Make the generated parts of the pages anew; man pages and completions of nibs into target/nibs
	cargo run --quiet --locked -p common --bin action-pages
	cargo run --quiet --locked -p nibs --bin finding-page
	cargo run --quiet --locked -p nibs --bin command-pages target/nibs

.PHONY: clean
clean: ## Remove all that was made
	rm -rf target

##@ Parts of the above
.PHONY: os-demo
os-demo: tinkerbell ## The Debian disk image and the in-memory OS, when something in them changed
	tests/os/debian.sh
	tests/os/memory-os.sh agent target/tinkerbell/tink-agent

.PHONY: os
os: os-demo ## Those, the in-memory OS with Docker, and the guest of the suites
	tests/os/memory-os.sh agent-docker target/tinkerbell/tink-agent
	tests/os/memory-os.sh guest

.PHONY: tinkerbell
tinkerbell: ## The real tink-agent and the server of the suites
	cd tests/tinkerbell && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../../target/tinkerbell/tink-agent \
		github.com/tinkerbell/tinkerbell/cmd/agent
	cd tests/tinkerbell && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../../target/tinkerbell/tinkerbell-server .

.PHONY: deps
deps: toolchains ## Install all Debian packages that are missing
	@tests/deps.sh $(DEPS_BUILD) $(DEPS_DEMO) $(DEPS_TEST)

.PHONY: deps-build deps-demo deps-bench toolchains
deps-build: toolchains
	@tests/deps.sh $(DEPS_BUILD)
deps-demo: toolchains
	@tests/deps.sh $(DEPS_BUILD) $(DEPS_DEMO)
deps-bench: toolchains
	@tests/deps.sh $(DEPS_BUILD) $(DEPS_BENCH)
toolchains:
	@for tool in cargo cargo-clippy cargo-fmt go; do command -v $$tool > /dev/null || { \
		echo "deps: $$tool is missing; install Rust (https://rustup.rs, stable) and Go (https://go.dev/dl, 1.26)" >&2; exit 1; }; done

$(DENY): | toolchains
	@echo "deps: cargo-deny $(DENY_VERSION) is missing; installing it into target/tools by cargo"
	cargo install --quiet --locked --root target/tools --version $(DENY_VERSION) cargo-deny

$(FUZZ): | toolchains
	@echo "deps: cargo-fuzz $(FUZZ_VERSION) is missing; installing it into target/tools by cargo"
	cargo install --quiet --locked --root target/tools --version $(FUZZ_VERSION) cargo-fuzz

$(BMAP): | toolchains
	@echo "deps: bmap-rs $(BMAP_VERSION) is missing; installing it into target/tools by cargo"
	cargo install --quiet --locked --root target/tools --version $(BMAP_VERSION) bmap-rs
