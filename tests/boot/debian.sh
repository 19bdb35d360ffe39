#!/bin/bash
# Makes the boot files of the cases that Debian's own tools write: grub-mkconfig, grub-set-default, kernel-install, bootctl.
#
#   debian.sh CHROOTS [CASE...]   CHROOTS/bullseye, bookworm and trixie, each as `mmdebstrap --variant=minbase
#                                 --include=grub2-common,systemd,udev,btrfs-progs[,systemd-boot] SUITE FOLDER` makes it
#
# Each tool runs in a chroot on a real disk with real filesystems, so that it finds devices and UUIDs as on a machine. Of what
# is there afterwards the files go to good/CASE that decide what is started, with kernels of one line in the place of real ones;
# good/CASE/case.json, which says what must come out, is written by hand. Needs root, loop devices, gdisk, fdisk, e2fsprogs, xfsprogs and
# btrfs-progs; no FAT driver, so what is on an EFI system partition is made in a folder.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chroots=$(cd "$1" && pwd) && shift
only=" $* "
root_uuid=3f0b7a52-6f0e-4d0b-8a5c-0d7c0e6b1a01 boot_uuid=5c1d9f44-2a6b-4c1e-9b7d-1e8d1f7c2b02
part_uuid=9d0e8c6a-1b2f-4e3d-8c7b-6a5948372615
work=$(mktemp -d) loop=
finish() {
    ! mountpoint -q "$work/root" || umount -R "$work/root"
    [ -z "$loop" ] || { partx -d "$loop" 2>/dev/null || true; losetup -d "$loop"; }
    rm -rf "$work"
}
trap finish EXIT

# begin SUITE TABLE(gpt|dos) ROOT_FS(ext4|xfs|btrfs) BOOT_FS(ext4|-): mounts a disk with the suite's system at $work/root.
begin() {
    local chroot=$chroots/$1 table=$2 root_fs=$3 boot_fs=$4
    rm -f "$work/disk" && truncate -s 1G "$work/disk"
    if [ "$table" = gpt ]; then
        sgdisk -Z -n 1::+32M -t 1:ef00 -n 2::+128M -n 3:: -u 3:"$part_uuid" "$work/disk" >/dev/null
    else
        printf 'label: dos\n,32M\n,128M\n,,,*\n' | sfdisk -q "$work/disk"
    fi
    loop=$(losetup --show -f "$work/disk")
    partx -u "$loop" 2>/dev/null || partx -a "$loop"
    make_fs "$root_fs" "$root_uuid" "${loop}p3"
    mkdir -p "$work/root"
    if [ "$root_fs" = btrfs ]; then
        mount "${loop}p3" "$work/root"
        btrfs -q subvolume create "$work/root/@"
        umount "$work/root"
        mount -o subvol=@ "${loop}p3" "$work/root"
    else
        mount "${loop}p3" "$work/root"
    fi
    mkdir -p "$work/root"/{boot,usr,proc,sys,dev,run,tmp,var/lib,var/tmp,efi}
    if [ "$boot_fs" != - ]; then
        make_fs "$boot_fs" "$boot_uuid" "${loop}p2"
        mount "${loop}p2" "$work/root/boot"
    fi
    cp -a "$chroot/etc" "$work/root/etc"
    for name in bin sbin lib lib32 lib64 libx32; do
        if [ -L "$chroot/$name" ]; then
            cp -a "$chroot/$name" "$work/root/"
        elif [ -d "$chroot/$name" ]; then
            mkdir "$work/root/$name"
            mount --bind -o ro "$chroot/$name" "$work/root/$name"
        fi
    done
    mount --bind -o ro "$chroot/usr" "$work/root/usr"
    cp -a "$chroot/var/lib/dpkg" "$work/root/var/lib/"
    mount --bind /proc "$work/root/proc"
    # With the names by UUID that udev would make: without them no UUID gets into a command line.
    mount -t tmpfs dev "$work/root/dev"
    cp -a /dev/null /dev/zero /dev/urandom "$loop" "$loop"p* "$work/root/dev/"
    mkdir -p "$work/root/dev/disk/by-uuid" "$work/root/dev/disk/by-partuuid"
    ln -s "../../${loop##*/}p3" "$work/root/dev/disk/by-partuuid/$part_uuid"
    ln -s "../../${loop##*/}p3" "$work/root/dev/disk/by-uuid/$root_uuid"
    ln -s "../../${loop##*/}p2" "$work/root/dev/disk/by-uuid/$boot_uuid"
    mount --bind /sys "$work/root/sys"
    mkdir -p "$work/root/boot/grub"
    rm -f "$work/root/etc/default/grub"
}

