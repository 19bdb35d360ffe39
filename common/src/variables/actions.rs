//! What each action is called and takes.

use super::names::*;
use super::{ActionSpec, Variable};
use crate::cause::Cause;

/// The variables that every action takes.
pub const EVERY_ACTION: &[Variable] = &[LOG_FORMAT, LOG_LEVEL, TEXT_LOGGING];

/// The actions, in the order in which they run.
pub const ACTIONS: [&ActionSpec; 6] =
    [&WIPE_DISK, &STREAM_IMAGE, &GROW_PARTITION, &WRITE_NETPLAN, &WRITE_CLOUD_INIT, &KEXEC_REBOOT];

/// Wipes disks.
pub static WIPE_DISK: ActionSpec = ActionSpec {
    name: "wipe-disk",
    about: "Erases every signature on whole disks, so that nothing of an older system is found again.",
    variables: &[DISKS, DEST_DISK, WIPE_METHOD],
    causes: &[
        Cause::Configuration,
        Cause::Stopped,
        Cause::Internal,
        Cause::DiskMissing,
        Cause::DiskAmbiguous,
        Cause::NotABlockDevice,
        Cause::NotAWholeDisk,
        Cause::DiskReadOnly,
        Cause::DiskMounted,
        Cause::DiskSwap,
        Cause::DiskHeld,
        Cause::DiskRunsSystem,
        Cause::DiskBusy,
        Cause::DiskIo,
        Cause::VerifyFailed,
    ],
};

/// Streams an image to a disk.
pub static STREAM_IMAGE: ActionSpec = ActionSpec {
    name: "stream-image",
    about: "Streams a disk image from a URL onto a whole disk, and verifies it.",
    variables: &[
        IMG_URL,
        DEST_DISK,
        IMG_DIGEST,
        RAW_DIGEST,
        STALL_TIMEOUT_SECONDS,
        PROGRESS_INTERVAL_SECONDS,
        CA_CERT,
        SKIP_VERIFY,
        HTTP_BEARER_TOKEN,
        HTTP_USERNAME,
        HTTP_PASSWORD,
        HTTP_PROXY,
        HTTPS_PROXY,
        NO_PROXY,
        RETRY_ENABLED,
        RETRY_DURATION_MINUTES,
        ALLOW_UNKNOWN_CONTENT,
        DECODE_THREADS,
        COMPRESSED,
    ],
    causes: &[
        Cause::Configuration,
        Cause::Stopped,
        Cause::Internal,
        Cause::DiskMissing,
        Cause::DiskAmbiguous,
        Cause::NotABlockDevice,
        Cause::NotAWholeDisk,
        Cause::DiskReadOnly,
        Cause::DiskMounted,
        Cause::DiskSwap,
        Cause::DiskHeld,
        Cause::DiskRunsSystem,
        Cause::DiskBusy,
        Cause::DiskTooSmall,
        Cause::BlockSize,
        Cause::DiskIo,
        Cause::PartitionTable,
        Cause::PartitionsMissing,
        Cause::ServerUnreachable,
        Cause::HttpStatus,
        Cause::HttpRedirect,
        Cause::HttpRange,
        Cause::ServerStalled,
        Cause::TlsUntrusted,
        Cause::TlsExpired,
        Cause::TlsName,
        Cause::Tls,
        Cause::ImageChanged,
        Cause::ImageTruncated,
        Cause::ImageEmpty,
        Cause::ImageCorrupt,
        Cause::ImageTrailingData,
        Cause::ImageUnsupported,
        Cause::ImageContent,
        Cause::DigestMismatch,
        Cause::DigestFile,
    ],
};

