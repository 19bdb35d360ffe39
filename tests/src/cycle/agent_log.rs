//! The agent's log: what each action said last.

use serde_json::Value;

/// The message of the last line of `action` in the agent's log: a person's whole account of it.
pub fn last_words(log: &str, action: &str) -> Option<String> {
    log.lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok())
        .find(|line| line["action"] == action)
        .and_then(|line| line["msg"].as_str().map(str::to_owned))
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
}
