//! The action `stream-image`.
