//! The action `write-cloud-init`.
