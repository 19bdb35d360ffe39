//! The call by which the running kernel takes another one that it starts in its own place (kexec_file_load(2)).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

// Flags of `linux/kexec.h`.
const UNLOAD: libc::c_ulong = 1;
const NO_INITRAMFS: libc::c_ulong = 4;
/// A flag that no kernel knows.
const UNKNOWN: libc::c_ulong = 1 << 31;

/// Whether the call is there and allowed, without loading anything.
///
/// # Errors
/// ENOSYS where the kernel was built without it, EPERM where it is switched off or a capability is missing.
pub fn probe() -> io::Result<()> {
    // What is not allowed is looked at before the flags (`kernel/kexec_file.c`).
    match call(-1, -1, c"", UNKNOWN) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// Loads a kernel with its initrd and command line, in the place of what was loaded before. It is started by
/// `reboot(LINUX_REBOOT_CMD_KEXEC)`. The files are not needed after the return.
///
/// # Errors
/// EPERM where it is not allowed or the kernel is locked down; ENOEXEC where the file is no kernel; ENODATA, ENOKEY,
/// EKEYREJECTED, EBADMSG or ENOPKG where its signature does not do; ENOMEM and EADDRNOTAVAIL where there is no room; EBUSY while
/// another one is loaded.
pub fn load(kernel: impl AsFd, initrd: Option<impl AsFd>, command_line: &CStr) -> io::Result<()> {
    let kernel = kernel.as_fd().as_raw_fd();
    match &initrd {
        Some(initrd) => call(kernel, initrd.as_fd().as_raw_fd(), command_line, 0),
        None => call(kernel, -1, command_line, NO_INITRAMFS),
    }
}

/// Forgets what was loaded.
///
/// # Errors
/// EBUSY while another one is loaded.
pub fn unload() -> io::Result<()> {
    call(-1, -1, c"", UNLOAD)
}

fn call(kernel: i32, initrd: i32, command_line: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let (text, length) = match command_line.to_bytes_with_nul().len() {
        1 => (ptr::null(), 0),
        length => (command_line.as_ptr(), length as libc::c_ulong),
    };
    // SAFETY: the kernel reads `length` bytes from `text`, which is a live string of that length with its end, or null where
    // the length is 0. It keeps no pointer.
    let result = unsafe { libc::syscall(libc::SYS_kexec_file_load, kernel, initrd, length, text, flags) };
    nix::errno::Errno::result(result)?;
    Ok(())
}
