//! Everything that is wrong with the objects that are given, each object by itself and with the others.

pub mod template;
