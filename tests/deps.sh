#!/bin/bash
# Installs those of the named Debian packages that are missing, and says which.

set -euo pipefail

missing=()
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

stop() {
    echo "deps: $1; missing: ${missing[*]}" >&2
    exit 1
}
. /etc/os-release
case " ${ID:-} ${ID_LIKE:-} " in
*" debian "* | *" ubuntu "*) ;;
*) stop "this is ${PRETTY_NAME:-no known system}, and packages are installed on Debian and Ubuntu only" ;;
esac
[ "$(id -u)" = 0 ] || stop "packages are installed by root only: run this target as root, or install them first"

echo "deps: installing ${missing[*]} (apt, ${#missing[@]} packages)"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log"' EXIT
# The suites start their own daemons: none of those that come along is to run on this machine (invoke-rc.d(8)).
if [ ! -e "$policy" ]; then
    trap 'rm -f "$log" "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"; } \
    > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    stop "apt could not install them"
fi
