# Shell functions: ask Debian 12's package lists. Sourced by the scripts beside it; needs bash.
#
# On Debian 12 the host's own lists and sources are used. Elsewhere (another Debian, Ubuntu) a private set of lists is
# kept in OUT/apt, so that the same operating systems come out whatever the host is.

SUITE=bookworm

# Sets APT (an array: options for every apt command) and SOURCES (one-line sources.list). $1: directory for own lists.
debian_apt() {
    local own=$1/apt codename
    APT_OUT=$1
    APT_LISTS=/var/lib/apt/lists
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    APT=(-o APT::Sandbox::User=root -o Acquire::Retries=3)
    if [ "$codename" = "$SUITE" ] && [ -z "${NIBS_OWN_APT_LISTS:-}" ]; then
        # Not what a host may have beside it, as backports or the next release.
        SOURCES=$(apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
            'Created-By: Packages' 'Origin: Debian' | grep -E " $SUITE(-updates|-security)? main\$" | sort -u)
        [ -n "$SOURCES" ] || {
            echo "$0: apt has no package lists of Debian; run apt-get update" >&2
            return 1
        }
        return
    fi
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f "$keyring" ] || {
        echo "$0: $keyring is missing (package debian-archive-keyring)" >&2
        return 1
    }
    SOURCES="deb [signed-by=$keyring] http://deb.debian.org/debian $SUITE main
deb [signed-by=$keyring] http://deb.debian.org/debian $SUITE-updates main
deb [signed-by=$keyring] http://deb.debian.org/debian-security $SUITE-security main"
    mkdir -p "$own/lists/partial" "$own/archives/partial"
    echo "$SOURCES" >"$own/sources.list"
    APT+=(-o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/nonexistent
        -o Dir::State::Lists="$own/lists" -o Dir::Cache::Archives="$own/archives")
    # A day old is new enough: what changes in between are security updates.
    if [ -z "$(find "$own/updated" -mmin -1440 2>/dev/null)" ]; then
        apt-get "${APT[@]}" -qq update
        touch "$own/updated"
    fi
    APT_LISTS=$own/lists
}

# Prints `PACKAGE VERSION` of the named packages and all that they depend on, as on an empty system. apt needs seconds
# for that, so what it said is kept until the package lists change.
closure_of_packages() {
    local kept=$APT_OUT/closures/$({
        echo "$*"
        ls -l --time-style=full-iso "$APT_LISTS"
    } | sha256sum | cut -c1-16)
    if [ ! -s "$kept" ]; then
        mkdir -p "$APT_OUT/closures"
        find "$APT_OUT/closures" -type f -mtime +1 -delete
        apt-get "${APT[@]}" -s -o Dir::State::Status=/dev/null --no-install-recommends install "$@" |
            sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort >"$kept.part"
        mv "$kept.part" "$kept"
    fi
    cat "$kept"
}