/// Grows the root partition and its filesystem.
pub static GROW_PARTITION: ActionSpec = ActionSpec {
    name: "grow-partition",
    about: "Grows the root partition and its filesystem to the end of the disk.",
    variables: &[DEST_DISK_OR_PARTITION, FS_TYPE],
    causes: &[
        Cause::Configuration,
        Cause::DiskMissing,
        Cause::DiskAmbiguous,
        Cause::NotABlockDevice,
        Cause::NotAWholeDisk,
        Cause::DiskReadOnly,
        Cause::DiskRunsSystem,
        Cause::DiskMounted,
        Cause::DiskSwap,
        Cause::DiskHeld,
        Cause::DiskBusy,
        Cause::DiskIo,
        Cause::VerifyFailed,
        Cause::PartitionTable,
        Cause::PartitionsMissing,
        Cause::RootNotFound,
        Cause::RootAmbiguous,
        Cause::Filesystem,
        Cause::Mount,
        Cause::File,
        Cause::Stopped,
        Cause::Internal,
    ],
};

/// What goes wrong with an action that writes files into an installed system, which has to be found first.
const WRITES_INTO_ROOT: &[Cause] = &[
    Cause::Configuration,
    Cause::DiskMissing,
    Cause::DiskAmbiguous,
    Cause::NotABlockDevice,
    Cause::NotAWholeDisk,
    Cause::DiskReadOnly,
    Cause::DiskMounted,
    Cause::DiskSwap,
    Cause::DiskHeld,
    Cause::DiskRunsSystem,
    Cause::DiskBusy,
    Cause::DiskIo,
    Cause::PartitionTable,
    Cause::PartitionsMissing,
    Cause::RootNotFound,
    Cause::RootAmbiguous,
    Cause::Mount,
    Cause::NotInstalled,
    Cause::File,
    Cause::Stopped,
    Cause::Internal,
];

/// Writes the network configuration.
pub static WRITE_NETPLAN: ActionSpec = ActionSpec {
    name: "write-netplan",
    about: "Writes the installed system's network configuration as netplan.",
    variables: &[DEST_DISK_OR_PARTITION, INTERFACES, NETPLAN, FS_TYPE],
    causes: WRITES_INTO_ROOT,
};

/// Writes the cloud-init seed.
pub static WRITE_CLOUD_INIT: ActionSpec = ActionSpec {
    name: "write-cloud-init",
    about: "Writes a NoCloud seed for cloud-init into the installed system.",
    variables: &[
        DEST_DISK_OR_PARTITION,
        USER_DATA,
        USER_DATA_BASE64,
        META_DATA,
        META_DATA_BASE64,
        VENDOR_DATA,
        VENDOR_DATA_BASE64,
        NETWORK_CONFIG,
        NETWORK_CONFIG_BASE64,
        INSTANCE_ID,
        LOCAL_HOSTNAME,
        FS_TYPE,
    ],
    causes: WRITES_INTO_ROOT,
};

/// Hands the machine over.
pub static KEXEC_REBOOT: ActionSpec = ActionSpec {
    name: "kexec-reboot",
    about: "Hands the machine over to the installed system, after the Workflow's success was reported.",
    variables: &[
        DEST_DISK_OR_PARTITION,
        REBOOT_MODE,
        WAIT_SECONDS,
        SET_BOOT_NEXT,
        VERIFY_BOOT,
        KERNEL_PATH,
        INITRD_PATH,
        CMD_LINE,
        GRUBCFG_PATH,
        BLOCK_DEVICE,
        FS_TYPE,
    ],
    causes: &[
        Cause::Configuration,
        Cause::PidHost,
        Cause::Privilege,
        Cause::Kexec,
        Cause::BootLoader,
        Cause::BootEntry,
        Cause::BootKernel,
        Cause::BootRoot,
        Cause::BootArchitecture,
        Cause::DiskMissing,
        Cause::DiskAmbiguous,
        Cause::NotABlockDevice,
        Cause::NotAWholeDisk,
        Cause::DiskReadOnly,
        Cause::DiskMounted,
        Cause::DiskSwap,
        Cause::DiskHeld,
        Cause::DiskRunsSystem,
        Cause::DiskBusy,
        Cause::DiskIo,
        Cause::PartitionTable,
        Cause::PartitionsMissing,
        Cause::RootNotFound,
        Cause::RootAmbiguous,
        Cause::Mount,
        Cause::File,
        Cause::HandOver,
        Cause::Stopped,
        Cause::Internal,
    ],
};
