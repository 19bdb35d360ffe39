# Shell functions: copy the host's programs with the libraries that they load. Sourced; needs bash.
#
# The tree has the merged-/usr layout: everything lands below usr/, under the path that the dynamic loader looks for.

# Prints the files that the named programs need: themselves and their libraries, as `SOURCE TARGET-BELOW-ROOT`.
elf_files() {
    local program path
    for program in "$@"; do
        path=$(command -v "$program") || {
            echo "$0: $program is missing" >&2
            return 1
        }
        echo "$path $(merged_path "$path")"
        # A static program makes ldd fail, and needs nothing.
        { ldd "$path" 2>/dev/null || true; } | sed -n -e 's/.*=> \(\/[^ ]*\) .*/\1/p' -e 's/^\s*\(\/[^ ]*\) .*/\1/p' |
            while read -r library; do
                echo "$library $(merged_path "$library")"
            done
    done | sort -u -k2,2
}

# /lib/x/y and /usr/lib/x/y are the same file: prints usr/lib/x/y.
merged_path() {
    case $1 in
    /usr/*) echo "${1#/}" ;;
    *) echo "usr$1" ;;
    esac
}

# install_elf_files ROOT: copies what `elf_files` printed on standard input into ROOT, following symbolic links.
install_elf_files() {
    local root=$1 source target
    while read -r source target; do
        mkdir -p "$root/${target%/*}"
        cp -L --preserve=mode "$source" "$root/$target"
    done
}
