#!/bin/bash
# Makes a Debian 12 disk image as a cloud's would be: from the host's apt sources, with mmdebstrap.
#
#   debian.sh [OPTION...] [OUT]    OUT/debian-12.raw and debian-12.raw.zst, each with its .sha256 beside it, as sha256sum
#                                  writes them
#     --gz                         also debian-12.raw.gz
#     --raw                        debian-12.raw alone
#     --size MIB                   of the disk; 1536 unless it is given
#     --with PACKAGE,...           further packages
#     --name NAME                  debian-12-NAME.raw instead, to keep several kinds
#     --root-fs FS                 ext4, xfs or btrfs; ext4 unless it is given
#     --separate-boot              /boot is a partition of its own, with ext4
#     --block-size BYTES           logical blocks of the disks that it is for: 512, or 4096, which boots by UEFI alone
#     --real-machines              the kernel for real machines (AHCI, and much more) instead of the one for clouds
#
# OUT is target/os of this checkout unless it is given. GPT with a BIOS boot partition, an EFI system partition, where it was
# asked for a /boot, and a root that comes last. It boots by BIOS and by UEFI, has a serial console on ttyS0, and no
# identity: machine-id, host keys, users and addresses come from cloud-init (NoCloud, from /var/lib/cloud/seed/nocloud or a
# disk). Without a seed cloud-init stays off and nobody can log in.
#
# Made again only when the script or a package that goes into it has changed. Needs root, no KVM, no loop device but for XFS
# and btrfs; all mounts are in a mount namespace of their own.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/made-from.sh"
. "$here/debian-apt.sh"

gz=0 zst=1 size_mib=1536 further=() name=debian-12 root_fs=ext4 separate_boot=0 block_bytes=512 flavour=cloud-amd64
while [[ ${1:-} = --* ]]; do
    case $1 in
    --gz) gz=1 ;;
    --raw) zst=0 ;;
    --size) size_mib=$2 && shift ;;
    --with) IFS=, read -ra further <<<"$2" && shift ;;
    --name) name=debian-12-$2 && shift ;;
    --root-fs) root_fs=$2 && shift ;;
    --separate-boot) separate_boot=1 ;;
    --block-size) block_bytes=$2 && shift ;;
    --real-machines) flavour=amd64 ;;
    *)
        echo "$0: $1 is no option; there are" >&2
        sed -n 's/^#     \(--[^ ]* *[A-Z.,]*\) .*/  \1/p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
case $root_fs in
ext4) ;;
xfs) further+=(xfsprogs) ;;
btrfs) further+=(btrfs-progs) ;;
*)
    echo "$0: --root-fs $root_fs; there are ext4, xfs and btrfs" >&2
    exit 2
    ;;
esac
case $block_bytes in
512 | 4096) ;;
*)
    echo "$0: --block-size $block_bytes; there are 512 and 4096" >&2
    exit 2
    ;;
esac
out=${1:-$here/../../target/os}
[ "$(id -u)" = 0 ] || {
    echo "$0: must run as root" >&2
    exit 1
}
require_commands mmdebstrap=mmdebstrap sgdisk=gdisk mkfs.ext4=e2fsprogs mkfs.vfat=dosfstools mcopy=mtools zstd=zstd \
    flock=util-linux fdisk=fdisk
[ "$root_fs" = ext4 ] || require_commands "mkfs.$root_fs=${root_fs/btrfs/btrfs-}progs"
mkdir -p "$out"
out=$(cd "$out" && pwd)
lock_output "$out"

packages=(
    systemd-sysv systemd-resolved systemd-timesyncd udev dbus login kmod iproute2 e2fsprogs dosfstools
    linux-image-$flavour initramfs-tools zstd grub-efi-amd64-bin grub-pc-bin grub2-common
    cloud-init cloud-guest-utils netplan.io openssh-server sudo
    "${further[@]}"
)
# Partitions, in MiB from the beginning of the disk: 1 BIOS boot, 2 ESP, 3 /boot where it is one, the last one root to the
# last MiB.
esp_start_mib=2 esp_mib=64 boot_start_mib=66 boot_mib=0 root_number=3 root_end_mib=$((size_mib - 1))
[ "$separate_boot" = 0 ] || boot_mib=256 root_number=4
root_start_mib=$((boot_start_mib + boot_mib))

