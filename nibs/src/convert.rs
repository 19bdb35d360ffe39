//! A Template that was made for tinkerbell/actions, with the actions of Nibs in their place.
//!
//! It works on lines, so that comments, expressions and formatting stay as they are: a Template is YAML only once it is
//! rendered. Wherever an action cannot be swapped it stays, and a comment says why.

mod block;
mod rules;

use block::Block;
use rules::Swap;
pub use rules::{Seen, replacement, repository};

use crate::image_names::ImageNames;

/// What begins every comment that is added.
const MARK: &str = "# nibs:";

/// What became of a Template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Its text.
    pub text: String,
    /// How many actions were swapped.
    pub swapped: usize,
    /// How many were not.
    pub kept: usize,
}

/// Swaps the actions of every task.
///
/// # Errors
/// No action is found, or the images' index lacks one.
pub fn convert(text: &str, images: &ImageNames) -> Result<Converted, String> {
    let mut converted = by_lines(text, images)?;
    if text.contains("\r\n") {
        converted.text = converted.text.replace('\n', "\r\n");
    }
    Ok(converted)
}

fn by_lines(text: &str, images: &ImageNames) -> Result<Converted, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut converted = Converted { text: String::new(), swapped: 0, kept: 0 };
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        converted.text += &format!("{line}\n");
        index += 1;
        if line.trim_start().trim_start_matches("- ").trim_end() != "actions:" {
            continue;
        }
        let (blocks, next) = block::read(&lines, index);
        index = next;
        let mut rank = 0;
        let mut done = Vec::new();
        for block in blocks {
            let (lines, own) = swap(block, images, &mut converted)?;
            // What is not ours stays behind what it stood behind, and never goes behind the reboot.
            rank = own.unwrap_or(rank.min(4));
            done.push((rank, lines));
        }
        done.sort_by_key(|(rank, _)| *rank);
        for line in done.into_iter().flat_map(|(_, lines)| lines) {
            converted.text += &format!("{line}\n");
        }
    }
    if converted.swapped + converted.kept == 0 {
        return Err(
            "no action in it; a Template with tasks and their actions in lines of their own is accepted"
                .into(),
        );
    }
    Ok(converted)
}

