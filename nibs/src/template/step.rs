//! The actions of a Template: what each is given, and for how long.

use common::variables::{
    ACTIONS, ActionSpec, DEST_DISK, DISKS, GROW_PARTITION, IMG_DIGEST, IMG_URL, INSTANCE_ID, INTERFACES,
    KEXEC_REBOOT, LOCAL_HOSTNAME, STREAM_IMAGE, USER_DATA_BASE64, Variable, WIPE_DISK, WIPE_METHOD,
    WRITE_CLOUD_INIT, WRITE_NETPLAN,
};

use super::{Form, ImageDigest, Options};

/// What a variable is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// An expression of Go's templates, without its braces, that gives one line of text.
    Expression(String),
    /// The same, that gives JSON.
    Json(&'static str),
    /// This text.
    Text(String),
}

/// What the container shares with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    /// Nothing but what the agent shares anyway.
    Nothing,
    /// Its network: a containerd agent without CNI gives an action none otherwise.
    Network,
    /// Its processes.
    Processes,
}

/// One action of a Template.
#[derive(Debug, Clone)]
pub struct Step {
    /// The action.
    pub spec: &'static ActionSpec,
    /// How long it may take. None, or 0, would be a timeout at once.
    pub timeout_secs: u32,
    /// What it shares.
    pub shares: Shares,
    /// Its environment.
    pub environment: Vec<(Variable, Setting)>,
}

fn expression(text: &str) -> Setting {
    Setting::Expression(text.to_owned())
}

/// The actions in their order, but for those that are left out.
pub fn steps(options: &Options) -> Vec<Step> {
    ACTIONS
        .into_iter()
        .filter(|spec| !options.without.iter().any(|name| name == spec.name))
        .map(|spec| step(spec, options))
        .collect()
}

