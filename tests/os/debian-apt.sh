# Shell functions: ask Debian 12's package lists. Sourced by the scripts beside it; needs bash.
#
# On Debian 12 the host's own lists and sources are used. Elsewhere (another Debian, Ubuntu) a private set of lists is
# kept in OUT/apt, so that the same operating systems come out whatever the host is.

SUITE=bookworm
# Host options that apt must keep: a proxy, a wrong clock.
APT_HOST_OPTIONS=/etc/apt/apt.conf.d

# Sets APT (an array: options for every apt command) and SOURCES (one-line sources.list). $1: directory for own lists.
debian_apt() {
    local own=$1/apt codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    APT=(-o APT::Sandbox::User=root -o Acquire::Retries=3)
    if [ "$codename" = "$SUITE" ] && [ -z "${NIBS_OWN_APT_LISTS:-}" ]; then
        SOURCES=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
            'Created-By: Packages' 'Origin: Debian' | sort -u)
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
}

# Prints `PACKAGE VERSION` of the named packages and all that they depend on, as on an empty system.
closure_of_packages() {
    apt-get "${APT[@]}" -s -o Dir::State::Status=/dev/null --no-install-recommends install "$@" |
        sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort
}