/// The lines of one action, and its place in the order when it is one of ours.
fn swap(
    mut block: Block,
    images: &ImageNames,
    converted: &mut Converted,
) -> Result<(Vec<String>, Option<usize>), String> {
    match rules::swap(&block) {
        Swap::Ours { spec, rank, environment, notes } => {
            converted.swapped += 1;
            block.replace(&images.of(spec.name)?, &environment, rank == rules::REBOOT);
            for note in notes {
                block.comment(&format!("{MARK} {note}"));
            }
            Ok((block.lines, Some(rank)))
        }
        Swap::Already(rank) => {
            converted.kept += 1;
            Ok((block.lines, Some(rank)))
        }
        Swap::None(reason) => {
            converted.kept += 1;
            block.comment(&format!("{MARK} {reason}"));
            Ok((block.lines, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "tasks:\n  - name: t # mine\n    actions:\n      - name: boot\n        image: quay.io/tinkerbell/actions/kexec:v1\n        \
        timeout: 90\n        environment:\n          BLOCK_DEVICE: /dev/sda1\n          FS_TYPE: ext4\n      # the image\n      - name: \"stream\"\n        \
        image: quay.io/tinkerbell/actions/image2disk:v1 # old\n        timeout: 600\n        environment:\n          IMG_URL: {{ .url }}\n          \
        DEST_DISK: /dev/sda\n          COMPRESSED: true\n      - name: mine\n        image: registry.example/mine:1\n        timeout: 60\n";

    #[test]
    fn swapped_ordered_and_all_else_kept() {
        let images = ImageNames::tagged("r.example").unwrap();
        let converted = convert(TEXT, &images).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "tasks:\n  - name: t # mine\n    actions:\n      # the image\n      - name: \"stream\"\n        \
             image: r.example/stream-image:{version}\n        timeout: 600\n        environment:\n          IMG_URL: {{{{ .url }}}}\n          \
             DEST_DISK: /dev/sda\n          COMPRESSED: true\n      \
             # nibs: Nibs has no action in the place of mine; it stays as it is\n      - name: mine\n        \
             image: registry.example/mine:1\n        timeout: 60\n      \
             - name: boot\n        image: r.example/kexec-reboot:{version}\n        timeout: 90\n        pid: host\n        \
             environment:\n          BLOCK_DEVICE: /dev/sda1\n          FS_TYPE: ext4\n"
        );
        assert_eq!(converted.text, expected);
        assert_eq!((converted.swapped, converted.kept), (2, 1));
        let again = convert(&converted.text, &images).unwrap();
        assert_eq!(again.swapped, 0);
    }

    /// The lines of the one action that `action` becomes.
    fn one(action: &str) -> String {
        let images = ImageNames::tagged("r.example").unwrap();
        let text = convert(&format!("actions:\n{action}"), &images).unwrap().text;
        text.strip_prefix("actions:\n").unwrap().replace(&format!(":{}", env!("CARGO_PKG_VERSION")), ":V")
    }

    #[test]
    fn what_kexec_and_its_like_were_told_is_passed_on() {
        let kexec = "- name: k\n  image: q/kexec:1\n  environment:\n    BLOCK_DEVICE: /dev/sda1\n    KERNEL_PATH: /vmlinuz\n    \
            INITRD_PATH: /initrd.img\n    CMD_LINE: root=/dev/sda1 ro\n    GRUBCFG_PATH: /boot/grub/grub.cfg\n    OTHER: x\n";
        assert_eq!(
            one(kexec),
            "# nibs: kexec-reboot has no OTHER\n- name: k\n  image: r.example/kexec-reboot:V\n  pid: host\n  environment:\n    \
             BLOCK_DEVICE: /dev/sda1\n    KERNEL_PATH: /vmlinuz\n    INITRD_PATH: /initrd.img\n    CMD_LINE: root=/dev/sda1 ro\n    \
             GRUBCFG_PATH: /boot/grub/grub.cfg\n"
        );
        let put_together = "- name: k\n  image: q/kexec\n  environment:\n    BLOCK_DEVICE: {{ index .Hardware.Disks 0 }}{{ .partition_number }}\n";
        assert!(one(put_together).ends_with("    BLOCK_DEVICE: {{ index .Hardware.Disks 0 }}\n"));
        let waiting = "- name: w\n  image: q/waitdaemon\n  command: [\"poweroff\"]\n  environment:\n    WAIT_SECONDS: 1\n";
        assert_eq!(
            one(waiting),
            "# nibs: WAIT_SECONDS was 1; from 5 on is accepted, for the report\n- name: w\n  image: r.example/kexec-reboot:V\n  \
             pid: host\n  environment:\n    WAIT_SECONDS: 5\n    REBOOT_MODE: poweroff\n"
        );
    }

    #[test]
    fn lines_of_any_form() {
        let images = ImageNames::tagged("r.example").unwrap();
        let converted = convert("actions:\r\n- name: a\r\n  image: q/image2disk\r\n", &images).unwrap().text;
        assert_eq!(converted.matches("\r\n").count(), converted.matches('\n').count());
        for odd in [
            "- environment:\n    A: 1\n \u{e9}x: 1\n  image: q/image2disk\n",
            "  - command: x\n   \u{e9}\u{e9}: 1\n    image: q/kexec\n",
            "\t- image: q/kexec\n\t  environment:\n",
            "- \u{3000}image: q/kexec\n",
            "- image:\n- environment:\n",
            "-  \u{a0}command:\n\u{a0} image: q/reboot\n",
        ] {
            let _ = convert(&format!("actions:\n{odd}"), &images);
        }
    }

    #[test]
    fn what_is_no_template() {
        let images = ImageNames::tagged("r.example").unwrap();
        assert!(convert("kind: Pod\n", &images).unwrap_err().contains("no action in it"));
    }
}
