//! Makes the man pages and the shell completions of `nibs`, into the folder that is named.

use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("command-pages: a folder is missing; the path of one is accepted");
        return ExitCode::from(2);
    };
    match make(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("command-pages: writing into {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn make(folder: &std::path::Path) -> std::io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&man, &completions] {
        std::fs::create_dir_all(folder)?;
    }
    clap_mangen::generate_to(nibs::cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut nibs::cli::command(), "nibs", &completions)?;
    }
    println!("{}: man pages and completions for bash, fish and zsh", folder.display());
    Ok(())
}