debian_apt "$out"
closure=$(closure_of_packages "${packages[@]}")
[ -n "$closure" ] || {
    echo "$0: apt cannot tell what ${packages[*]} need; run apt-get update" >&2
    exit 1
}
digest=$({
    cat "$here/debian.sh" "$here"/debian/*
    echo "$SOURCES" "$size_mib" "$root_fs" "$separate_boot" "$block_bytes"
    echo "$closure"
} | digest_of_input)

raw=$out/$name.raw
wanted=("$raw" "$raw.sha256")
[ "$zst" = 0 ] || wanted+=("$raw.zst" "$raw.zst.sha256")

# compress FROM SUFFIX COMMAND...: makes FROM.SUFFIX out of the file FROM, and its digest file.
compress() {
    local from=$1 file=$1.$2
    shift 2
    "$@" <"$from" >"$file.part"
    mv "$file.part" "$file"
    write_digest "$file"
}

write_digest() {
    (cd "${1%/*}" && sha256sum "${1##*/}" >"${1##*/}.sha256")
}

gz_is_wanted_and_missing() {
    [ "$gz" = 1 ] && { [ ! -s "$raw.gz" ] || [ ! -s "$raw.gz.sha256" ]; }
}
if is_made "$raw.made-from" "$digest" "${wanted[@]}"; then
    ! gz_is_wanted_and_missing || compress "$raw" gz gzip -6
    exit 0
fi
make_work_folder "$out"

# --- the root filesystem

echo "debian: $(wc -l <<<"$closure") packages of Debian $SUITE by mmdebstrap" >&2
# mmdebstrap's apt reads no configuration of the host: hand it what says how to reach the archive.
apt_conf=$work/apt.conf
apt-config dump Acquire | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' >"$apt_conf" || true
root=$work/root
# In a mount namespace of its own, so that what it mounts in the new root ends with it, also when it is killed.
unshare --mount --propagation private mmdebstrap --quiet --mode=root --variant=minbase \
    --include="$(IFS=, && echo "${packages[*]}")" \
    --aptopt="$apt_conf" --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
    "$SUITE" "$root" - <<<"$SOURCES" >"$work/mmdebstrap.log" 2>&1 || {
    tail -n 30 "$work/mmdebstrap.log" >&2
    echo "$0: mmdebstrap failed" >&2
    exit 1
}

root_uuid=$(cat /proc/sys/kernel/random/uuid)
esp_id=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ' | tr a-f A-F)
kernel=$(cd "$root/boot" && ls vmlinuz-* | sort -V | tail -n 1)
release=${kernel#vmlinuz-}

boot_uuid=$root_uuid
case $root_fs in
ext4) echo "UUID=$root_uuid / ext4 rw,discard,errors=remount-ro 0 1" ;;
*) echo "UUID=$root_uuid / $root_fs rw,discard 0 0" ;;
esac >"$root/etc/fstab"
if [ "$separate_boot" = 1 ]; then
    boot_uuid=$(cat /proc/sys/kernel/random/uuid)
    echo "UUID=$boot_uuid /boot ext4 rw,discard 0 2" >>"$root/etc/fstab"
fi
echo "UUID=${esp_id:0:4}-${esp_id:4:4} /boot/efi vfat defaults,umask=077 0 0" >>"$root/etc/fstab"
mkdir -p "$root/boot/efi" "$root/etc/netplan"
# What Debian's own cloud images have: whatever card there is asks for an address until something else is known.
install -m 600 "$here/debian/90-default.yaml" "$root/etc/netplan/90-default.yaml"
install -m 644 "$here/debian/default-grub" "$root/etc/default/grub"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/boot/grub"
# Where /boot is a partition of its own, its files stand at that one's top.
boot_path=/boot
[ "$separate_boot" = 0 ] || boot_path=
sed -e "s/@UUID@/$root_uuid/g" -e "s/@BOOT_UUID@/$boot_uuid/g" -e "s,@BOOT@,$boot_path,g" -e "s/@RELEASE@/$release/g" \
    "$here/debian/grub.cfg" >"$root/boot/grub/grub.cfg"