fn step(spec: &'static ActionSpec, options: &Options) -> Step {
    let first_disk = (DEST_DISK, expression("index .Hardware.Disks 0"));
    let (timeout_secs, shares, environment) = match spec.name {
        name if name == WIPE_DISK.name => {
            let mut environment = vec![(DISKS, expression(r#"join "," .Hardware.Disks"#))];
            environment.extend(options.wipe_method.clone().map(|m| (WIPE_METHOD, Setting::Text(m))));
            (1200, Shares::Nothing, environment)
        }
        name if name == STREAM_IMAGE.name => (3600, Shares::Network, image(options, first_disk)),
        name if name == GROW_PARTITION.name => (600, Shares::Nothing, vec![first_disk]),
        name if name == WRITE_NETPLAN.name => {
            let interfaces = (INTERFACES, Setting::Json("toJson .Hardware.Interfaces"));
            (300, Shares::Nothing, vec![first_disk, interfaces])
        }
        name if name == WRITE_CLOUD_INIT.name => (300, Shares::Nothing, seed(options.form, first_disk)),
        name => {
            debug_assert_eq!(name, KEXEC_REBOOT.name);
            // The process that takes the machine down outlives its container, and waits for the success report.
            (600, Shares::Processes, vec![first_disk])
        }
    };
    Step { spec, timeout_secs, shares, environment }
}

fn image(options: &Options, disk: (Variable, Setting)) -> Vec<(Variable, Setting)> {
    let url = match &options.image_url {
        Some(url) => Setting::Text(url.clone()),
        None => expression(".os_image"),
    };
    let digest = options.image_digest.as_ref().map(|digest| match (digest, &options.image_url) {
        (ImageDigest::Is(digest), _) => Setting::Text(digest.clone()),
        (ImageDigest::Suffix(suffix), Some(url)) => Setting::Text(format!("{url}{suffix}")),
        (ImageDigest::Suffix(suffix), None) => {
            Setting::Expression(format!(r#"printf "%s{suffix}" .os_image"#))
        }
    });
    let mut environment = vec![(IMG_URL, url), disk];
    environment.extend(digest.map(|digest| (IMG_DIGEST, digest)));
    environment
}

/// The user-data is mentioned once: it is most of what a rendered Template may weigh.
fn seed(form: Form, disk: (Variable, Setting)) -> Vec<(Variable, Setting)> {
    if form == Form::Kkp {
        return vec![
            disk,
            (USER_DATA_BASE64, expression(".cloud_init_script")),
            (INSTANCE_ID, expression(".hardware_name")),
            (LOCAL_HOSTNAME, expression(".hardware_name")),
        ];
    }
    // No instance-id: one that is made from the content is new with new user-data, as Cluster API's is for each Machine.
    vec![
        disk,
        (USER_DATA_BASE64, expression("b64enc .Hardware.UserData")),
        (LOCAL_HOSTNAME, expression("(index .Hardware.Interfaces 0).DHCP.Hostname")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_names::ImageNames;

    fn options(form: Form) -> Options {
        let images = ImageNames::tagged("registry.example/nibs").unwrap();
        Options {
            form,
            image_url: (form != Form::Kkp).then(|| "http://h/u".into()),
            image_digest: Some(ImageDigest::Suffix(".sha256".into())),
            wipe_method: Some("zero".into()),
            ..Options::kkp("default", images)
        }
    }

    #[test]
    fn every_action_in_its_order_with_variables_that_it_takes() {
        for form in [Form::Kkp, Form::Capt, Form::Eksa, Form::Plain] {
            let steps = steps(&options(form));
            assert_eq!(steps.iter().map(|s| s.spec.name).collect::<Vec<_>>(), ACTIONS.map(|a| a.name));
            for step in steps {
                assert!(step.timeout_secs > 0);
                for (variable, _) in &step.environment {
                    let taken: Vec<_> = step.spec.all_variables().map(|v| v.name).collect();
                    assert!(taken.contains(&variable.name), "{}: {}", step.spec.name, variable.name);
                }
            }
        }
    }

    #[test]
    fn only_keys_that_the_system_provides() {
        for (form, given) in [
            (Form::Kkp, &["device_1", "hardware_name", "cloud_init_script", "os_image", "Hardware"][..]),
            (Form::Capt, &["Hardware"]),
            (Form::Eksa, &["Hardware"]),
            (Form::Plain, &["Hardware"]),
        ] {
            for (variable, setting) in steps(&options(form)).into_iter().flat_map(|s| s.environment) {
                let expression = match &setting {
                    Setting::Expression(text) => text.as_str(),
                    Setting::Json(text) => text,
                    Setting::Text(_) => continue,
                };
                for word in expression.split([' ', '(']).filter_map(|w| w.strip_prefix('.')) {
                    let key = word.split('.').next().unwrap();
                    assert!(given.contains(&key), "{form:?}: {}: {expression}", variable.name);
                }
            }
        }
    }

    #[test]
    fn the_digest_follows_the_image() {
        let of = |options: &Options| {
            let stream = steps(options).into_iter().find(|s| s.spec.name == "stream-image").unwrap();
            stream.environment.into_iter().find(|(v, _)| v.name == "IMG_DIGEST").map(|(_, setting)| setting)
        };
        assert_eq!(of(&options(Form::Kkp)), Some(expression(r#"printf "%s.sha256" .os_image"#)));
        assert_eq!(of(&options(Form::Plain)), Some(Setting::Text("http://h/u.sha256".into())));
        assert_eq!(of(&Options { image_digest: None, ..options(Form::Kkp) }), None);
    }

    #[test]
    fn what_is_left_out_is_not_there() {
        let without = vec!["wipe-disk".to_owned(), "kexec-reboot".to_owned()];
        let steps = steps(&Options { without, ..options(Form::Capt) });
        let names: Vec<_> = steps.iter().map(|s| s.spec.name).collect();
        assert_eq!(names, ["stream-image", "grow-partition", "write-netplan", "write-cloud-init"]);
    }
}
