//! The harness: plays a case, and says how it ended, or in what way that was not as the case says.

use std::collections::HashMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nibs_tests::certificates::{Authority, self_signed_server};
use nibs_tests::http::{Answer, HttpServer, Reply, Until};
use nibs_tests::outcome::Outcome;
use nibs_tests::signal::{self, Signal};

use crate::case::{Case, Certificate, Disk, Ends, Known, Path, Place, Run, Say, Send, Server, When};
use crate::network::{LONELY, Proxy, SECRET, TRIES, Taken};
use crate::objects::{Image, Object};
use crate::target::{Target, in_own_mounts};

/// No case lasts longer.
const LONGEST: Duration = Duration::from_secs(170);

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::default);
static OTHER_AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::default);

/// Who plays cases, one after another.
pub struct Player {
    usual: Target,
}

/// How a case ended, in a few words.
pub type Played = Result<String, String>;

impl Player {
    pub fn new() -> Self {
        Self { usual: Target::new(Disk::Usual) }
    }

    /// Plays a case.
    pub fn play(&mut self, case: &Case) -> Played {
        let played = catch_unwind(AssertUnwindSafe(|| {
            if case.disk == Disk::Usual {
                self.usual.restore();
                return Stage::set(case, &self.usual).play();
            }
            let target = Target::new(case.disk);
            Stage::set(case, &target).play()
        }));
        played.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        })
    }
}

/// All that a case needs, and all of it goes away again.
pub struct Stage<'a> {
    pub case: &'a Case,
    pub target: &'a Target,
    object: Arc<Vec<u8>>,
    pub server: HttpServer,
    pub other: HttpServer,
    pub proxies: Vec<Proxy>,
    refusing: Taken,
    _dead: Option<Taken>,
    names: HashMap<&'static str, String>,
    folder: tempfile::TempDir,
}

fn server(case: &Case) -> HttpServer {
    match case.server {
        Server::Plain => HttpServer::plain(),
        Server::Second | Server::BehindDead => HttpServer::on("127.0.0.99".parse().unwrap()),
        Server::Ipv6 => HttpServer::on("::1".parse().unwrap()),
        Server::Tls(certificate) => HttpServer::tls(match certificate {
            Certificate::Right => AUTHORITY.server(&["127.0.0.1"]),
            Certificate::Expired => AUTHORITY.expired_server(&["127.0.0.1"]),
            Certificate::OtherName => AUTHORITY.server(&["images.example"]),
            Certificate::SelfSigned => self_signed_server(&["127.0.0.1"]),
        }),
    }
}

/// A case's server and, where the case wants one, the dead address at the same port.
fn serving(case: &Case) -> (HttpServer, Option<Taken>) {
    for _ in 0..TRIES {
        let server = server(case);
        if !matches!(case.server, Server::BehindDead) {
            return (server, None);
        }
        if let Ok(dead) = Taken::dead(server.port()) {
            return (server, Some(dead));
        }
    }
    panic!("no port is free at both {LONELY} and the server's address");
}

impl<'a> Stage<'a> {
    fn set(case: &'a Case, target: &'a Target) -> Self {
        let (server, dead) = serving(case);
        let wants = |name: &str| case.env.iter().any(|(_, value)| value.contains(name));
        let mut stage = Self {
            case,
            target,
            object: case.object.bytes(case.format),
            other: HttpServer::plain(),
            proxies: if wants("{proxy") { vec![Proxy::new(true), Proxy::new(false)] } else { Vec::new() },
            refusing: Taken::refusing(),
            _dead: dead,
            server,
            names: HashMap::new(),
            folder: tempfile::Builder::new().prefix("nibs-case-").tempdir().unwrap(),
        };
        stage.name();
        for Path { at, elsewhere, text, says } in &case.paths {
            let body = match text {
                Some(text) => Arc::new(stage.expand(text).into_bytes()),
                None => Arc::clone(&stage.object),
            };
            let answers: Vec<Answer> = says.iter().map(|say| stage.answer(say, &body)).collect();
            let server = if *elsewhere { &stage.other } else { &stage.server };
            server.serve_shared(at, body, &answers);
        }
        let answers: Vec<Answer> = case.says.iter().map(|say| stage.answer(say, &stage.object)).collect();
        stage.server.serve_shared("/image", Arc::clone(&stage.object), &answers);
        stage
    }

