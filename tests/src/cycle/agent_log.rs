//! The agent's log: what each action said last.

use serde_json::Value;

/// The message of the last line of `action` in the agent's log: a person's whole account of it.
pub fn last_words(log: &str, action: &str) -> Option<String> {
    last_line(log, action).and_then(|line| line["msg"].as_str().map(str::to_owned))
}

/// The last line of `action` in the agent's log.
pub fn last_line(log: &str, action: &str) -> Option<Value> {
    lines(log).into_iter().rev().find(|line| line["action"] == action)
}

/// Every line of JSON. With containerd an action's lines stand in the agent's log as they are. With Docker the agent
/// makes what it read into the message of a line of its own: several lines at once, each with the eight bytes before it
/// by which Docker tells the streams apart.
fn lines(log: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok()) {
        match line["msg"].as_str().filter(|_| line.get("container_name").is_some()) {
            Some(read) => lines.extend(read.lines().filter_map(|line| {
                let begin = line.find('{')?;
                serde_json::from_str::<Value>(line[begin..].trim()).ok()
            })),
            None => lines.push(line),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn the_last_line_of_the_right_action() {
        let log = "not json\n\
            {\"level\":\"info\",\"action\":\"wipe-disk\",\"msg\":\"first\"}\n\
            {\"level\":\"info\",\"action\":\"wipe-disk\",\"msg\":\"last\"}\r\n\
            {\"level\":\"info\",\"action\":\"stream-image\",\"msg\":\"other\"}\n{\"half\":";
        assert_eq!(last_words(log, "wipe-disk").as_deref(), Some("last"));
        assert_eq!(last_words(log, "grow-partition"), None);
    }

    #[test]
    fn dockers_lines_are_unwrapped() {
        let log = r#"{"level":"INFO","msg":"\u0001\u0000\u0000\u0000\u0000\u0000\u0000\ufffd{\"action\":\"wipe-disk\",\"msg\":\"first\"}\n\u0001\u0000\u0000\u0000\u0000\u0000\u0001\n{\"action\":\"wipe-disk\",\"msg\":\"last\"}\n","container_name":"a"}
{"level":"INFO","msg":"\u0001\u0000{\"action\":\"stream-image\",\"msg\":\"other\"}\n","container_name":"b"}
"#;
        assert_eq!(last_words(log, "wipe-disk").as_deref(), Some("last"));
        assert_eq!(last_words(log, "stream-image").as_deref(), Some("other"));
    }
}
