//! The codes of all findings, declared once: what is said and the page that lists them come from here.
//!
//! A code keeps its meaning for ever; one that is no longer needed is not given to another finding.

use std::fmt::Write;

/// Whether the objects would work all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot end well.
    Error,
    /// Unusual, or not to be decided from files.
    Warning,
}

impl Severity {
    /// `error` or `warning`
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `N0412`
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, whatever the object.
    pub title: &'static str,
    /// What comes of it, and how to mend it.
    pub why: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal $severity:ident $title:literal, $why:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { id: $id, severity: Severity::$severity, title: $title, why: $why };
        )*

        /// All codes, in their order.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    NOT_YAML = "N0101" Error "the text is no YAML or JSON", "What comes after that place was not read.";
    KEY_TWICE = "N0102" Error "a key is there twice in one mapping", "Which of the values counts depends on the reader. Remove one.";
    NO_OBJECT = "N0103" Error "this is no Kubernetes object", "A mapping with apiVersion, kind and metadata is one, and a List of them.";
    API_VERSION = "N0104" Error "an API version that is not known", "Objects are read in one version each; convert the object.";
    NO_NAME = "N0105" Error "an object without a name", "Give it a `metadata.name`.";
    OBJECT_TWICE = "N0106" Error "an object is there twice", "The first one was read, the other was not. Remove one.";
    WRONG_TYPE = "N0107" Error "a value of the wrong type", "The API server refuses it. A number or boolean where text belongs needs quotes.";
    NOT_UTF8 = "N0108" Error "the file is no UTF-8", "YAML and JSON are UTF-8.";
    UNRESOLVED = "N0109" Warning "a reference to an object that is not given", "It could not be checked. Give the object too: a Secret, ConfigMap or Hardware.";
    NO_SUCH_KEY = "N0110" Error "a reference to a key that the Secret or ConfigMap does not have", "KKP fails to read the value. Correct the key, or add it.";
    MISSING_INPUT = "N0111" Error "something that is needed was not given", "A Workflow is made from Hardware, a MachineDeployment, its image and user-data.";

    IMAGE_URL = "N0201" Error "an image's URL is none", "stream-image fetches http:// and https:// URLs.";
    IMAGE_NOT_RAW = "N0202" Error "an image that is not raw", "The image is written to the disk as it is. Convert it: qemu-img convert -O raw, then compress it.";
    OS_WITHOUT_VERSION = "N0203" Error "an operating system with no version", "KKP finds no image for it. Add a version and its URL, or remove it.";
    OS_UNKNOWN = "N0204" Warning "an operating system that Nibs does not know", "Nibs was tried with the others; netplan and cloud-init may not be what it reads.";
    DATACENTER = "N0205" Error "a datacenter that has no images for Tinkerbell", "Name one that has.";

    DRIVER = "N0301" Error "another driver than tinkerbell", "KKP's provider for bare metal has no other.";
    OPERATING_SYSTEM = "N0302" Error "an operating system that the Seed does not have", "Add it to the Seed, or take one that is there.";
    OS_IMAGE = "N0303" Error "an image that the Seed does not have", "Add it to the Seed, or take one that is there.";
    HARDWARE_REF = "N0304" Error "a reference to Hardware that is not there", "No server is provisioned. Correct the name, or give the Hardware too.";
    REPLICAS = "N0305" Warning "`replicas` above 1 makes one node all the same", "The MachineDeployment names one Hardware. Make one for each server.";
    NO_REPLICA = "N0306" Error "`replicas` below 1 makes no machine", "Set it to 1, or leave it out.";
    HARDWARE_NAMESPACE = "N0307" Error "a reference to Hardware in another namespace", "Hardware of that name is there, but elsewhere. Correct the namespace.";
    TWO_CLAIMS = "N0308" Error "two MachineDeployments want one Hardware", "One of them never becomes a node.";
    NO_LOGIN = "N0309" Warning "no SSH key and no password", "Nobody can log in when the node does not join the cluster.";
    SSH_KEY = "N0310" Error "no SSH public key", "One line as in authorized_keys is one.";
    NO_OS_SPEC = "N0311" Error "no `operatingSystemSpec`", "KKP refuses a Machine without it; it may be empty, {}.";
    NO_HARDWARE_REF = "N0312" Error "a `hardwareRef` without name or namespace", "KKP looks for exactly one Hardware.";
    DIGEST_SUFFIX = "N0313" Error "an image's URL that no suffix can be added to", "--image-digest-suffix lengthens the URL; it must not have a query.";
    PROVIDER = "N0314" Error "another provider than baremetal", "Only MachineDeployments for bare metal become a Workflow.";
    NO_OPERATING_SYSTEM = "N0315" Error "a MachineDeployment without an operating system", "KKP makes no Machine without one.";
    NO_OS_IMAGE = "N0316" Error "a MachineDeployment without an image", "Name the image's URL.";

    NO_DISK = "N0401" Error "a Hardware without a disk", "There is nothing to write the operating system to.";
    DISK = "N0402" Error "this names no disk", "/dev/sda, /dev/disk/by-id/…, serial:… and wwn:… do.";
    DISK_PARTITION = "N0403" Error "a partition where a whole disk belongs", "The image has a partition table of its own.";
    DISK_TWICE = "N0404" Error "the same disk twice", "Remove one.";
    NO_INTERFACE = "N0405" Error "a Hardware without a network interface", "The server is known by the MAC of its first one.";
    MAC = "N0406" Error "this is no MAC", "Six bytes as 02:00:00:00:00:09.";
    MAC_NO_CARD = "N0407" Error "a MAC that no network card has", "Take the one that is printed on the card, or that `ip link` shows.";
    MAC_CASE = "N0408" Error "a MAC that is not written in lower case with colons", "The pattern of the Hardware's CRD refuses it.";
    MAC_TWICE = "N0409" Error "two interfaces have the same MAC", "Only one of the servers is booted, and it is not said which.";
    ADDRESS = "N0410" Error "this is no address", "IPv4 as 192.0.2.19, or IPv6.";
    NETMASK = "N0411" Error "this is no netmask", "Ones, then zeros, of the address' own kind, as 255.255.255.0.";
    ADDRESS_TWICE = "N0412" Error "two servers have the same address", "They take each other's traffic. Give one of them another.";
    GATEWAY = "N0413" Error "this is no gateway", "Another host's address of the same kind.";
    GATEWAY_OUTSIDE = "N0414" Warning "a gateway outside the server's network", "The route to it will be on-link.";
    ADDRESS_NO_HOST = "N0415" Error "an address that no host can have", "The network's own address and its broadcast are no host's.";
    NO_IP = "N0416" Error "a first interface without `dhcp.ip`", "KKP's controller panics on it.";
    NO_NAME_SERVER = "N0417" Warning "no name server", "KKP puts 1.1.1.1 into the Workflow, and the server gets no name server.";
    NAME_SERVER = "N0418" Error "a name server that is no address", "Names cannot be resolved before there is a name server.";
    IPV6 = "N0419" Warning "a first interface with IPv6", "KKP's own Template configures IPv4 alone; write-netplan does both.";
    HOSTNAME = "N0420" Error "a host name that is no DNS name", "Lower-case letters, digits and '-', in words that '.' divides. Kubernetes takes no other node name.";
    NETBOOT = "N0421" Error "the server is not allowed to boot or to work", "Without allowPXE it is not booted into the in-memory OS, without allowWorkflow it gets nothing to do. KKP's own check of them never fires.";
    NO_INTERFACE_NAME = "N0422" Warning "no `iface_name`, which the Template needs", "KKP's own Template matches the interface by this name, and writes an empty one. write-netplan goes by MAC.";
    INTERFACE_NAME = "N0423" Error "this names no network interface", "At most 15 bytes without '/', ':' and space.";
    ARCH = "N0424" Error "an architecture that is not known", "x86_64 and aarch64 are.";
    ARCH_IMAGE = "N0425" Warning "the image seems to be for another architecture", "Its URL says so. The server will not boot it.";
    PARTITION_NUMBER = "N0426" Error "this is no partition's number", "From 1 to 128, in quotes.";
    OBJECT_NAME = "N0427" Error "a name that no label can carry", "KKP labels the Workflow with it: at most 63 lower-case letters, digits, '-' and '.'.";
    VLAN = "N0428" Error "this is no VLAN", "From 1 to 4094, in quotes.";
    ROUTE = "N0429" Error "this is no route", "A network as 10.0.0.0/8, and an IPv4 router.";
    CLAIMED = "N0430" Warning "a Machine has this server", "KKP makes no Workflow for another before it is freed.";
    HOSTNAME_LONG = "N0431" Error "a host name that is too long", "At most 63 bytes between two dots, and 253 in all.";

    USER_DATA_EMPTY = "N0501" Error "user-data without content", "The node would not join.";
    USER_DATA_FORM = "N0502" Error "user-data of no known form", "cloud-init and Ignition go by the beginning: #cloud-config, #!, MIME headers, ## template: jinja, gzip, Ignition's JSON.";
    USER_DATA_YAML = "N0503" Error "a cloud-config that is no YAML", "cloud-init passes over it. What it says is not shown.";
    USER_DATA_MAPPING = "N0504" Error "a cloud-config that is no mapping", "cloud-init passes over it.";
    USER_DATA_MIME = "N0505" Error "MIME that is broken", "cloud-init passes over the parts, or over all of it.";
    USER_DATA_LARGE = "N0506" Error "more user-data than an action can be given", "It is one environment string. gzip of it is accepted.";
    USER_DATA_IGNITION = "N0507" Error "Ignition for a system that reads cloud-init", "Nothing of it is done.";
    USER_DATA_NO_IGNITION = "N0508" Error "cloud-init's user-data for a system that reads Ignition", "KKP makes Ignition for Flatcar.";
    IGNITION_REFUSED = "N0509" Warning "Ignition, which write-cloud-init refuses", "The Workflow is the one that KKP makes.";
    USER_DATA_TWICE = "N0510" Error "user-data was given twice", "One file is used for all machines; --user-data NAME=FILE gives a machine its own.";
    USER_DATA_BASE64 = "N0511" Error "user-data that is no base64", "KKP writes it so into a Workflow, and Kubernetes into a Secret.";
    USER_DATA_OWNER = "N0512" Error "user-data for a MachineDeployment that is not there", "Nobody gets it. Correct the name, or give the MachineDeployment too.";

    UNCLOSED = "N0601" Error "an expression without its end", "Tinkerbell cannot read the Template. Add }}, or the end of the quote or comment.";
    STRAY_BRACES = "N0602" Warning "}} without a {{ before it", "It is printed as it stands.";
    EXPRESSION = "N0603" Error "an expression that Tinkerbell refuses", "Each branch needs one `end`, and each {{ }} something in it.";
    KEY_NOT_GIVEN = "N0604" Error "a key that is not given", "Rendering ends there, and says so only in the Workflow's conditions.";
    KEY_UNDECIDED = "N0605" Warning "a key that is not known to be given", "The Workflow's hardwareMap must have it.";
    TEMPLATE_YAML = "N0606" Error "a Template that is no YAML", "Tinkerbell renders it, and then cannot read it.";
    TEMPLATE_UNDECIDED = "N0607" Warning "a Template that cannot be checked in full", "It has branches, or expressions that write YAML. It was checked with all conditions true and with all false; what is wrong one way alone is a warning.";
    NO_TIMEOUT = "N0608" Error "an action without a timeout", "It times out at once when it is run.";
    ACTION_TWICE = "N0609" Error "a name twice in one task", "Tinkerbell refuses to render it.";
    NOT_LAST = "N0610" Error "an action after the one that takes the machine down", "The machine may be gone before it has run.";
    NO_DIGEST = "N0611" Warning "an image without a digest", "What runs as root on the disks changes with the tag.";
    OLD_IMAGE = "N0612" Warning "an image that an action of Nibs takes the place of", "The variables are the same, or are said in its page.";
    ACTION_IMAGE = "N0613" Error "an action whose image is none", "Tinkerbell refuses to render it.";
    NO_ACTIONS = "N0614" Error "a Template without tasks or actions", "There is nothing to run.";
    ENVIRONMENT = "N0615" Error "a variable whose value is a list or a mapping", "Tinkerbell refuses to render it. toJson twice makes text of it.";
    VARIABLE = "N0616" Warning "a variable that the action does not read", "It is passed over; the action's page has those that are.";
    ACTION_NAME = "N0617" Error "an action or task without a name that fits", "1 to 200 characters, no other the same.";
    UNKNOWN_FIELD = "N0618" Warning "a field that Tinkerbell does not know", "It is passed over.";
    NO_TEMPLATE_DATA = "N0619" Error "a Template without `spec.data`", "There is nothing to render.";
    TIMEOUT_SUM = "N0620" Warning "less time for all than for the actions together", "`global_timeout` ends the Workflow.";
    WORKER = "N0621" Error "a task without a worker", "No server runs it.";
    TEMPLATE_VERSION = "N0622" Error "a Template of another version than 0.1", "Tinkerbell knows no other.";
    PID_HOST = "N0623" Error "kexec-reboot without `pid: host`", "It fails at once: what takes the machine down must outlive its container.";
    VARIABLE_VALUE = "N0624" Error "a value that the action refuses", "It ends at its start with exit code 2.";
    EKSA_LAST_ACTION = "N0625" Warning "the last action is not named reboot", "EKS Anywhere knows it by that name.";
    TEMPLATE_LARGE = "N0626" Error "more than Tinkerbell renders", "At most 256 KiB may come out of a Template, user-data and all.";

    TEMPLATE_REF = "N0701" Warning "a reference to a Template that is not given", "Nothing is rendered when it is not in the cluster either.";
    HARDWARE_MAP = "N0702" Error "a key of the Template that the Workflow does not have", "Rendering ends there, and says so only in the Workflow's conditions.";
    WORKFLOW_HARDWARE = "N0703" Warning "a reference to Hardware that is not given", "`.Hardware` is not known when it is not in the cluster either.";
    NO_RULES = "N0704" Error "a WorkflowRuleSet without rules", "It never makes a Workflow.";
    BMC_CONNECTION = "N0705" Error "a BMC that cannot be reached", "Its host and the Secret with its credentials are needed, or insecure settings said.";
}

