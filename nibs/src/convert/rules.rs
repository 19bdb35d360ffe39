//! Which action of Nibs takes the place of which, and what becomes of its variables: the one table of that. What
//! `nibs convert` does goes by it, and so does what `nibs check` says of an older image.

use common::variables::{
    ACTIONS, ActionSpec, GROW_PARTITION, KEXEC_REBOOT, SHORTEST_WAIT_SECS, STREAM_IMAGE, WAIT_SECONDS,
    WIPE_DISK, WRITE_CLOUD_INIT, WRITE_NETPLAN,
};

use super::block::{Block, Variable};

/// The place of what takes the machine down.
pub(super) const REBOOT: usize = 5;

/// What is known of an action: its words as they stand in the Template, expressions and all.
pub struct Seen<'a> {
    /// The name of its image.
    pub image: &'a str,
    /// Its arguments, in any form.
    pub command: &'a str,
    /// The value of a variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// A line of the table. The first one that fits counts.
struct Rule {
    /// Last words of images' names; none for every image.
    images: &'static [&'static str],
    when: When,
    then: Then,
}

/// What an action must do besides, since some images can do anything.
enum When {
    Always,
    /// One of these words is in its arguments.
    Command(&'static [&'static str]),
    /// One of these words is in the variable's value.
    Variable(&'static str, &'static [&'static str]),
}

enum Then {
    /// One of ours takes its place.
    Ours(&'static ActionSpec, Change),
    /// It stays, for this reason, in which `{}` is the image's word; what a person could put in its place, if anything.
    Stays(&'static str, Option<&'static str>),
}

/// What becomes of the variables.
struct Change {
    /// Whether its own are passed on, where ours has them with the same meaning.
    keeps: bool,
    /// Those that are called otherwise.
    renamed: &'static [(&'static str, &'static str)],
    /// Those that are set besides.
    set: &'static [(&'static str, &'static str)],
}

const OWN: Change = Change { keeps: true, renamed: &[], set: &[] };
const ALL_DISKS: Change =
    Change { keeps: false, renamed: &[], set: &[("DISKS", r#"{{ join "," .Hardware.Disks | toJson }}"#)] };
const DISK_NAME: &[(&str, &str)] = &[("BLOCK_DEVICE", "DEST_DISK")];

const fn with(keeps: bool, set: &'static [(&'static str, &'static str)]) -> Change {
    Change { keeps, renamed: &[], set }
}

const fn renamed(renamed: &'static [(&'static str, &'static str)]) -> Change {
    Change { keeps: true, renamed, set: &[] }
}

const NO_PLACE: Then =
    Then::Stays("Nibs has no action in the place of what this {} does; it stays as it is", None);

static RULES: &[Rule] = &[
    Rule { images: &["image2disk"], when: When::Always, then: Then::Ours(&STREAM_IMAGE, OWN) },
    Rule {
        images: &["oci2disk", "qemuimg2disk"],
        when: When::Always,
        then: Then::Stays(
            "stream-image takes a raw image from http:// or https://, not what {} takes; it stays as it is",
            Some("stream-image, with a raw image at http:// or https://"),
        ),
    },
    Rule { images: &["disk-wipe"], when: When::Always, then: Then::Ours(&WIPE_DISK, ALL_DISKS) },
    Rule { images: &[], when: When::Command(&["wipefs"]), then: Then::Ours(&WIPE_DISK, ALL_DISKS) },
    Rule { images: &["kexec"], when: When::Always, then: Then::Ours(&KEXEC_REBOOT, OWN) },
    Rule {
        images: &["waitdaemon"],
        when: When::Command(&["poweroff"]),
        then: Then::Ours(&KEXEC_REBOOT, with(true, &[("REBOOT_MODE", "poweroff")])),
    },
    Rule {
        images: &["waitdaemon"],
        when: When::Command(&["reboot"]),
        then: Then::Ours(&KEXEC_REBOOT, with(true, &[("REBOOT_MODE", "reboot")])),
    },
    Rule { images: &["waitdaemon"], when: When::Always, then: Then::Ours(&KEXEC_REBOOT, OWN) },
    Rule {
        images: &["reboot"],
        when: When::Always,
        then: Then::Ours(&KEXEC_REBOOT, with(false, &[("REBOOT_MODE", "reboot")])),
    },
    Rule {
        images: &["poweroff"],
        when: When::Always,
        then: Then::Ours(&KEXEC_REBOOT, with(false, &[("REBOOT_MODE", "poweroff")])),
    },
    Rule {
        images: &["cexec"],
        when: When::Variable("CMD_LINE", &["growpart", "resize2fs", "xfs_growfs"]),
        then: Then::Ours(&GROW_PARTITION, renamed(DISK_NAME)),
    },
    Rule {
        images: &["cexec"],
        when: When::Variable("CMD_LINE", &[".cloud_init_script"]),
        then: Then::Ours(
            &WRITE_CLOUD_INIT,
            Change {
                keeps: true,
                renamed: DISK_NAME,
                set: &[("USER_DATA_BASE64", "{{ .cloud_init_script | toJson }}")],
            },
        ),
    },
    Rule {
        images: &["cexec"],
        when: When::Variable("CMD_LINE", &["/var/lib/cloud/seed"]),
        then: Then::Stays(
            "write-cloud-init writes the whole seed; this action can go when nothing else is done in it",
            Some("write-cloud-init, which writes the whole seed"),
        ),
    },
    Rule {
        images: &["writefile"],
        when: When::Variable("DEST_PATH", &["/etc/netplan/"]),
        then: Then::Ours(&WRITE_NETPLAN, renamed(&[("CONTENTS", "NETPLAN")])),
    },
    Rule {
        images: &["writefile"],
        when: When::Variable("DEST_PATH", &["/seed/nocloud/user-data", "/seed/nocloud-net/user-data"]),
        then: Then::Ours(&WRITE_CLOUD_INIT, renamed(&[("CONTENTS", "USER_DATA")])),
    },
    Rule {
        images: &["writefile", "cexec", "archive2disk", "rootio", "slurp", "syslinux", "grub2disk"],
        when: When::Always,
        then: NO_PLACE,
    },
];

/// The last word of an image's name, without tag and digest.
pub fn repository(image: &str) -> &str {
    let last = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

fn find(seen: &Seen<'_>) -> Option<&'static Then> {
    let name = repository(seen.image);
    let fits = |rule: &&Rule| {
        (rule.images.is_empty() || rule.images.contains(&name))
            && match rule.when {
                When::Always => true,
                When::Command(words) => words.iter().any(|w| seen.command.contains(w)),
                When::Variable(variable, words) => {
                    (seen.variable)(variable).is_some_and(|value| words.iter().any(|w| value.contains(w)))
                }
            }
    };
    RULES.iter().find(fits).map(|rule| &rule.then)
}

/// What of Nibs takes the place of an action; nothing for one of ours, and where nothing does.
pub fn replacement(seen: &Seen<'_>) -> Option<&'static str> {
    if ACTIONS.iter().any(|a| a.name == repository(seen.image)) {
        return None;
    }
    match find(seen)? {
        Then::Ours(spec, _) => Some(spec.name),
        Then::Stays(_, instead) => *instead,
    }
}

/// What becomes of an action.
pub(super) enum Swap {
    /// One of ours takes its place.
    Ours {
        /// Which.
        spec: &'static ActionSpec,
        /// Its place in the order.
        rank: usize,
        /// Its variables.
        environment: Vec<Variable>,
        /// What a person should know.
        notes: Vec<String>,
    },
    /// It is one of ours, with its place in the order.
    Already(usize),
    /// It stays, for this reason.
    None(String),
}

pub(super) fn swap(block: &Block) -> Swap {
    let image = block.value("image").unwrap_or_default();
    let name = repository(&image);
    if let Some(rank) = ACTIONS.iter().position(|a| a.name == name) {
        return Swap::Already(rank);
    }
    let Some(variables) = block.variables() else {
        return Swap::None(
            "its environment is not in lines of its own, and was not read; it stays as it is".into(),
        );
    };
    let value =
        |name: &str| variables.iter().find(|v| v.name == name).map(|variable| variable.value.join("\n"));
    let command = block.text("command");
    match find(&Seen { image: &image, command: &command, variable: &value }) {
        Some(Then::Ours(spec, change)) => ours(spec, change, variables),
        Some(Then::Stays(reason, _)) => Swap::None(reason.replace("{}", name)),
        None => Swap::None(format!("Nibs has no action in the place of {name}; it stays as it is")),
    }
}

fn ours(spec: &'static ActionSpec, change: &Change, variables: Vec<Variable>) -> Swap {
    let own = variables.into_iter().filter(|_| change.keeps).map(|variable| {
        let to = change.renamed.iter().find(|(from, _)| *from == variable.name);
        Variable { name: to.map_or(variable.name, |(_, to)| (*to).to_owned()), ..variable }
    });
    let taken = |v: &Variable| spec.all_variables().any(|known| known.name == v.name);
    let (mut environment, dropped): (Vec<_>, Vec<_>) = own.partition(taken);
    let mut notes = Vec::new();
    if !dropped.is_empty() {
        let names: Vec<_> = dropped.into_iter().map(|v| v.name).collect();
        notes.push(format!("{} has no {}", spec.name, names.join(", ")));
    }
    for variable in &mut environment {
        notes.extend(fit(variable));
    }
    environment.extend(
        change
            .set
            .iter()
            .map(|(name, value)| Variable { name: (*name).to_owned(), value: vec![format!(" {value}")] }),
    );
    let rank = ACTIONS.iter().position(|a| a.name == spec.name).unwrap_or_default();
    Swap::Ours { spec, rank, environment, notes }
}

/// Mends a value that ours would refuse, or that is wrong for some disk.
fn fit(variable: &mut Variable) -> Option<String> {
    const FIRST_DISK: &str = "{{ index .Hardware.Disks 0 }}";
    let value = variable.value[0].trim().to_owned();
    match variable.name.as_str() {
        // A partition's name that was put together; ours find the partition themselves.
        "DEST_DISK" if value.contains("index .Hardware.Disks 0") => {
            variable.value[0] = format!(" {FIRST_DISK}");
            None
        }
        // The same, but for what newer versions put together right: it may be the partition with the kernel.
        "BLOCK_DEVICE" if value.contains("index .Hardware.Disks 0") && !value.contains("formatPartition") => {
            variable.value[0] = format!(" {FIRST_DISK}");
            None
        }
        name if name == WAIT_SECONDS.name => {
            let seconds: f64 = value.trim_matches(['"', '\'']).parse().ok()?;
            let shortest = SHORTEST_WAIT_SECS;
            #[expect(clippy::cast_precision_loss, reason = "it is a few seconds")]
            if seconds >= shortest as f64 {
                return None;
            }
            variable.value[0] = format!(" {shortest}");
            Some(format!("{name} was {value}; from {shortest} on is accepted, for the report"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str, command: &str, variables: &[(&str, &str)]) -> Option<&'static str> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        replacement(&Seen { image, command, variable: &variable })
    }

    #[test]
    fn what_takes_the_place_of_what() {
        for (image, command, variables, ours) in [
            ("quay.io/tinkerbell/actions/image2disk:latest", "", &[][..], Some("stream-image")),
            ("r:5000/kexec@sha256:00", "", &[], Some("kexec-reboot")),
            ("alpine", "[sh, -c, wipefs --all /dev/sda]", &[], Some("wipe-disk")),
            ("x/waitdaemon", "[reboot]", &[], Some("kexec-reboot")),
            ("x/cexec", "", &[("CMD_LINE", "growpart /dev/sda 3")], Some("grow-partition")),
            (
                "x/cexec",
                "",
                &[("CMD_LINE", "echo {{.cloud_init_script}} | base64 -d")],
                Some("write-cloud-init"),
            ),
            ("x/writefile", "", &[("DEST_PATH", "/etc/netplan/config.yaml")], Some("write-netplan")),
            (
                "x/writefile",
                "",
                &[("DEST_PATH", "/var/lib/cloud/seed/nocloud/user-data")],
                Some("write-cloud-init"),
            ),
            ("x/oci2disk", "", &[], Some("stream-image, with a raw image at http:// or https://")),
            ("x/cexec", "", &[("CMD_LINE", "apt install x")], None),
            ("x/writefile", "", &[("DEST_PATH", "/etc/motd")], None),
            ("x/rootio", "", &[], None),
            ("x/archive2disk", "", &[], None),
            ("r/stream-image", "", &[], None),
            ("r/cexecs", "", &[("CMD_LINE", "growpart")], None),
        ] {
            assert_eq!(of(image, command, variables), ours, "{image} {command} {variables:?}");
        }
    }

    #[test]
    fn every_line_names_variables_that_ours_takes() {
        for rule in RULES {
            let Then::Ours(spec, change) = &rule.then else { continue };
            let renamed = change.renamed.iter().map(|(_, to)| to);
            for name in renamed.chain(change.set.iter().map(|(name, _)| name)) {
                assert!(spec.all_variables().any(|v| v.name == *name), "{}: {name}", spec.name);
            }
        }
    }
}