make_fs() {
    case $1 in
    ext4) mkfs.ext4 -q -U "$2" "$3" ;;
    xfs) mkfs.xfs -q -f -m uuid="$2" "$3" ;;
    btrfs) mkfs.btrfs -q -f -U "$2" "$3" >/dev/null 2>&1 ;;
    esac
}

kernels() {
    for version in "$@"; do
        echo "kernel $version" >"$work/root/boot/vmlinuz-$version"
        echo "initrd $version" >"$work/root/boot/initrd.img-$version"
        echo "CONFIG_X=y" >"$work/root/boot/config-$version"
    done
}

# settings LINE...: /etc/default/grub as the package has it, with these lines behind it; then the menu is made.
settings() {
    mkdir -p "$work/root/etc/default"
    {
        echo 'GRUB_DEFAULT=0'
        echo 'GRUB_TIMEOUT=5'
        echo 'GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`'
        echo 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
        echo 'GRUB_CMDLINE_LINUX=""'
        printf '%s\n' "$@"
    } >"$work/root/etc/default/grub"
    chroot "$work/root" grub-editenv /boot/grub/grubenv create
    chroot "$work/root" grub-mkconfig -o /boot/grub/grub.cfg 2>"$work/log" || { cat "$work/log" >&2 && exit 1; }
}

# end CASE: takes the boot files, and lets the disk go.
end() {
    local to=$here/good/$1 root=$work/root below=
    [ "$(findmnt -no FSTYPE "$root")" != btrfs ] || below=@/
    mkdir -p "$to/root/${below}etc/default" "$to/root/${below}boot"
    cat "$root/etc/os-release" >"$to/root/${below}etc/os-release"
    [ ! -e "$root/etc/default/grub" ] || cp "$root/etc/default/grub" "$to/root/${below}etc/default/grub"
    local boot=$to/root/${below}boot
    ! mountpoint -q "$root/boot" || boot=$to/boot
    mkdir -p "$boot"
    for file in "$root"/boot/vmlinuz-* "$root"/boot/initrd.img-*; do [ ! -e "$file" ] || cp "$file" "$boot/"; done
    if [ -e "$root/boot/grub/grub.cfg" ]; then
        mkdir -p "$boot/grub"
        cat "$root/boot/grub/grub.cfg" >"$boot/grub/grub.cfg"
        cp "$root/boot/grub/grubenv" "$boot/grub/grubenv"
    fi
    if [ -e "$root/efi/loader" ]; then
        rm -f "$root/efi/loader/random-seed"
        cp -r "$root/efi/." "$to/esp"
    fi
    umount -R "$root"
    partx -d "$loop"
    losetup -d "$loop"
    loop=
}

wanted() { [ "$only" = "  " ] || [[ $only = *" $1 "* ]]; }

# The EFI system partition that grub-install makes: its grub.cfg leads to the one in /boot.
esp_of_grub() {
    local to=$here/good/$1/esp/EFI
    mkdir -p "$to/debian" "$to/BOOT"
    printf "search.fs_uuid %s root \nset prefix=(\$root)'%s'\nconfigfile \$prefix/grub.cfg\n" "$2" "$3" >"$to/debian/grub.cfg"
    echo "shim" >"$to/BOOT/BOOTX64.EFI"
}

if wanted debian-11-bios; then
    begin bullseye dos ext4 -
    kernels 5.10.0-9-amd64 5.10.0-28-amd64
    settings
    end debian-11-bios
fi
if wanted debian-11-boot-xfs; then
    begin bullseye gpt xfs ext4
    kernels 5.10.0-9-amd64 5.10.0-28-amd64
    settings 'GRUB_CMDLINE_LINUX="console=ttyS0,115200 net.ifnames=0"' 'GRUB_TERMINAL=console' 'GRUB_DEFAULT="1>2"'
    end debian-11-boot-xfs
