#!/bin/bash
# `make demo`, up to the virtual machine: makes what it needs, a line for each part, and then starts the demo itself. The
# output of each part goes to target/demo-build/, and its end is shown when the part fails.

set -euo pipefail
cd "$(dirname "$0")/.."
logs=target/demo-build
mkdir -p "$logs"

# part LABEL COMMAND: runs `make COMMAND`, and prints LABEL with what `words_LABEL` says and the time it took.
part() {
    local label=$1 target=$2 start=$SECONDS
    if ! make --no-print-directory "$target" > "$logs/$label.log" 2>&1; then
        tail -n 30 "$logs/$label.log" >&2
        echo "demo: FAILED: make $target; all of it is in $logs/$label.log" >&2
        exit 1
    fi
    local took=$((SECONDS - start))
    if [ $took -ge 60 ]; then
        took=$(printf '%dm%02ds' $((took / 60)) $((took % 60)))
    else
        took=${took}s
    fi
    printf '%-9s%-70s %s\n' "$label" "$("words_$label")" "$took"
}

words_build() { echo "6 actions, nibs"; }
words_images() { tail -n 1 "$logs/images.log"; }
words_agent() { echo "tink-agent $(sed -n 's/.*tinkerbell\/tinkerbell //p' tests/tinkerbell/go.mod), and a server for it"; }
words_os() {
    local size
    size=$(stat -c %s target/os/debian-12.raw.zst)
    echo "debian 12, .raw.zst of $((size / 1000000)) MB; the in-memory OS (made once, kept)"
}

printf '%-9s%s\n' deps "rust $(rustc --version | cut -d' ' -f2), $(go version | cut -d' ' -f3 | sed 's/^go/go /')"
part build build
part images images
part agent tinkerbell
part os os-demo
cargo build --quiet --locked -p nibs-tests --bin demo
exec "target/$(uname -m)-unknown-linux-gnu/debug/demo"
