//! The action `grow-partition`.
