#!/bin/bash
# Makes the in-memory OS: Debian's kernel and an initial RAM filesystem, as files for `qemu -kernel -initrd`.
#
#   memory-os.sh kernel [OUT]          OUT/vmlinuz alone
#   memory-os.sh guest [OUT]           OUT/vmlinuz, OUT/guest-os.cpio: a guest for tests, with the host's disk tools
#   memory-os.sh agent AGENT [OUT]     OUT/vmlinuz, OUT/memory-os.cpio: containerd, runc and the tink-agent AGENT
#   memory-os.sh agent-docker AGENT [OUT]   OUT/vmlinuz, OUT/memory-os-docker.cpio: those, and Docker
#
# OUT is target/os of this checkout unless it is given. What /init does is decided by the kernel's command line: see
# memory-os/init. Made again only when something it is made from has changed. Needs root (for device nodes' and files'
# owners), no KVM, no mounts, no loop devices.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/made-from.sh"
. "$here/debian-apt.sh"
. "$here/elf-closure.sh"

usage() {
    sed -n '4,7s/^# *//p' "$0" >&2
    exit 2
}

kind=${1:-}
case $kind in
kernel | guest) shift ;;
agent | agent-docker)
    agent=${2:-}
    [ -n "$agent" ] || usage
    [ -x "$agent" ] || {
        echo "$0: the agent $agent is no program" >&2
        exit 2
    }
    shift 2
    ;;
*) usage ;;
esac
out=${1:-$here/../../target/os}
[ "$(id -u)" = 0 ] || {
    echo "$0: must run as root" >&2
    exit 1
}
require_commands busybox=busybox-static cpio=cpio depmod=kmod dpkg=dpkg flock=util-linux ldd=libc-bin

mkdir -p "$out"
out=$(cd "$out" && pwd)
lock_output "$out"
make_work_folder "$out"

# Modules of the in-memory OS: virtual and real storage and network, filesystems, RAID, mapping and encryption.
modules=(
    virtio_pci virtio_net virtio_blk virtio_scsi virtio_rng virtio_console 9p 9pnet_virtio
    nvme ahci ata_piix sd_mod sg megaraid_sas mpt3sas usb_storage xhci_pci e1000 e1000e igb af_packet
    ext4 xfs btrfs vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 overlay loop efivarfs
    dm_mod dm_crypt dm_snapshot dm_flakey raid0 raid1 raid456
    xts ecb cbc aes_generic aesni_intel sha256_generic algif_skcipher algif_hash crc32c_generic
)
container_programs=(containerd containerd-shim-runc-v2 ctr runc)
docker_programs=("${container_programs[@]}" dockerd)
guest_programs=(
    blkdiscard blkid blockdev cmp cryptsetup curl dash dd dmsetup e2fsck findmnt fsck.vfat losetup lsblk lvm mdadm
    mkfs.btrfs mkfs.ext4 mkfs.vfat mkfs.xfs mkswap partx sfdisk sgdisk wipefs xfs_repair btrfs dumpe2fs fallocate
)

pack() { # DIRECTORY: prints it as a cpio archive in the kernel's format
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --create --format=newc --reproducible --owner=0:0)
}

