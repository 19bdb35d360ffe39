//! A Template, checked without the engine that renders it: what cannot be decided so is a warning.

pub mod lex;

pub use lex::{Lexed, Substituted, lex};
