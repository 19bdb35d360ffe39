//! What two or more actions need.