    /// What is known only now.
    fn name(&mut self) {
        let sum = |tool: &str, bytes: &[u8]| {
            let said = nibs_tests::disk_image::pipe(&mut Command::new(tool), bytes);
            String::from_utf8(said).unwrap().split(' ').next().unwrap().to_owned()
        };
        let all: Vec<&String> = self.case.env.iter().map(|(_, value)| value).collect();
        let texts = self.case.paths.iter().filter_map(|path| path.text.as_ref());
        let wanted: String = all.into_iter().chain(texts).cloned().collect();
        let mut names = HashMap::from([
            ("{server}", self.server.url("")),
            ("{plain}", self.server.url("").replace("https:", "http:")),
            ("{secure}", self.server.url("").replace("http:", "https:")),
            ("{other}", self.other.url("")),
            ("{port}", self.server.port().to_string()),
            ("{secret}", SECRET.to_owned()),
            ("{lonely}", LONELY.to_string()),
            ("{nobody}", self.refusing.address()),
            ("{ca}", AUTHORITY.pem()),
            ("{other-ca}", OTHER_AUTHORITY.pem()),
            ("{zeros}", "0".repeat(64)),
            ("{length}", grouped(self.object.len())),
        ]);
        for (name, tool) in [("{sha256}", "sha256sum"), ("{sha512}", "sha512sum")] {
            if wanted.contains(name) {
                names.insert(name, sum(tool, &self.object));
            }
        }
        if wanted.contains("{raw-sha256}") {
            names.insert("{raw-sha256}", sum("sha256sum", &Image::Usual.bytes()));
        }
        if let [with, without] = &self.proxies[..] {
            names.insert("{proxy}", format!("http://user:{SECRET}@{}", with.address()));
            names.insert("{proxy-wrong}", format!("http://user:{SECRET}-no@{}", with.address()));
            names.insert("{proxy-bare}", format!("http://{}", with.address()));
            names.insert("{proxy-open}", without.address());
        }
        let broken = self.case.says.iter().rev().find_map(|say| match say {
            Say::Object(Send { until: Some((_, place)), .. }) => byte_at(*place, self.object.len()),
            _ => None,
        });
        names.insert("{at}", grouped(broken.unwrap_or_default()));
        // RFC 9110's own form of a date.
        let date = Command::new("date")
            .args(["-u", "-d", "+3 sec", "+%a, %d %b %Y %H:%M:%S GMT"])
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        names.insert("{in-3-s}", String::from_utf8(date.stdout).unwrap().trim().to_owned());
        self.names = names;
    }

