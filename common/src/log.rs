//! Log lines: one event, one line, under 1 KiB, since they leave the machine by UDP syslog. JSON unless text is asked for.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// No line is longer, newline included.
pub const LINE_BYTES: usize = 1024;

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// `LEVEL action: message key=value`.
    Text,
}

/// Sends all events of this process to stdout, from `level` up.
pub fn init(action: &'static str, format: Format, level: Level) {
    let subscriber = Registry::default().with(Lines { action, format, level });
    // A second call changes nothing: the first logger stays, and that is all that can go wrong here.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The last line was said.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Says the last line: what other threads say after it, while they are ending, is not for anybody.
pub fn last(say: impl FnOnce()) {
    // The lock is this thread's own: `say` takes it once more, and no other line gets between.
    let _lock = std::io::stdout().lock();
    say();
    ENDED.store(true, Ordering::SeqCst);
}

struct Lines {
    action: &'static str,
    format: Format,
    level: Level,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Libraries below us log addresses and headers; only our own events leave the machine.
        let ours =
            metadata.module_path().is_some_and(|path| !FOREIGN.iter().any(|name| path.starts_with(name)));
        if *metadata.level() > self.level || !ours {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match self.format {
            Format::Json => json_line(self.action, *metadata.level(), &now(), fields),
            Format::Text => text_line(self.action, *metadata.level(), fields),
        };
        let mut output = std::io::stdout().lock();
        if !ENDED.load(Ordering::SeqCst) {
            // Nobody can be told that stdout is gone, and the work goes on without it.
            let _ = output.write_all(line.as_bytes());
        }
    }
}

/// Crates whose own events stay inside.
const FOREIGN: &[&str] = &["reqwest", "hyper", "hyper_util", "rustls", "h2", "tokio", "mio", "want", "tower"];

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

fn now() -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; a clock before 1970 leaves the field empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn json_line(action: &str, level: Level, time: &str, fields: Fields) -> String {
    let mut message = fields.message;
    loop {
        let mut object = Map::new();
        object.insert("time".into(), time.into());
        object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
        object.insert("action".into(), action.into());
        if let Some(cause) = fields.others.get("cause") {
            object.insert("cause".into(), cause.clone());
        }
        object.insert("msg".into(), message.clone().into());
        for (name, value) in &fields.others {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let line = Value::Object(object).to_string() + "\n";
        if line.len() <= LINE_BYTES || message.is_empty() {
            return line;
        }
        shorten(&mut message, line.len() - LINE_BYTES);
    }
}

fn text_line(action: &str, level: Level, fields: Fields) -> String {
    let mut message = fields.message.replace(['\n', '\r'], " ");
    loop {
        let mut line = format!("{level:<5} {action}: {message}");
        for (name, value) in &fields.others {
            line.push_str(&format!(" {name}={value}"));
        }
        line.push('\n');
        if line.len() <= LINE_BYTES || message.is_empty() {
            return line;
        }
        shorten(&mut message, line.len() - LINE_BYTES);
    }
}

/// Cuts the middle out of a message that is `excess` bytes too long: its beginning says what was done, its end what to do.
fn shorten(message: &mut String, excess: usize) {
    const ELLIPSIS: &str = " … ";
    // In small steps: a byte of the message can take up to six in JSON.
    let step = excess.min(message.len() / 8).max(8);
    let keep = message.len().saturating_sub(step + ELLIPSIS.len());
    if keep < 16 {
        message.clear();
        return;
    }
    let (mut head, mut tail) = (keep / 2, message.len() - keep / 2);
    while !message.is_char_boundary(head) {
        head -= 1;
    }
    while !message.is_char_boundary(tail) {
        tail += 1;
    }
    message.replace_range(head..tail, ELLIPSIS);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &str) -> Fields {
        let mut others = Map::new();
        others.insert("cause".into(), "disk-io".into());
        others.insert("at_bytes".into(), 7.into());
        Fields { message: message.into(), others }
    }

    #[test]
    fn a_json_line_has_its_fields_in_order() {
        let line = json_line("wipe-disk", Level::ERROR, "T", fields("it broke"));
        assert_eq!(
            line,
            "{\"time\":\"T\",\"level\":\"error\",\"action\":\"wipe-disk\",\"cause\":\"disk-io\",\"msg\":\"it broke\",\"at_bytes\":7}\n"
        );
    }

    #[test]
    fn no_line_is_longer_than_a_kibibyte_and_both_ends_stay() {
        for message in ["a\"b\n".repeat(1000), "ä€".repeat(2000)] {
            let message = format!("begin {message} end");
            for line in [
                json_line("stream-image", Level::INFO, "T", fields(&message)),
                text_line("stream-image", Level::INFO, fields(&message)),
            ] {
                assert!(line.len() <= LINE_BYTES, "{}", line.len());
                assert!(line.contains("begin") && line.contains("end") && line.contains(" … "), "{line}");
                assert_eq!(line.matches('\n').count(), 1);
            }
        }
    }
}
