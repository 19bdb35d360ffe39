//! Makes the page of all codes anew; with `--check`, only says whether it differs from the code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

fn main() -> anyhow::Result<ExitCode> {
    let check = std::env::args().nth(1).is_some_and(|argument| argument == "--check");
    let path = Path::new("docs/findings.md");
    let page = nibs::code::page();
    if std::fs::read_to_string(path).is_ok_and(|there| there == page) {
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        eprintln!("{} differs from the code; run `make docs`", path.display());
        return Ok(ExitCode::FAILURE);
    }
    std::fs::create_dir_all("docs").context("making docs/")?;
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))?;
    println!("{} made anew", path.display());
    Ok(ExitCode::SUCCESS)
}