debian_apt "$out"
read -r kernel_package kernel_version <<<"$(closure_of_packages linux-image-amd64 | grep '^linux-image-[0-9]')"
[ -n "$kernel_version" ] || {
    echo "$0: apt knows no linux-image-amd64 of Debian $SUITE; run apt-get update" >&2
    exit 1
}
release=${kernel_package#linux-image-}

# --- the part that both have: kernel modules, busybox, /init

base_digest=$({
    cat "$here/memory-os.sh" "$here/elf-closure.sh" "$here"/memory-os/* /etc/mke2fs.conf
    echo "$kernel_package $kernel_version"
    elf_files busybox modprobe setpriv | while read -r source target; do sha256sum <"$source"; echo "$target"; done
} | digest_of_input)

if ! is_made "$out/base.made-from" "$base_digest" "$out/vmlinuz" "$out/base.cpio"; then
    echo "memory OS: kernel $release ($kernel_version), ${#modules[@]} modules and what they need" >&2
    rm -f "$out/base.made-from"
    package="$out/packages/${kernel_package}_${kernel_version//:/%3a}_amd64.deb"
    if [ ! -s "$package" ]; then
        mkdir -p "$out/packages"
        rm -f "$out/packages/linux-image-"*.deb
        (cd "$out/packages" && apt-get "${APT[@]}" -qq download "$kernel_package")
    fi
    dpkg-deb --fsys-tarfile "$package" |
        tar -x -C "$work" --wildcards "./boot/vmlinuz-*" "./lib/modules/*"
    depmod -b "$work" "$release"

    root=$work/root
    mkdir -p "$root"/{busybox,dev,etc,newroot,proc,root,run,share,sys,tmp,mnt} "$root"/var/{lib,log} \
        "$root"/usr/{bin,sbin,lib,lib64} "$root/usr/lib/modules/$release"
    ln -s /run "$root/var/run"
    for each in bin sbin lib lib64; do
        ln -s "usr/$each" "$root/$each"
    done
    # modprobe -D prints "insmod PATH [OPTIONS]" in the order of loading, or "builtin NAME".
    for each in "${modules[@]}"; do
        modprobe -d "$work" -S "$release" -D "$each" || {
            echo "$0: the kernel $release has no module $each" >&2
            exit 1
        }
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
        target="$root/usr/${file#"$work/"}"
        mkdir -p "${target%/*}"
        cp "$file" "$target"
    done
    cp "$work/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$root/usr/lib/modules/$release/"
    depmod -b "$root" "$release"

    elf_files busybox modprobe setpriv | install_elf_files "$root"
    ln -s modprobe "$root/usr/sbin/insmod"
    ln -s modprobe "$root/usr/sbin/lsmod"
    for each in $(busybox --list); do
        ln -s "/$(merged_path "$(command -v busybox)")" "$root/busybox/$each"
    done
    ln -s /busybox/sh "$root/usr/bin/sh"
    cp "$here/memory-os/init" "$root/init"
    cp "$here/memory-os/udhcpc.script" "$root/etc/udhcpc.script"
    mkdir -p "$root/etc/containerd"
    cp "$here/memory-os/containerd.toml" "$root/etc/containerd/config.toml"
    echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
    echo "root:x:0:" >"$root/etc/group"
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    chmod 1777 "$root/tmp"

    pack "$root" >"$out/base.cpio"
    cp "$work/boot/vmlinuz-$release" "$out/vmlinuz"
    echo "$base_digest" >"$out/base.made-from"
fi

[ "$kind" != kernel ] || exit 0

# --- the part of this kind, after which the whole is put together

case $kind in
guest) image=$out/guest-os.cpio programs=("${guest_programs[@]}") ;;
agent) image=$out/memory-os.cpio programs=("${container_programs[@]}") ;;
agent-docker) image=$out/memory-os-docker.cpio programs=("${docker_programs[@]}") ;;
esac
files=$(elf_files "${programs[@]}")
digest=$({
    echo "$base_digest"
    echo "$files" | while read -r source target; do sha256sum <"$source"; echo "$target"; done
    if [ -n "${agent:-}" ]; then sha256sum <"$agent"; fi
} | digest_of_input)

if ! is_made "$image.made-from" "$digest" "$image"; then
    rm -f "$image.made-from"
    root=$work/$kind
    mkdir -p "$root/usr"
    echo "$files" | install_elf_files "$root"
    case $kind in
    agent | agent-docker) install -D -m 755 "$agent" "$root/usr/bin/tink-agent" ;;
    guest)
        # busybox' own shell would take its applets before the tools of the same names.
        ln -s dash "$root/usr/bin/sh"
        install -D -m 644 "$here/memory-os/lvm.conf" "$root/etc/lvm/lvm.conf"
        install -D -m 644 /etc/mke2fs.conf "$root/etc/mke2fs.conf"
        ;;
    esac
    # The kernel unpacks archives that follow one another, one over the other.
    { cat "$out/base.cpio" && pack "$root"; } >"$image"
    echo "$digest" >"$image.made-from"
    echo "memory OS: ${image##*/}, $(($(stat -c %s "$image") / 1000000)) MB" >&2
fi
