//! The variables, in the order of the actions that take them.

use super::{Kind, Variable};

const fn text(name: &'static str, doc: &'static str) -> Variable {
    Variable { name, kind: Kind::Text, default: None, secret: false, doc }
}

const fn secret(name: &'static str, doc: &'static str) -> Variable {
    Variable { name, kind: Kind::Text, default: None, secret: true, doc }
}

const fn with_default(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Variable {
    Variable { name, kind, default: Some(default), secret: false, doc }
}

const fn of_kind(name: &'static str, kind: Kind, doc: &'static str) -> Variable {
    Variable { name, kind, default: None, secret: false, doc }
}

/// The disk that wipe-disk and stream-image write to, and only as a whole.
pub const DEST_DISK: Variable = text(
    "DEST_DISK",
    "The whole disk: `/dev/sda`, `/dev/disk/by-id/…` (looked up in sysfs, no udev needed), `serial:S4EVNX0R` or `wwn:0x5000c500a1b2c3d4`",
);
/// The disk or partition in which the installed system is looked for.
pub const DEST_DISK_OR_PARTITION: Variable = text(
    "DEST_DISK",
    "The disk with the installed system: `/dev/sda`, `/dev/disk/by-id/…`, `serial:…` or `wwn:…`; its root is found by looking. A partition (`/dev/sda3`) is taken as the place to look in",
);
/// The shape of the log lines.
pub const LOG_FORMAT: Variable = with_default(
    "LOG_FORMAT",
    Kind::Choice(&["json", "text"]),
    "json",
    "`json`: one object a line; `text`: for people",
);
/// The least severe level that is logged.
pub const LOG_LEVEL: Variable = with_default(
    "LOG_LEVEL",
    Kind::Choice(&["error", "warn", "info", "debug"]),
    "info",
    "The least severe level that is logged",
);
/// The older name of `LOG_FORMAT=text`.
pub const TEXT_LOGGING: Variable =
    with_default("TEXT_LOGGING", Kind::Bool, "false", "`true` means `LOG_FORMAT=text`");

/// Several disks at once.
pub const DISKS: Variable = text(
    "DISKS",
    "Several disks at once, comma-separated: `{{ join \",\" .Hardware.Disks }}`; in the place of `DEST_DISK`",
);
/// How a disk is wiped.
pub const WIPE_METHOD: Variable = with_default(
    "WIPE_METHOD",
    Kind::Choice(&["auto", "signatures", "discard", "zero", "secure-erase"]),
    "auto",
    "`auto`: erase every signature, discard where the disk can, then zero what was found and both ends; `signatures`: without the discard; `discard`: as `auto`, and fail where the disk cannot; `zero`: write zeros to all of it; `secure-erase`: not there yet",
);

/// Where the image is.
pub const IMG_URL: Variable = text(
    "IMG_URL",
    "`http://` or `https://` URL of the disk image: raw, or packed by gzip, zstd, xz or bzip2, told from the content",
);
/// Accepted for old Templates.
pub const COMPRESSED: Variable = of_kind(
    "COMPRESSED",
    Kind::Bool,
    "Accepted for Templates made for image2disk; the format is told from the content, whatever it says",
);
/// Whether a fetch is tried again.
pub const RETRY_ENABLED: Variable = with_default(
    "RETRY_ENABLED",
    Kind::Bool,
    "true",
    "Try again when a connection fails or the server is busy: the image is gone on with where it broke off, or begun again",
);
/// For how long a fetch is tried again.
pub const RETRY_DURATION_MINUTES: Variable = with_default(
    "RETRY_DURATION_MINUTES",
    Kind::Minutes,
    "10",
    "For how long it is tried again without any progress",
);
/// How often progress is logged.
pub const PROGRESS_INTERVAL_SECONDS: Variable = with_default(
    "PROGRESS_INTERVAL_SECONDS",
    Kind::Seconds,
    "3",
    "Time between two progress lines; 0 for none",
);
/// The digest of the object as served.
pub const IMG_DIGEST: Variable = text(
    "IMG_DIGEST",
    "`sha256:…` or `sha512:…` of the object as served, or the URL of a `SHA256SUMS`, `SHA512SUMS`, `.sha256` or `.sha512` file: `{{ .os_image }}.sha256`",
);
/// The digest of the decoded image.
pub const RAW_DIGEST: Variable =
    text("RAW_DIGEST", "The same, of the decoded image, before its partition table is fitted to the disk");
/// Whether anything may be written.
pub const ALLOW_UNKNOWN_CONTENT: Variable = with_default(
    "ALLOW_UNKNOWN_CONTENT",
    Kind::Bool,
    "false",
    "`true`: write also what begins with no partition table and no filesystem, as an error page would",
);
/// How many decoders work at once.
pub const DECODE_THREADS: Variable = text(
    "DECODE_THREADS",
    "Decoders at once, 1 to 16, for what was packed in parts: bgzip, zstd of several frames, xz of several blocks; default: the cores that the container may use",
);
/// How long the server may be silent.
pub const STALL_TIMEOUT_SECONDS: Variable =
    with_default("STALL_TIMEOUT_SECONDS", Kind::Seconds, "60", "No byte for so long is a fault");
/// More trusted roots.
pub const CA_CERT: Variable = text(
    "CA_CERT",
    "PEM text of certificates that are trusted besides the public ones, or besides the bundle mounted at `/etc/ssl/certs/ca-certificates.crt`",
);
/// Whether certificates are checked.
pub const SKIP_VERIFY: Variable =
    with_default("SKIP_VERIFY", Kind::Bool, "false", "`true`: do not check the server's certificate; warns");
/// A bearer token for the image server.
pub const HTTP_BEARER_TOKEN: Variable = secret("HTTP_BEARER_TOKEN", "Bearer token for the image server");
/// A user name for the image server.
pub const HTTP_USERNAME: Variable = secret("HTTP_USERNAME", "User name for the image server");
/// A password for the image server.
pub const HTTP_PASSWORD: Variable = secret("HTTP_PASSWORD", "Password for the image server");
/// The proxy for `http://`.
pub const HTTP_PROXY: Variable =
    secret("HTTP_PROXY", "Proxy for `http://` URLs, also as `http_proxy`; may hold credentials");
/// The proxy for `https://`.
pub const HTTPS_PROXY: Variable =
    secret("HTTPS_PROXY", "Proxy for `https://` URLs, also as `https_proxy`; may hold credentials");
/// Hosts that are reached without a proxy.
pub const NO_PROXY: Variable =
    secret("NO_PROXY", "Hosts, domains and networks that are reached without a proxy, also as `no_proxy`");

/// Accepted for old Templates.
pub const FS_TYPE: Variable = text(
    "FS_TYPE",
    "Accepted for Templates made for writefile or kexec; the filesystem is told from the disk, whatever it says",
);

/// The interfaces of the Hardware.
pub const INTERFACES: Variable = text(
    "INTERFACES",
    "The Hardware's interfaces as JSON: `{{ toJson .Hardware.Interfaces | toJson }}` (the second `toJson` makes it one YAML string)",
);
/// A finished netplan document.
pub const NETPLAN: Variable = text("NETPLAN", "A finished netplan document, in the place of `INTERFACES`");

/// The user-data.
pub const USER_DATA: Variable =
    secret("USER_DATA", "The user-data: cloud-config, a script, MIME, or gzip of one of these");
/// The user-data, base64.
pub const USER_DATA_BASE64: Variable =
    secret("USER_DATA_BASE64", "The user-data in base64, as KKP's `{{ .cloud_init_script }}`");
/// The vendor-data.
pub const VENDOR_DATA: Variable = secret("VENDOR_DATA", "The vendor-data");
/// The vendor-data, base64.
pub const VENDOR_DATA_BASE64: Variable = secret("VENDOR_DATA_BASE64", "The vendor-data in base64");
/// The meta-data.
pub const META_DATA: Variable =
    secret("META_DATA", "The meta-data, YAML; `INSTANCE_ID` and `LOCAL_HOSTNAME` go on top");
/// The meta-data, base64.
pub const META_DATA_BASE64: Variable = secret("META_DATA_BASE64", "The meta-data in base64");
/// The network configuration of cloud-init.
pub const NETWORK_CONFIG: Variable = secret(
    "NETWORK_CONFIG",
    "cloud-init's network configuration; only when it is given is a network-config written, and cloud-init's own left on",
);
/// The network configuration of cloud-init, base64.
pub const NETWORK_CONFIG_BASE64: Variable =
    secret("NETWORK_CONFIG_BASE64", "cloud-init's network configuration in base64");
/// The instance ID in the meta-data.
pub const INSTANCE_ID: Variable =
    text("INSTANCE_ID", "The `instance-id` in the meta-data; when none is given, made from the content");
/// The host name in the meta-data.
pub const LOCAL_HOSTNAME: Variable = text("LOCAL_HOSTNAME", "The `local-hostname` in the meta-data");

/// How the machine goes down.
pub const REBOOT_MODE: Variable = with_default(
    "REBOOT_MODE",
    Kind::Choice(&["auto", "kexec", "reboot", "poweroff", "none"]),
    "auto",
    "`auto`: kexec where it can, else reboot, and says why; `kexec`: fails where it cannot; `reboot`: through the firmware; `poweroff`; `none`: check everything, and leave the machine up",
);
/// The least that [`WAIT_SECONDS`] may be.
pub const SHORTEST_WAIT_SECS: u64 = 5;
/// How long the machine stays up after its container is gone.
pub const WAIT_SECONDS: Variable = with_default(
    "WAIT_SECONDS",
    Kind::Seconds,
    "10",
    "Time for the agent to report the success, counted from when the action's container is gone; at least 5",
);
/// The older name of the disk or partition.
pub const BLOCK_DEVICE: Variable = text(
    "BLOCK_DEVICE",
    "The older name of `DEST_DISK`, as in Templates made for kexec; it can also be the partition that the kernel is on. `DEST_DISK` wins",
);
/// The kernel that kexec starts.
pub const KERNEL_PATH: Variable = text(
    "KERNEL_PATH",
    "For kexec: the kernel, as a path of the installed system or from the top of one of its filesystems, in the place of the default one. Alone, it gets the initrd that is beside it and the default command line",
);
/// The initrd that kexec gives to the kernel.
pub const INITRD_PATH: Variable =
    text("INITRD_PATH", "For kexec: the initrd, in the place of what was found; a path as `KERNEL_PATH`");
/// The command line that kexec gives to the kernel.
pub const CMD_LINE: Variable =
    text("CMD_LINE", "For kexec: the whole command line of the kernel, in the place of what was found");
/// The configuration of GRUB in which the kernel is looked for.
pub const GRUBCFG_PATH: Variable =
    text("GRUBCFG_PATH", "For kexec: the only `grub.cfg` that is looked at; a path as `KERNEL_PATH`");
/// Whether the firmware is told to start the installed disk next.
pub const SET_BOOT_NEXT: Variable = with_default(
    "SET_BOOT_NEXT",
    Kind::Choice(&["auto", "true", "false"]),
    "auto",
    "Have UEFI firmware start the installed disk next, once, whatever its boot order is. `auto`: when the machine reboots on UEFI; `true`: always, and a warning where there is a BIOS; `false`: never. What fails here only warns",
);
/// Whether the installed system is looked at once more.
pub const VERIFY_BOOT: Variable = with_default(
    "VERIFY_BOOT",
    Kind::Bool,
    "true",
    "Look once more whether what is on the disk will boot and join; what surely will not boot fails the action",
);
