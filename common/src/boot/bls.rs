//! Entries of the Boot Loader Specification (UAPI.1), type 1: a small file for each.

/// What such a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlsEntry {
    /// The file's name without `.conf` and, for those that count, the counter.
    pub id: String,
    /// How often it may still be tried; nothing where that is not counted.
    pub tries_left: Option<u32>,
    /// `title`
    pub title: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// `sort-key`
    pub sort_key: Option<String>,
    /// `machine-id`
    pub machine_id: Option<String>,
    /// `architecture`
    pub architecture: Option<String>,
    /// `linux`
    pub linux: Option<String>,
    /// `initrd`, each of its lines.
    pub initrds: Vec<String>,
    /// `options`, each of its lines.
    pub options: Vec<String>,
    /// `efi` or `uki`: a program, not a kernel.
    pub program: Option<String>,
}

impl BlsEntry {
    /// Reads an entry. `name` is its file's name. What the specification does not know is passed over.
    pub fn parse(name: &str, text: &str) -> Self {
        let stem = name.strip_suffix(".conf").unwrap_or(name);
        let (id, tries_left) = without_counter(stem);
        let mut entry = Self { id: id.to_owned(), tries_left, ..Self::default() };
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once([' ', '\t']) else { continue };
            let value = || value.trim_start().to_owned();
            match key {
                "title" => entry.title = Some(value()),
                "version" => entry.version = Some(value()),
                "sort-key" => entry.sort_key = Some(value()),
                "machine-id" => entry.machine_id = Some(value()),
                "architecture" => entry.architecture = Some(value()),
                "linux" => entry.linux = Some(value()),
                "initrd" => entry.initrds.push(value()),
                "options" => entry.options.push(value()),
                "efi" | "uki" => entry.program = Some(value()),
                _ => {}
            }
        }
        entry
    }
}

/// The name without the counter at its end (`+3`, `+3-1`), and the tries that are left.
pub(super) fn without_counter(stem: &str) -> (&str, Option<u32>) {
    let Some((name, counter)) = stem.rsplit_once('+') else { return (stem, None) };
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    let number = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
    };
    match (number(left), number(done)) {
        (Some(left), Some(_)) => (name, Some(left)),
        _ => (stem, None),
    }
}

/// The line of `text` that begins with the key, from 1 on; 0 where there is none.
pub(super) fn line_of(text: &str, key: &str) -> u32 {
    let is =
        |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '\t']));
    text.lines().position(is).map_or(0, |at| at as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read() {
        let text = "# made by hand\ntitle  Debian GNU/Linux\nversion\t6.1\nsort-key debian\nlinux /a/linux\ninitrd /a/ucode\n\
                    initrd /a/initrd\noptions root=UUID=1 ro\noptions quiet \nfuture x\nbare\n architecture x64\n";
        let entry = BlsEntry::parse("a-6.1+2-1.conf", text);
        assert_eq!((entry.id.as_str(), entry.tries_left), ("a-6.1", Some(2)));
        assert_eq!(entry.title.as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(entry.initrds, ["/a/ucode", "/a/initrd"]);
        assert_eq!(entry.options, ["root=UUID=1 ro", "quiet"]);
        assert_eq!(entry.architecture.as_deref(), Some("x64"));
        assert_eq!(line_of(text, "linux"), 5);
    }

    #[test]
    fn counters_are_told_from_names() {
        for (stem, name, left) in [
            ("a+3", "a", Some(3)),
            ("a+0-3", "a", Some(0)),
            ("a", "a", None),
            ("a+", "a+", None),
            ("a+b", "a+b", None),
            ("a+3-b", "a+3-b", None),
            ("a+99999999999", "a+99999999999", None),
            ("5.14+debug", "5.14+debug", None),
        ] {
            assert_eq!(without_counter(stem), (name, left), "{stem}");
        }
    }
}