    /// Puts in what is known only now.
    pub fn expand(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    fn answer(&self, say: &Say, body: &[u8]) -> Answer {
        match say {
            Say::Object(send) => Answer::Reply(Box::new(self.reply(send, body))),
            Say::Status(status, lines) => Answer::Status(
                *status,
                lines.iter().map(|(name, value)| (*name, self.expand(value))).collect(),
            ),
            Say::Full(status) => Answer::FullWithStatus(*status),
            Say::Slow(bytes_per_sec) => Answer::Slow(*bytes_per_sec),
            Say::Length(more) => Answer::WithLength((body.len() as i64 + more) as u64),
        }
    }

    fn reply(&self, send: &Send, body: &[u8]) -> Reply {
        let date = ("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT".to_owned());
        let weak = ("ETag", "W/\"one\"".to_owned());
        let headers = match send.known {
            Known::Etag(tag) => vec![("ETag", tag.to_owned()), date],
            Known::WeakEtag => vec![weak],
            Known::Date => vec![date],
            Known::WeakEtagAndDate => vec![weak, date],
            Known::Nothing => Vec::new(),
        };
        let other = send.other.then(|| Object::Of(Image::Other).bytes(self.case.format));
        let length = other.as_ref().map_or(body.len(), |other| other.len());
        let until = match send.until {
            None => Until::End,
            Some((_, Place::LastChunk)) => Until::LastChunk,
            Some((kind, place)) => match byte_at(place, length) {
                Some(at) => Until::Byte(kind, at),
                None => Until::Header(kind),
            },
        };
        Reply { body: other, headers, ranges: send.ranges, framing: send.framing, until }
    }

    fn command(&self) -> Command {
        let mut run_by = self.target.run_by.clone();
        match self.case.run {
            Run::Plain => {}
            Run::Hosts(lines) => {
                let hosts = self.folder.path().join("hosts");
                std::fs::write(&hosts, self.expand(lines)).unwrap();
                let script = format!("/bin/mount --bind {} /etc/hosts; exec \"$0\"", hosts.display());
                run_by = in_own_mounts(&script);
            }
            Run::Files(most) => run_by = vec!["/usr/bin/prlimit".into(), format!("--nofile={most}:{most}")],
        }
        let mut command = match run_by.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.target.action);
                command
            }
            None => Command::new(&self.target.action),
        };
        command.env_clear().env("IMG_URL", self.server.url("/image")).env("DEST_DISK", &self.target.named);
        command.env("STALL_TIMEOUT_SECONDS", "20").env("RETRY_DURATION_MINUTES", "0.5");
        command.env("LOG_LEVEL", "debug");
        for (name, value) in &self.case.env {
            match value.as_str() {
                "" => command.env_remove(name),
                value => command.env(name, self.expand(value)),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn play(self) -> Played {
        let started = Instant::now();
        let mut child = self.command().spawn().unwrap();
        let signalled = self.signal(&mut child);
        let outcome = wait(child, signalled)?;
        let elapsed = signalled.unwrap_or(started).elapsed();
        let ended = self.check(&outcome, elapsed)?;
        if matches!(self.case.ends, Ends::KilledThenRight) {
            let again = wait(self.command().spawn().unwrap(), None)?;
            self.right(&again, Image::Usual)?;
        }
        Ok(ended)
    }

    fn signal(&self, child: &mut Child) -> Option<Instant> {
        let (signal, when) = self.case.signal?;
        let started = Instant::now();
        let patience = Duration::from_secs(20);
        let wait_until = |there: &dyn Fn() -> bool| {
            while !there() {
                assert!(started.elapsed() < patience, "there is nothing to interrupt");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        match when {
            When::Asked(times) => {
                wait_until(&|| self.server.requests().len() >= times);
                std::thread::sleep(Duration::from_millis(400));
            }
            When::Writing => {
                wait_until(&|| {
                    let mut block = vec![0; 4096];
                    let mut disk = std::fs::File::open(self.target.device().node()).unwrap();
                    disk.read_exact(&mut block).unwrap();
                    block.iter().all(|byte| *byte == 0)
                });
                std::thread::sleep(Duration::from_millis(50));
            }
            When::Millis(millis) => std::thread::sleep(Duration::from_millis(millis)),
        }
        let asked = Instant::now();
        let _ = signal::send(child.id(), signal);
        Some(asked)
    }
}

/// The byte of an object at this place; `None` for the header before it.
fn byte_at(place: Place, length: usize) -> Option<usize> {
    match place {
        Place::Header => None,
        Place::Byte(at) => Some(at),
        Place::Percent(percent) => Some(length * percent / 100),
        // The image packs to one size everywhere but in its last quarter, which is zeros.
        Place::BeforeFirstMib => Some(length * 11 / 100),
        Place::BehindFirstMib => Some(length * 30 / 100),
        Place::Trailer => Some(length - 1),
        Place::LastChunk => Some(length),
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// Waits for the end, and ends what does not end by itself. What was asked to stop has 5 seconds.
fn wait(child: Child, signalled: Option<Instant>) -> Result<Outcome, String> {
    let id = child.id();
    let waiting = std::thread::spawn(move || child.wait_with_output());
    let started = Instant::now();
    while !waiting.is_finished() {
        if started.elapsed() > LONGEST {
            let _ = signal::send(id, Signal::KILL);
            let output = waiting.join().unwrap().unwrap();
            return Err(format!("it does not end:\n{}", String::from_utf8_lossy(&output.stdout)));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let late = signalled.map(|asked| asked.elapsed()).filter(|elapsed| *elapsed > Duration::from_secs(5));
    let outcome = Outcome::read(&waiting.join().unwrap().unwrap());
    match late {
        Some(late) => Err(format!("it took {late:?} to stop:\n{}", outcome.text)),
        None => Ok(outcome),
    }
}
