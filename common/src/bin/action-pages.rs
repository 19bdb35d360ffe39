//! Makes the generated part of every action's page anew; with `--check`, only says which pages differ from the code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use common::page::renew;
use common::variables::ACTIONS;

fn main() -> anyhow::Result<ExitCode> {
    let check = std::env::args().nth(1).is_some_and(|argument| argument == "--check");
    let mut differ = false;
    for spec in ACTIONS {
        let path = Path::new("actions").join(spec.name).join("README.md");
        let page = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let renewed = renew(&page, spec)?;
        if page == renewed {
            continue;
        }
        if check {
            eprintln!("{} differs from the code; run `make docs`", path.display());
            differ = true;
        } else {
            std::fs::write(&path, renewed).with_context(|| format!("writing {}", path.display()))?;
            println!("{} made anew", path.display());
        }
    }
    Ok(if differ { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
