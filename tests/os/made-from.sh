# Shell functions: make a file anew only when what it is made from has changed.
# Sourced by the scripts beside it; needs bash.
#
# Beside the files that a script makes lies `NAME.made-from`: the digest of everything they were made from. It is
# removed before the work begins and written after it has ended, so that a script cut short is run again.

# Prints one digest over standard input.
digest_of_input() {
    sha256sum | cut -d' ' -f1
}

# is_made STAMP DIGEST FILE...: true when STAMP holds DIGEST and every FILE is there.
is_made() {
    local stamp=$1 digest=$2 file
    shift 2
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] || return 1
    for file in "$@"; do
        [ -s "$file" ] || return 1
    done
}

# Only one process at a time makes things in directory $1: the others wait for it, and then find its work.
lock_output() {
    exec 9>"$1/.lock"
    flock --wait 1800 9 || {
        echo "$0: another process has held $1/.lock for 30 minutes" >&2
        exit 1
    }
}

# make_work_folder OUT: sets $work to a new folder in OUT, which goes when the script ends; one that was killed before
# could not take its own away. `--one-file-system`: whatever might be mounted below is none of ours to remove.
make_work_folder() {
    rm -rf --one-file-system "$1"/work.*
    work=$(mktemp -d "$1/work.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'exit 1' INT TERM HUP
}

# Fails with one line for every command that is missing, and the Debian package that has it: COMMAND=PACKAGE...
require_commands() {
    local pair missing=0
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || {
            echo "$0: ${pair%%=*} is missing (Debian package ${pair##*=})" >&2
            missing=1
        }
    done
    [ "$missing" = 0 ] || exit 1
}
