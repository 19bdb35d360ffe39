//! The action `write-netplan`.
