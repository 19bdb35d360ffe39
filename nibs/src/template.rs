//! The Templates that run the actions, one for each system that makes Workflows of them.
//!
//! They differ in what may be asked for. machine-controller (KKP) makes a Template of the name [`KKP_NAME`] in the
//! Hardware's namespace only when there is none, so one of that name is found and used; it may ask for what
//! machine-controller puts into a Workflow's `hardwareMap`, and for `.Hardware`. CAPT gives `device_1` alone, EKS
//! Anywhere goes through CAPT, and a Template by itself asks for `.Hardware` only. Rendering ends at the first missing
//! key, and says so only in the Workflow's conditions.

pub mod document;
pub mod step;

use common::variables::{KEXEC_REBOOT, Kind, STREAM_IMAGE, WIPE_DISK, WIPE_METHOD};

use crate::image_names::ImageNames;
use crate::seed;

pub use document::document;

/// The name that machine-controller looks for, in the Hardware's namespace.
pub const KKP_NAME: &str = "provision-worker-node";

/// Who makes a Workflow of the Template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// KKP's machine-controller.
    Kkp,
    /// Cluster API's provider for Tinkerbell, from a TinkerbellMachineTemplate.
    Capt,
    /// EKS Anywhere, from a TinkerbellTemplateConfig.
    Eksa,
    /// The user.
    Plain,
}

/// How the image of the operating system is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageDigest {
    /// The URL of its digest is the image's URL and this, as `.sha256`.
    Suffix(String),
    /// A digest, or the URL of one.
    Is(String),
}

/// What can be chosen about a Template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Who it is for.
    pub form: Form,
    /// Its name; KKP's is always [`KKP_NAME`].
    pub name: String,
    /// Its namespace; for KKP that of the Hardware.
    pub namespace: String,
    /// Where the actions' images are pulled from.
    pub images: ImageNames,
    /// Where the image of the operating system is; KKP gives it with each Workflow.
    pub image_url: Option<String>,
    /// How that is verified, if at all.
    pub image_digest: Option<ImageDigest>,
    /// The actions that are left out, by name.
    pub without: Vec<String>,
    /// `WIPE_METHOD` of wipe-disk, when it is not the default one.
    pub wipe_method: Option<String>,
    /// What every action has bound besides the usual, as `/source:/destination[:ro]`.
    pub volumes: Vec<String>,
}

impl Options {
    /// What KKP would be given with nothing chosen but where the images are.
    pub fn kkp(namespace: &str, images: ImageNames) -> Self {
        Self {
            form: Form::Kkp,
            name: KKP_NAME.to_owned(),
            namespace: namespace.to_owned(),
            images,
            image_url: None,
            image_digest: None,
            without: Vec::new(),
            wipe_method: None,
            volumes: Vec::new(),
        }
    }

    /// Whether the choices go together.
    ///
    /// # Errors
    /// A choice that belongs to an action that is left out, no action at all, no image where none is given by the
    /// system, or a Template for EKS Anywhere that does not end in a reboot.
    pub fn check(&self) -> Result<(), String> {
        let is_left_out = |name: &str| self.without.iter().any(|n| n == name);
        if self.wipe_method.is_some() && is_left_out(WIPE_DISK.name) {
            return Err("--wipe-method with --without wipe-disk; one of the two is accepted".into());
        }
        let streams = !is_left_out(STREAM_IMAGE.name);
        if !streams && (self.image_url.is_some() || self.image_digest.is_some()) {
            return Err(
                "the image of the operating system is chosen, but stream-image left out; one of the two is accepted"
                    .into(),
            );
        }
        if streams && self.form != Form::Kkp && self.image_url.is_none() {
            return Err(
                "--image-url is missing: nothing else says which operating system it is; an http:// or \
                        https:// URL is accepted, or --without stream-image"
                    .into(),
            );
        }
        if self.form == Form::Eksa && is_left_out(KEXEC_REBOOT.name) {
            return Err(
                "--without kexec-reboot: EKS Anywhere's last action is the reboot; any other may be left out"
                    .into(),
            );
        }
        if common::variables::ACTIONS.iter().all(|a| is_left_out(a.name)) {
            return Err("--without: every action is left out; at least one must stay".into());
        }
        Ok(())
    }
}

/// Checks what is to be appended to an image's URL: it goes into a Go template's string.
///
/// # Errors
/// It is empty, or holds what a URL's path does not.
pub fn check_digest_suffix(suffix: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !suffix.is_empty() && suffix.bytes().all(fits) {
        Ok(suffix.to_owned())
    } else {
        Err(format!("{suffix:?}: letters, digits, '.', '_' and '-' are accepted, as .sha256"))
    }
}

/// Checks the URL of an image.
///
/// # Errors
/// It is no HTTP or HTTPS URL, has credentials, which everybody who reads the Template would see, or braces, which
/// Tinkerbell would take for an expression.
pub fn check_image_url(url: &str) -> Result<String, String> {
    let shown = crate::finding::show_url(url);
    if !seed::is_url(url) || url.contains(['{', '}']) {
        Err(format!("{shown}: an http:// or https:// URL without braces is accepted"))
    } else if shown.contains('…') && url.contains('@') {
        Err(format!(
            "{shown}: a URL without credentials is accepted; they go into HTTP_USERNAME and HTTP_PASSWORD"
        ))
    } else {
        Ok(url.to_owned())
    }
}