fi
if wanted debian-12-uefi; then
    begin bookworm gpt ext4 -
    kernels 6.1.0-9-amd64 6.1.0-18-amd64
    settings 'GRUB_CMDLINE_LINUX_DEFAULT="dyndbg=\"file core.c +p\" quiet"'
    end debian-12-uefi
    esp_of_grub debian-12-uefi "$root_uuid" /boot/grub
fi
if wanted debian-12-saved; then
    begin bookworm gpt ext4 ext4
    kernels 6.1.0-9-amd64 6.1.0-18-amd64
    settings GRUB_DEFAULT=saved GRUB_SAVEDEFAULT=true
    chroot "$work/root" grub-set-default "gnulinux-advanced-$root_uuid>gnulinux-6.1.0-9-amd64-advanced-$root_uuid"
    end debian-12-saved
    esp_of_grub debian-12-saved "$boot_uuid" /grub
fi
if wanted debian-12-next; then
    begin bookworm gpt ext4 -
    kernels 6.1.0-9-amd64 6.1.0-18-amd64
    settings GRUB_DEFAULT=saved
    chroot "$work/root" grub-set-default 0
    chroot "$work/root" grub-reboot '1>3'
    end debian-12-next
fi
if wanted debian-12-btrfs; then
    begin bookworm gpt btrfs -
    kernels 6.1.0-18-amd64
    settings
    end debian-12-btrfs
fi
if wanted debian-12-no-initrd; then
    begin bookworm gpt ext4 -
    kernels 6.1.0-18-amd64
    rm "$work/root/boot/initrd.img-6.1.0-18-amd64"
    settings GRUB_DISABLE_LINUX_PARTUUID=false
    end debian-12-no-initrd
fi
if wanted debian-13-title; then
    begin trixie gpt xfs ext4
    kernels 6.12.38+deb13-amd64 6.12.43+deb13-amd64
    settings 'GRUB_DEFAULT="Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.12.38+deb13-amd64"'
    end debian-13-title
    esp_of_grub debian-13-title "$boot_uuid" /grub
fi
if wanted debian-13-flat; then
    begin trixie gpt btrfs ext4
    kernels 6.12.38+deb13-amd64 6.12.43+deb13-amd64 6.12.9+deb13-amd64
    settings GRUB_DISABLE_SUBMENU=y GRUB_DEFAULT=2 'GRUB_CMDLINE_LINUX_DEFAULT=""'
    end debian-13-flat
fi
for release in 12:bookworm:6.1.0-18-amd64:6.1.0-9-amd64 13:trixie:6.12.43+deb13-amd64:6.12.9+deb13-amd64; do
    IFS=: read -r number suite newer older <<<"$release"
    wanted "debian-$number-systemd-boot" || continue
    begin "$suite" gpt ext4 -
    mkdir -p "$work/root/etc/kernel"
    echo "root=UUID=$root_uuid ro console=ttyS0" >"$work/root/etc/kernel/cmdline"
    echo 0d8a4c9e5b7f4f6c8d1e2a3b4c5d6e7f >"$work/root/etc/machine-id"
    printf 'layout=bls\nBOOT_ROOT=/efi\n' >"$work/root/etc/kernel/install.conf"
    mount -t tmpfs efi "$work/root/efi"
    run() { SYSTEMD_RELAX_ESP_CHECKS=1 SYSTEMD_RELAX_XBOOTLDR_CHECKS=1 chroot "$work/root" "$@"; }
    run bootctl install --esp-path=/efi --no-variables --graceful >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
    for version in "$older" "$newer"; do
        mkdir -p "$work/root/efi/0d8a4c9e5b7f4f6c8d1e2a3b4c5d6e7f/$version"
        echo "kernel $version" >"$work/root/tmp/vmlinuz-$version"
        echo "initrd $version" >"$work/root/tmp/initrd.img-$version"
        # Neither depmod nor an initrd of its own: there are no modules.
        echo 'initrd_generator=none' >>"$work/root/etc/kernel/install.conf"
        run kernel-install add "$version" "/tmp/vmlinuz-$version" "/tmp/initrd.img-$version" >"$work/log" 2>&1 ||
            { cat "$work/log" >&2 && exit 1; }
    done
    # Of the loaders only what says what they are.
    find "$work/root/efi" -iname '*.efi' | while read -r loader; do
        grep -ao '#### LoaderInfo: systemd-boot [^#]* ####' "$loader" >"$loader.mark" && mv "$loader.mark" "$loader"
    done
    end "debian-$number-systemd-boot"
done
