//! The action `write-netplan`.

use common::failure::Failure;
use common::values::Values;

/// Runs the action.
///
/// # Errors
/// Any of the action's causes.
pub fn run(_values: &Values) -> Result<String, Failure> {
    Err(Failure::new(common::cause::Cause::Internal, "not there yet"))
}
