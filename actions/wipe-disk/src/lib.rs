//! The action `wipe-disk`.