# It saved most of the time here, and is wrong for a node.
sed -i /force-unsafe-io/d "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"

# No identity. An empty machine-id makes systemd draw one at the first boot.
echo localhost >"$root/etc/hostname"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/{apt,dpkg.log,bootstrap.log,alternatives.log}
rm -rf "$root"/var/lib/cloud/*

# --- the boot loaders: one GRUB for each firmware, with everything in it but its configuration

modules=(part_gpt ext2 xfs btrfs fat search search_fs_uuid normal configfile linux echo test ls cat minicmd serial terminal reboot
    halt gzio all_video sleep true)
cat >"$root/tmp/early.cfg" <<END
search --no-floppy --fs-uuid --set=root $boot_uuid
set prefix=(\$root)$boot_path/grub
configfile \$prefix/grub.cfg
END
chroot "$root" grub-mkimage --format=x86_64-efi --config=/tmp/early.cfg --prefix=/boot/grub --output=/tmp/bootx64.efi \
    "${modules[@]}" efi_gop
chroot "$root" grub-mkimage --format=i386-pc --config=/tmp/early.cfg --prefix=/boot/grub --output=/tmp/core.img \
    "${modules[@]}" biosdisk
mv "$root"/tmp/{bootx64.efi,core.img} "$work/"
cp "$root/usr/lib/grub/i386-pc/boot.img" "$work/boot.img"
rm "$root/tmp/early.cfg"

# --- the disk

echo "debian: the disk, $(du -sm "$root" | cut -f1) MB in $size_mib MiB" >&2
part=$work/$name.raw
truncate -s "${size_mib}M" "$part"
blocks_in_mib=$(((1 << 20) / block_bytes))
# The types are GUIDs: BIOS boot, ESP, and the Discoverable Partitions Specification's /boot and root for x86-64. fdisk asks,
# and can be told the block size; the number of the first partition is not asked for.
partition() { # NUMBER START_MIB END_MIB TYPE NAME: prints the answers
    printf '%s\n' n "$1" $(($2 * blocks_in_mib)) $(($3 * blocks_in_mib - 1)) t
    [ "$1" = 1 ] || echo "$1"
    printf '%s\n' "$4" x n
    [ "$1" = 1 ] || echo "$1"
    printf '%s\n' "$5" r
}
{
    echo g
    partition 1 1 2 21686148-6449-6E6F-744E-656564454649 bios
    partition 2 $esp_start_mib $((esp_start_mib + esp_mib)) C12A7328-F81F-11D2-BA4B-00A0C93EC93B esp
    [ "$separate_boot" = 0 ] ||
        partition 3 $boot_start_mib $root_start_mib BC13C2FF-59E6-4262-A352-B275FD6F7172 boot
    partition $root_number $root_start_mib $root_end_mib 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709 root
    echo w
} | fdisk --sector-size "$block_bytes" --wipe never --wipe-partitions never "$part" >"$work/fdisk.log" 2>&1
[ "$(fdisk --sector-size "$block_bytes" --list "$part" 2>/dev/null | grep -c "^$part")" = "$root_number" ] || {
    cat "$work/fdisk.log" >&2
    echo "$0: fdisk made something else than $root_number partitions" >&2
    exit 1
}

# write_at FILE OFFSET: into the disk, without cutting it off behind.
write_at() {
    dd if="$1" of="$part" bs=1M seek="$2" oflag=seek_bytes conv=notrunc,sparse status=none
}

truncate -s "${esp_mib}M" "$work/esp"
# A FAT32 of 4096-byte blocks would have to be larger.
fat_bits=32
[ "$block_bytes" = 512 ] || fat_bits=16
mkfs.vfat -F "$fat_bits" -S "$block_bytes" -n ESP -i "$esp_id" "$work/esp" >/dev/null
mmd -i "$work/esp" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
write_at "$work/esp" $((esp_start_mib << 20))

# The image's own mke2fs.conf: a newer host's would turn features on that this GRUB cannot read. A small filesystem would get
# blocks that are smaller than a disk's can be.
ext4_of() { # FILE MIB LABEL UUID FOLDER
    truncate -s "$2M" "$1"
    MKE2FS_CONFIG=$root/etc/mke2fs.conf mkfs.ext4 -q -F -b 4096 -L "$3" -U "$4" -d "$5" "$1"
}
if [ "$separate_boot" = 1 ]; then
    mv "$root/boot" "$work/boot"
    mkdir "$root/boot"
    mv "$work/boot/efi" "$root/boot/efi.later" && rmdir "$root/boot/efi.later"
    mkdir "$work/boot/efi"
    ext4_of "$work/boot.ext4" "$boot_mib" boot "$boot_uuid" "$work/boot"
    write_at "$work/boot.ext4" $((boot_start_mib << 20))
fi
root_mib=$((root_end_mib - root_start_mib))
case $root_fs in
ext4) ext4_of "$work/root.fs" "$root_mib" root "$root_uuid" "$root" ;;
*)
    truncate -s "${root_mib}M" "$work/root.fs"
    if [ "$root_fs" = xfs ]; then
        mkfs.xfs -q -s "size=$block_bytes" -L root -m "uuid=$root_uuid" "$work/root.fs"
    else
        mkfs.btrfs --quiet --label root --uuid "$root_uuid" "$work/root.fs"
    fi
    # mkfs.xfs fills nothing, and mkfs.btrfs makes a longer file than it was given; so it is mounted, where nobody else
    # sees it.
    mkdir "$work/mnt"
    unshare --mount --propagation private sh -euc '
        mount -o loop "$1/root.fs" "$1/mnt"
        cp -a "$2/." "$1/mnt/"
        umount "$1/mnt"' sh "$work" "$root"
    ;;
esac
write_at "$work/root.fs" $((root_start_mib << 20))

# GRUB for BIOS, as grub-bios-setup does it: core.img into the BIOS boot partition, its first sector told where the rest
# of it is, and the code of boot.img into the first 440 bytes of the disk, told where core.img is (boot.S, diskboot.S).
# Firmware of that kind reads blocks of 512 bytes alone.
le() { # VALUE BYTES: prints the number as little-endian bytes
    local value=$1 i
    for ((i = 0; i < $2; i++)); do
        printf "\\x$(printf %02x $((value & 255)))"
        value=$((value >> 8))
    done
}
patch() { # FILE OFFSET: writes standard input there
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
if [ "$block_bytes" = 512 ]; then
    core_sector=2048
    core_sectors=$((($(stat -c %s "$work/core.img") + 511) / 512))
    [ "$core_sectors" -le 2048 ] || {
        echo "$0: GRUB's core.img has $core_sectors sectors, the BIOS boot partition 2048" >&2
        exit 1
    }
    { le $((core_sector + 1)) 8 && le $((core_sectors - 1)) 2; } | patch "$work/core.img" $((0x1f4))
    le $core_sector 8 | patch "$work/boot.img" $((0x5c))
    # Two no-operations: trust the drive number that the BIOS gives.
    printf '\x90\x90' | patch "$work/boot.img" $((0x66))
    write_at "$work/core.img" $((core_sector * 512))
    head -c 440 "$work/boot.img" >"$work/boot.code"
    write_at "$work/boot.code" 0
    sgdisk --verify "$part" | grep -q 'No problems found' || {
        sgdisk --verify "$part" >&2
        exit 1
    }
fi
write_digest "$part"
[ "$zst" = 0 ] || compress "$part" zst zstd -q -T0 -9
[ "$gz" = 0 ] || compress "$part" gz gzip -6

# All at once, so that whoever serves the older one does so until there is a new one.
rm -f "$raw".*
mv "$part" "$part".* "$out/"
echo "$digest" >"$raw.made-from"
for file in "$raw"*; do
    [[ $file = *.sha256 || $file = *.made-from ]] || echo "debian: ${file##*/}, $(($(stat -c %s "$file") / 1000000)) MB" >&2
done
