# What a node says of itself: sections that begin with a line `=== NAME`. Run as a user who may use sudo.
section() { echo "=== $1"; }
section hostname; hostname
section system; . /etc/os-release; echo "$PRETTY_NAME"
section kernel; uname -r
section firmware; [ -d /sys/firmware/efi ] && echo uefi || echo bios
section links; ip -json address show
section routes; ip -json route show default
section name_servers; resolvectl --no-pager dns
section root_source; findmnt --noheadings --nofsroot --output SOURCE /
section root_kind; findmnt --noheadings --output FSTYPE /
part=$(findmnt --noheadings --nofsroot --output SOURCE /); part=${part##*/}; disk=$(basename "$(dirname "$(readlink -f "/sys/class/block/$part")")")
section root_partition_sectors; cat "/sys/class/block/$part/start" "/sys/class/block/$part/size"
section disk_sectors; cat "/sys/class/block/$disk/size"
section root_filesystem; case $(findmnt --noheadings --output FSTYPE /) in
xfs) sudo xfs_info / | sed -n 's/^data .* bsize=\([0-9]*\) *blocks=\([0-9]*\),.*/\2 \1/p' ;;
btrfs) stat --file-system --format '%b %S' / ;;
*) sudo dumpe2fs -h "/dev/$part" 2>/dev/null | grep -E '^Block (count|size):' ;;
esac
section cloud_init; cloud-init status --long
section bootstrap; sudo cat /var/lib/bootstrap.done
section written; sudo stat --format '%a %U %n' /etc/kubernetes/bootstrap-kubelet.conf /opt/bin/bootstrap
section netplan; sudo stat --format '%a %U %n' /etc/netplan/*
section seed; sudo find /var/lib/cloud/seed -printf '%m %u %p\n'
section failed_units; systemctl --failed --no-legend --plain
