//! One round: an older system, a run that is disturbed, what it left, and a run that is not.

use std::time::Duration;

use crate::signal::Signal;

use super::action::{Ended, Run};
use super::choice::{Cut, Moment, Round, Stop};
use super::objects::{Object, Objects, path};
use super::state::{State, state};
use super::target::Target;
use crate::http::{Answer, Break, Framing, HttpServer, Ranges, Reply, Until};

/// After SIGTERM.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What a round found.
pub(super) struct Found {
    /// What was done.
    pub(super) what: &'static str,
    /// How the disturbed run ended.
    pub(super) ending: Ending,
    /// What it left.
    pub(super) left: State,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// By a signal that it could not, or could not yet, catch.
    Killed,
    Failed,
    Succeeded,
}

/// Runs the round with this number.
///
/// # Errors
/// What is wrong.
pub(super) fn run(
    seed: u64,
    number: u64,
    server: &HttpServer,
    objects: &Objects,
    targets: &[Target],
) -> Result<Found, String> {
    let round = Round::pick(seed, number, objects.len(), targets.len());
    disturbed_and_again(&round, number, server, objects, &targets[round.target])
        .map_err(|wrong| format!("{wrong}\nin {round}"))
}

fn disturbed_and_again(
    round: &Round,
    number: u64,
    server: &HttpServer,
    objects: &Objects,
    target: &Target,
) -> Result<Found, String> {
    let [object, next] = round.objects.map(|index| objects.get(index));
    target.fill();
    let (ending, ended) = disturbed(round, number, server, object, target)?;
    let left = state(&target.disk.content(), &target.kind.before, &target.kind.right)
        .map_err(|wrong| format!("{wrong}; the run {}", ended.text()))?;
    judge(round, ending, left, &ended)
        .map_err(|wrong| format!("{wrong} (the disk is {left}); the run {}", ended.text()))?;

    let again = Run::start(target.disk.node(), &server.url(&path(next.name)), &[]).end();
    let again = again.map_err(|error| format!("running again: {error:#}"))?;
    if again.code != Some(0) {
        return Err(format!("running again after it left the disk {left}: {}", again.text()));
    }
    if target.disk.content() != target.kind.right {
        return Err(format!("running again after it left the disk {left}: other bytes; {}", again.text()));
    }
    next.took(again.last_line_after);
    Ok(Found { what: round.what(), ending, left })
}

fn disturbed(
    round: &Round,
    number: u64,
    server: &HttpServer,
    object: &Object,
    target: &Target,
) -> Result<(Ending, Ended), String> {
    // A path of its own, since answers are counted by path.
    let path = format!("/{number}");
    let url = server.serve_shared(&path, object.bytes.clone(), &answers(round, object));
    let retry = if round.cut.as_ref().is_some_and(|cut| !cut.retry) { "false" } else { "true" };
    let mut environment = vec![("RETRY_ENABLED", retry)];
    if round.digest {
        environment.push(("IMG_DIGEST", &object.digest));
    }
    let mut action = Run::start(target.disk.node(), &url, &environment);
    let mut asked_after = None;
    if let Some(Stop::Kill(moment) | Stop::Terminate(moment)) = round.stop {
        match moment {
            Moment::Part(part) => action.wait_until(object.usual().mul_f64(part)),
            Moment::After(line, more) => action.wait_after_line(line, more),
        }
        let kill = matches!(round.stop, Some(Stop::Kill(_)));
        asked_after = Some(action.elapsed()).filter(|_| !kill);
        action.signal(if kill { Signal::KILL } else { Signal::TERM });
    }
    let ended = action.end().map_err(|error| format!("{error:#}"))?;
    if let Some(took) = asked_after.and_then(|asked| ended.ended_after.checked_sub(asked))
        && took > STOPS_WITHIN
    {
        return Err(format!("it ended {:.1} s after SIGTERM; {}", took.as_secs_f64(), ended.text()));
    }
    let ending = match ended.code {
        None => Ending::Killed,
        Some(0) => Ending::Succeeded,
        Some(1) => Ending::Failed,
        Some(_) => return Err(ended.text()),
    };
    Ok((ending, ended))
}

/// What the server does.
fn answers(round: &Round, object: &Object) -> Vec<Answer> {
    let reply = |ranges, until| {
        let headers = vec![("ETag", format!("\"{}\"", object.digest))];
        let framing = if round.chunked { Framing::Chunked } else { Framing::Length };
        Answer::Reply(Box::new(Reply { headers, ranges, framing, until, ..Reply::default() }))
    };
    let Some(Cut { at, reset, ranges, .. }) = &round.cut else {
        return vec![reply(Ranges::Right, Until::End)];
    };
    let ranges = if *ranges { Ranges::Right } else { Ranges::Ignored };
    let how = if *reset { Break::Reset } else { Break::Closed };
    let length = object.bytes.len();
    let cuts = at.iter().map(|part| ((length as f64 * part) as usize).min(length - 1));
    cuts.map(|byte| reply(ranges, Until::Byte(how, byte))).chain([reply(ranges, Until::End)]).collect()
}

/// Whether what the run said is what it did.
fn judge(round: &Round, ending: Ending, left: State, ended: &Ended) -> Result<(), String> {
    let (cause, message) = (ended.last("cause"), ended.last("msg"));
    match ending {
        Ending::Killed if round.stop.is_none() => Err("nobody killed it".into()),
        Ending::Killed if matches!(round.stop, Some(Stop::Terminate(_))) && left != State::Untouched => {
            Err("SIGTERM ended it with no word".into())
        }
        Ending::Killed => Ok(()),
        Ending::Succeeded if left != State::Right => Err("it says that all is well".into()),
        Ending::Succeeded if round.cut.as_ref().is_some_and(|cut| !cut.retry) => {
            Err("it went on where it must not".into())
        }
        Ending::Succeeded => Ok(()),
        Ending::Failed => {
            let expected = match (&round.cut, round.stop) {
                (_, Some(Stop::Terminate(_))) if cause == "stopped" => true,
                (Some(Cut { retry: false, .. }), _) => {
                    ["image-truncated", "server-unreachable"].contains(&cause.as_str())
                }
                _ => false,
            };
            if !expected {
                return Err(format!("it must not fail by {cause:?}"));
            }
            let said = if message.contains("nothing was written to ") {
                State::Untouched
            } else if message.contains(" was left not bootable, both its ends are zero") {
                State::NotBootable
            } else {
                return Err("it does not say what the disk is".into());
            };
            if said == left { Ok(()) } else { Err(format!("it says that the disk is {said}")) }
        }
    }
}
