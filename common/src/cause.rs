//! Why an action failed, as one stable word that people can search for and alert on.

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Why an action failed. The word of each is part of the interface: it never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[doc = $doc])+ $variant,)+ }

        impl Cause {
            /// The word in the `cause` field of the last log line.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the cause means, for the action's page.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

causes! {
    /// A variable or flag is missing, unknown, or has a value that cannot be right. Nothing was begun.
    Configuration = "configuration",
    /// SIGTERM or SIGINT arrived, as on a timeout of the action.
    Stopped = "stopped",
    /// A fault in the action itself. Please report it.
    Internal = "internal",

    /// There is no such disk on this machine.
    DiskMissing = "disk-missing",
    /// The selector fits several disks.
    DiskAmbiguous = "disk-ambiguous",
    /// The path is not a block device.
    NotABlockDevice = "not-a-block-device",
    /// The block device is a partition or something else that is no whole disk.
    NotAWholeDisk = "not-a-whole-disk",
    /// The disk cannot be written.
    DiskReadOnly = "disk-read-only",
    /// The disk, or a partition of it, is mounted.
    DiskMounted = "disk-mounted",
    /// The disk, or a partition of it, is swap space in use.
    DiskSwap = "disk-swap",
    /// The disk, or a partition of it, is part of an md array, an LVM volume or another mapped device.
    DiskHeld = "disk-held",
    /// The system that runs the action lives on the disk.
    DiskRunsSystem = "disk-runs-system",
    /// Another program holds the disk open exclusively.
    DiskBusy = "disk-busy",
    /// The image, or what must be written, does not fit.
    DiskTooSmall = "disk-too-small",
    /// The image was made for another logical block size than the disk has.
    BlockSize = "block-size",
    /// Reading or writing the disk failed.
    DiskIo = "disk-io",
    /// What was read back is not what was written.
    VerifyFailed = "verify-failed",
    /// The partition table is missing or damaged.
    PartitionTable = "partition-table",
    /// The kernel does not show the partitions that the table has.
    PartitionsMissing = "partitions-missing",

    /// The image server cannot be reached, or a connection to it broke before it answered.
    ServerUnreachable = "server-unreachable",
    /// The image server answered with another status than 200.
    HttpStatus = "http-status",
    /// A redirect that is not followed: from https to http, in a loop, too many, or to nowhere.
    HttpRedirect = "http-redirect",
    /// After a connection broke, the server did not send the rest of the image, and fetching all of it again did not help.
    HttpRange = "http-range",
    /// No byte arrived within `STALL_TIMEOUT_SECONDS`.
    ServerStalled = "server-stalled",
    /// The server's certificate, or the proxy's, is signed by nobody who is trusted. `CA_CERT` adds a private authority.
    TlsUntrusted = "tls-untrusted",
    /// The server's certificate is no longer or not yet valid, by the clock of this machine.
    TlsExpired = "tls-expired",
    /// The server's certificate is for another name.
    TlsName = "tls-name",
    /// No TLS connection could be made for another reason.
    Tls = "tls",
    /// The image became another one on its server while it was fetched, again and again.
    ImageChanged = "image-changed",
    /// The image ended early: the connection broke, the compressed stream has no end, or less came than the partition
    /// table speaks of.
    ImageTruncated = "image-truncated",
    /// The image has no content.
    ImageEmpty = "image-empty",
    /// The compressed image is damaged: a check inside the format failed.
    ImageCorrupt = "image-corrupt",
    /// Something that is no image follows the end of the compressed image.
    ImageTrailingData = "image-trailing-data",
    /// The image needs something that the action does not do, as a window of more than 128 MiB.
    ImageUnsupported = "image-unsupported",
    /// The image begins with no partition table and no filesystem.
    ImageContent = "image-content",
    /// The digest of what arrived is not the one that was given.
    DigestMismatch = "digest-mismatch",
    /// The file with digests could not be read, or does not list the image.
    DigestFile = "digest-file",

    /// No partition of the disk holds an installed system.
    RootNotFound = "root-not-found",
    /// Several partitions could be the root.
    RootAmbiguous = "root-ambiguous",
    /// The filesystem is none that the action can work on.
    Filesystem = "filesystem",
    /// Mounting or unmounting the installed system failed.
    Mount = "mount",
    /// A file of the installed system could not be read or written.
    File = "file",
    /// The installed system lacks what the action configures: netplan, or cloud-init.
    NotInstalled = "not-installed",

    /// The firmware that started this machine would find nothing to start on the installed disk.
    BootLoader = "boot-loader",
    /// What the installed system's boot loader starts by default could not be found out, or is no Linux kernel.
    BootEntry = "boot-entry",
    /// The kernel or an initrd that the installed system's boot loader would start is not there.
    BootKernel = "boot-kernel",
    /// The `root=` of the kernel's command line is not the installed system's root.
    BootRoot = "boot-root",
    /// The kernel was built for another architecture than this machine's.
    BootArchitecture = "boot-architecture",
    /// The running kernel cannot start the installed system's one, or must not. `REBOOT_MODE=reboot` goes through the firmware.
    Kexec = "kexec",

    /// The action does not see the processes of its host: `pid: host` is missing in the Template.
    PidHost = "pid-host",
    /// The container lacks a privilege that the action needs.
    Privilege = "privilege",
    /// What takes the machine down after the action's end could not be set up. The machine stays up.
    HandOver = "hand-over",
}

impl Cause {
    /// The exit code of an action that failed so: 2 for a bad configuration, 1 for anything else.
    pub fn exit_code(self) -> u8 {
        if self == Self::Configuration { 2 } else { 1 }
    }
}