/// Checks a digest or the URL of one, as `IMG_DIGEST` takes it.
///
/// # Errors
/// It is neither.
pub fn check_image_digest(digest: &str) -> Result<String, String> {
    let hex = |length: usize, text: &str| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_digest = digest.strip_prefix("sha256:").is_some_and(|d| hex(64, d))
        || digest.strip_prefix("sha512:").is_some_and(|d| hex(128, d));
    if is_digest || check_image_url(digest).is_ok() {
        Ok(digest.to_owned())
    } else {
        Err("sha256: and 64 digits, sha512: and 128, or the http:// or https:// URL of a digest is accepted"
            .into())
    }
}

/// Checks a volume: two absolute paths and perhaps an option, nothing that YAML or Tinkerbell would take for more.
///
/// # Errors
/// It is none.
pub fn check_volume(volume: &str) -> Result<String, String> {
    let parts: Vec<_> = volume.split(':').collect();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
    let path = |p: &str| p.starts_with('/') && p.bytes().all(fits);
    match parts[..] {
        [source, destination] | [source, destination, "ro" | "rw"] if path(source) && path(destination) => {
            Ok(volume.to_owned())
        }
        _ => Err(format!("{volume:?}: /source:/destination is accepted, with :ro or :rw or without")),
    }
}

/// Checks an object's name.
///
/// # Errors
/// Kubernetes would take it for none.
pub fn check_name(name: &str) -> Result<String, String> {
    let word = |w: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !w.is_empty() && !w.starts_with('-') && !w.ends_with('-') && w.bytes().all(inner)
    };
    // Tinkerbell's own bound is 200, Kubernetes' 253.
    if name.len() < 200 && name.split('.').all(word) {
        Ok(name.to_owned())
    } else {
        Err(format!("{name:?}: lower-case letters, digits, '-' and '.' are accepted, fewer than 200"))
    }
}

/// The words that `WIPE_METHOD` takes.
pub fn wipe_methods() -> &'static [&'static str] {
    match WIPE_METHOD.kind {
        Kind::Choice(words) => words,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A form with its defaults.
    pub(super) fn options(form: Form) -> Options {
        let images = ImageNames::tagged("registry.example/nibs").unwrap();
        let image_url = (form != Form::Kkp).then(|| "http://192.0.2.99/u.raw.gz".to_owned());
        Options { form, image_url, ..Options::kkp("default", images) }
    }

    #[test]
    fn choices_that_do_not_go_together() {
        let right = options(Form::Eksa);
        assert_eq!(right.check(), Ok(()));
        let left_out = |names: &[&str], options: Options| Options {
            without: names.iter().map(|n| (*n).to_owned()).collect(),
            ..options
        };
        for (wrong, expected) in [
            (Options { image_url: None, ..right.clone() }, "--image-url is missing"),
            (left_out(&["kexec-reboot"], right.clone()), "EKS Anywhere's last action"),
            (left_out(&["stream-image"], right.clone()), "but stream-image left out"),
            (
                left_out(&["wipe-disk"], Options { wipe_method: Some("zero".into()), ..right.clone() }),
                "--wipe-method with --without wipe-disk",
            ),
            (
                left_out(&common::variables::ACTIONS.map(|a| a.name), options(Form::Kkp)),
                "every action is left out",
            ),
        ] {
            let said = wrong.check().unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        let without_image = Options { image_url: None, ..right };
        assert_eq!(left_out(&["stream-image"], without_image).check(), Ok(()));
    }

    #[test]
    fn a_suffix_cannot_end_the_string_it_stands_in() {
        assert_eq!(check_digest_suffix(".sha256").unwrap(), ".sha256");
        for wrong in ["", "\"", "%s", " ", "}}", "?x", "\\n"] {
            assert!(check_digest_suffix(wrong).unwrap_err().contains("as .sha256"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_url_or_tells_a_secret() {
        assert!(check_image_url("https://h/x.raw.gz?a=b").is_ok());
        for wrong in ["h/x", "http://h/{{ .x }}", "http://user:secret-1@h/x", "http://h/a b"] {
            let said = check_image_url(wrong).unwrap_err();
            assert!(said.contains("accepted") && !said.contains("secret-1"), "{said}");
        }
        assert!(check_image_digest(&format!("sha256:{}", "a1".repeat(32))).is_ok());
        assert!(check_image_digest("https://h/SHA256SUMS").is_ok());
        for wrong in ["", "sha256:12", "md5:00", "http://user:secret-1@h/x"] {
            let said = check_image_digest(wrong).unwrap_err();
            assert!(said.contains("sha256: and 64 digits") && !said.contains("secret-1"), "{said}");
        }
    }

    #[test]
    fn volumes_and_names() {
        for right in ["/a:/b", "/etc/ssl/certs:/etc/ssl/certs:ro"] {
            assert_eq!(check_volume(right).unwrap(), right);
        }
        for wrong in ["", "/a", "a:/b", "/a:b", "/a:/b:x", "/a:/b: ro", "/{{ .x }}:/b", "/a:/b:ro:rw"] {
            assert!(check_volume(wrong).unwrap_err().contains("/source:/destination"), "{wrong}");
        }
        assert!(check_name("worker-1.example").is_ok());
        for wrong in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(200)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
