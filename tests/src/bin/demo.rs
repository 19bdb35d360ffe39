//! `make demo`: the whole way, from a Hardware object to a booted node, for a person who watches.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nibs_tests::binaries::top;
use nibs_tests::cycle::{self, Event, Finished, Node, Phase, Setup};
use nibs_tests::tinkerbell::State;

fn main() -> ExitCode {
    let folder = top().join("target/demo");
    let shown = folder.strip_prefix(std::env::current_dir().unwrap_or_default()).unwrap_or(&folder);
    let began = Instant::now();
    let screen = Screen::new();
    let outcome =
        cycle::run(&folder, &cycle::image_index(), Setup::default(), &mut |event| screen.show(&event));
    screen.live.finish_and_clear();
    let wrong = match outcome {
        Ok(finished) => {
            table(&finished, shown, began.elapsed());
            finished.shortcomings()
        }
        Err(error) => vec![format!("{error:#}")],
    };
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    for each in wrong {
        println!("\ndemo: FAILED: {each}");
    }
    println!("demo: every log is in {}; agent.log and */console.log say most", shown.display());
    ExitCode::FAILURE
}

/// Lines for what has happened, and on a terminal a live one for what is happening.
struct Screen {
    live: ProgressBar,
}

impl Screen {
    fn new() -> Self {
        let live = if stdout().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
        } else {
            ProgressBar::hidden()
        };
        live.set_style(
            ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("a template that is right"),
        );
        live.enable_steady_tick(Duration::from_millis(120));
        Self { live }
    }

    fn show(&self, event: &Event) {
        match event {
            Event::Begun(phase) => self.now(phase.what()),
            // The one was told by `make demo`, the other's line is the first of the table.
            Event::Done { phase: Phase::Systems | Phase::Boot, .. } => {}
            Event::Done { phase, words, took } => {
                self.line(&format!("{:<9}{words:<70} {}", phase.label(), seconds(*took)));
                if *phase == Phase::Machine {
                    self.now("booting the in-memory OS");
                }
            }
            Event::Action { report, .. } if !report.state.is_end() => self.now(&report.action),
            Event::Action { report, words } => {
                let took = Duration::from_secs_f64(report.execution_secs.unwrap_or_default());
                let mark = if report.state == State::Success { '✓' } else { '✗' };
                let words = without_identity(words.as_deref().unwrap_or("it said nothing"));
                let state = if report.state == State::Success {
                    String::new()
                } else {
                    format!("{:?}: ", report.state)
                };
                self.line(&format!("  {mark} {:<17}{:<58} {}", report.action, state + &words, seconds(took)));
                if report.workflow == State::Success {
                    self.now("the success is reported; waiting for the machine to go down");
                }
            }
            // What follows the first line is for the logs.
            Event::Word(words) => self.line(&format!("  ! {}", words.lines().next().unwrap_or_default())),
        }
    }

    fn now(&self, words: &str) {
        self.live.reset_elapsed();
        self.live.set_message(words.to_owned());
    }

    fn line(&self, text: &str) {
        self.live.suspend(|| println!("{}", text.trim_end()));
    }
}

/// An action says of a disk which one it is; the machine here has one.
fn without_identity(words: &str) -> String {
    match words.split_once(" (model ").and_then(|(before, rest)| Some((before, rest.split_once(')')?.1))) {
        Some((before, after)) => format!("{before}{after}"),
        None => words.to_owned(),
    }
}

/// `0.4s`, `58s`, `2m51s`; nothing for what took no time.
fn seconds(took: Duration) -> String {
    match took.as_secs() {
        _ if took.is_zero() => String::new(),
        0..10 => format!("{:.1}s", took.as_secs_f64()),
        10..60 => format!("{}s", took.as_secs()),
        all => format!("{}m{:02}s", all / 60, all % 60),
    }
}

fn table(finished: &Finished, folder: &Path, took: Duration) {
    let Node { hostname, system, kernel, firmware, links, name_servers, root, .. } = &finished.node;
    let addresses: Vec<String> = links.iter().flat_map(|link| link.addresses.clone()).collect();
    let root_size = cycle::bytes(finished.node.root_filesystem_bytes);
    println!(
        "{:<9}{hostname}  {}  {}  root {root_size}  cloud-init {}  {}",
        Phase::Boot.label(),
        system.split(" (").next().unwrap_or_default().replace("GNU/Linux ", ""),
        addresses.join(", "),
        finished.node.cloud_init_status(),
        seconds(finished.boot_took),
    );
    let row = |name: &str, value: &str| println!("  {name:<14}{value}");
    println!("\nWhat the node says of itself:\n");
    row("host name", hostname);
    row("system", &format!("{system}, kernel {kernel}, booted by {}", firmware.to_uppercase()));
    for link in links {
        row(&link.name, &format!("{}  {}", link.mac, link.addresses.join(", ")));
    }
    row("gateway", &finished.node.gateways.join(", "));
    row("name servers", &name_servers.join(", "));
    row("root", &format!("{root}, {root_size}, {} behind it", cycle::bytes(finished.node.after_root_bytes)));
    row("cloud-init", &format!("{}; the user-data's own files are there", finished.node.cloud_init_status()));
    row(
        "secrets",
        &format!("{} of them in {} logs and process lists", finished.leaks.len(), finished.logs.len()),
    );
    println!("\nAll of it took {}. Logs: {}", seconds(took), folder.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_by_its_node_alone() {
        let words = "wiped /dev/nvme0n1 (model QEMU NVMe Ctrl, serial A1, 8.6 GB): ext4 (twice)";
        assert_eq!(without_identity(words), "wiped /dev/nvme0n1: ext4 (twice)");
        assert_eq!(without_identity("root (ext4)"), "root (ext4)");
    }

    #[test]
    fn times_are_as_short_as_they_can_be() {
        let shown = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([shown(0), shown(440), shown(58_600), shown(171_000)], ["", "0.4s", "58s", "2m51s"]);
    }
}