/// The page of all codes, in Markdown.
pub fn page() -> String {
    const SUBJECTS: [(&str, &str); 7] = [
        ("N01", "Reading"),
        ("N02", "Seed"),
        ("N03", "MachineDeployment and Machine"),
        ("N04", "Hardware"),
        ("N05", "User-data"),
        ("N06", "Template"),
        ("N07", "Workflow, WorkflowRuleSet, BMC Machine"),
    ];
    let mut text = String::from(
        "# What `nibs` finds\n\nMade by `make docs` from `nibs/src/code.rs`: do not edit. A code keeps its meaning for ever.\n",
    );
    for (prefix, subject) in SUBJECTS {
        let _ = write!(
            text,
            "\n## {subject}\n\n| code | | what is wrong | what comes of it, and what to do |\n|---|---|---|---|\n"
        );
        for code in ALL.iter().filter(|c| c.id.starts_with(prefix)) {
            let why = code.why.replace('|', "\\|");
            let _ = writeln!(text, "| {} | {} | {} | {why} |", code.id, code.severity.word(), code.title);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_once_in_order_and_on_the_page() {
        let page = page();
        for pair in ALL.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
        for code in ALL {
            assert!(code.id.len() == 5 && page.contains(&format!("| {} | ", code.id)), "{}", code.id);
        }
    }
}
