//! The table.

mod answers;
mod connection;
mod digests;
mod disks;
mod network;
mod objects;
mod resume;
mod stopping;

use std::collections::BTreeSet;

use common::variables::STREAM_IMAGE;

use crate::case::{Case, Ends};

/// Causes that no case here can end with, and the test that does.
const ELSEWHERE: &[(&str, &str, &str)] = &[(
    // It takes device-mapper or md, which not every kernel has: the guest's does.
    "disk-held",
    include_str!("../../guest_actions/refusals.rs"),
    "vm_refuses_a_disk_with_an_active_lvm_volume",
)];

/// All cases, those that wait longest first.
pub fn all() -> Vec<Case> {
    [
        connection::cases(),
        resume::cases(),
        answers::cases(),
        objects::cases(),
        digests::cases(),
        disks::cases(),
        network::cases(),
        stopping::cases(),
    ]
    .concat()
}

/// The causes of the action's page that no case ends with.
pub fn unreached(cases: &[Case]) -> BTreeSet<&'static str> {
    let reached: BTreeSet<&str> = cases
        .iter()
        .filter_map(|case| match &case.ends {
            Ends::Failed { cause, .. } => Some(*cause),
            _ => None,
        })
        .collect();
    let elsewhere = |word: &str| {
        ELSEWHERE.iter().any(|(cause, suite, test)| {
            let body = suite.split_once(&format!("fn {test}(")).map(|(_, rest)| rest);
            let body = body.and_then(|rest| rest.split("\n}").next());
            *cause == word && body.is_some_and(|body| body.contains(&format!("{word:?}")))
        })
    };
    STREAM_IMAGE
        .causes
        .iter()
        .map(|cause| cause.word())
        .filter(|word| !reached.contains(word) && !elsewhere(word))
        .collect()
}

/// Variables of a case.
fn env(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
