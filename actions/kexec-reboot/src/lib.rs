//! The action `kexec-reboot`.
