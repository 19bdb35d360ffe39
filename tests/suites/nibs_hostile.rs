//! Every subcommand of `nibs` on what nobody would write: it ends in time and with bounded memory, by an exit code that it
//! knows, says something, and nothing of what is secret. No root needed.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nibs::check::template::{Branches, lex};
use nibs::check::{self, Report};
use nibs::convert::convert;
use nibs::finding::Findings;
use nibs::image_names::ImageNames;
use nibs::input::Given;
use nibs::object::Reader;
use nibs_tests::binaries::{binary, top};

/// A debug build on a busy machine needs a while for the largest.
const PATIENCE: Duration = Duration::from_secs(100);
/// The address space that a call may take: who needs more has no bound.
const MOST_BYTES: u64 = 4 << 30;
/// How large the large ones are.
const LARGE_BYTES: usize = 50_000_000;

fn limited(program: &Path) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={MOST_BYTES}")).arg(program);
    command
}

/// Runs a call, with this on its standard input, and looks at how it ended.
fn call(folder: &Path, arguments: &[&str], stdin: Option<&[u8]>) -> Output {
    let mut command = limited(&binary("nibs"));
    command.env_clear().env("PATH", "/usr/bin:/bin").args(arguments).current_dir(folder);
    let output = run(command, stdin, &format!("{arguments:?}"));
    decent(&output, &format!("{arguments:?}"));
    output
}

fn decent(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let start: String = said.chars().take(2000).collect();
    assert!(matches!(output.status.code(), Some(0..=2)), "{what}: {:?}: {start}", output.status);
    assert!(!said.contains("panicked"), "{what}: {start}");
    assert!(!said.contains("secret-"), "{what}: {start}");
}

fn run(mut command: Command, stdin: Option<&[u8]>, what: &str) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    let pipe = child.stdin.take();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            // Who refuses a call reads none of it.
            let _ = pipe.zip(stdin).map(|(mut pipe, bytes)| pipe.write_all(bytes));
        });
        let out = scope.spawn(move || read(&mut out));
        let err = scope.spawn(move || read(&mut err));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{what}: no end in {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        };
        Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
    })
}

fn read(pipe: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file for each subcommand that reads one. None of what is in the file may be said.
fn all_subcommands(folder: &Path, file: &str) {
    let bytes = fs::read(folder.join(file)).unwrap();
    for arguments in [
        &["check", file][..],
        &["check", "-o", "json", file],
        &["check", "--user-data", file],
        &["workflow", file, "--without-template"],
        &["workflow", "objects.yaml", "--user-data", file, "--without-template"],
        &["convert", file, "--registry", "r.example"],
        &["template", "kkp", "--registry", "r.example", "--images", file],
    ] {
        let output = call(folder, arguments, None);
        if ["check", "workflow"].contains(&arguments[0]) {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("secret-"), "{arguments:?}: {said}");
        }
    }
    for arguments in [&["check", "-"][..], &["convert", "-", "--registry", "r.example"]] {
        call(folder, arguments, Some(&bytes));
    }
}

/// A folder with objects that are right, for what needs some beside.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let right = top().join("tests/fixtures/nibs/check/valid/kkp");
    let mut text = String::new();
    for file in ["seed.yaml", "hardware.yaml", "machine-deployment.yaml"] {
        text += &format!("{}\n---\n", fs::read_to_string(right.join(file)).unwrap());
    }
    fs::write(folder.path().join("objects.yaml"), text).unwrap();
    folder
}

fn template(data: &str) -> String {
    let data: String = data.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata: {{name: t}}\nspec:\n  data: |\n{data}"
    )
}

/// Bytes that are none of anything, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn odd_files() {
    let folder = folder();
    let hardware = |spec: &str| {
        format!("apiVersion: tinkerbell.org/v1alpha1\nkind: Hardware\nmetadata: {{name: n}}\nspec: {spec}\n")
            .into_bytes()
    };
    let aliases = |from: &str, to: usize| {
        let mut text = format!("kind: ConfigMap\napiVersion: v1\nmetadata: {{name: b}}\n{from}\n");
        for i in 1..to {
            text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
        }
        text.into_bytes()
    };
    let mut deep = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\na0: &a0 x\n".to_owned();
    for i in 1..60 {
        deep += &format!("a{i}: &a{i} {}*a{}{}\n", "[".repeat(250), i - 1, "]".repeat(250));
    }
    let chain: String = (1..20_000).map(|i| format!("- &a{i} [*a{}]\n", i - 1)).collect();
    let wide: Vec<u8> = (0..3000).flat_map(|i| format!("{}a:\n", " ".repeat(i)).into_bytes()).collect();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("blank", b" \n\t\n".to_vec()),
        ("zeros", vec![0; 4096]),
        ("noise", noise(100_000)),
        ("gzip", [&[0x1f, 0x8b][..], &noise(1000)].concat()),
        ("bom", "\u{feff}".into()),
        ("utf-16", "\u{feff}kind: Hardware".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("bom-inside", "kind: Pod\n\u{feff}---\nkind: Pod\n".into()),
        ("markers", b"---\n---\n...\n---\n".to_vec()),
        ("directives", b"%YAML 9.9\n%TAG ! x\n---\na: !x!y 1\n".to_vec()),
        ("tags", b"kind: !!binary aGVsbG8=\na: !<x> 1\n? [a]\n: 1\n".to_vec()),
        ("tabs", b"kind:\tHardware\nmetadata:\n\tname: a\n".to_vec()),
        ("quote", b"kind: \"Hardware\nname: secret-1\n".to_vec()),
        ("deep-flow", "[".repeat(500_000).into_bytes()),
        ("deep-json", "{\"a\":".repeat(500_000).into_bytes()),
        ("deep-block", wide),
        ("deep-aliases", deep.into_bytes()),
        ("chain", format!("- &a0 x\n{chain}").into_bytes()),
        ("wide-aliases", aliases("a0: &a0 [x,x,x,x,x,x,x,x,x]", 12)),
        ("long-aliases", aliases(&format!("a0: &a0 {}", "x".repeat(1_000_000)), 5)),
        ("merges", b"a: &a {b: 1}\nc: {<<: [*a, *a], <<: *a}\nd: {<<: 1}\n".to_vec()),
        ("own-alias", b"a: &a [*a]\n".to_vec()),
        ("names", b"kind: Hardware\napiVersion: tinkerbell.org/v1alpha1\nmetadata: {name: \"a\\e[2J\\nb\", namespace: \"\\0\"}\n".to_vec()),
        ("kinds", format!("kind: \"{}\\e[2J\"\n", "k".repeat(100_000)).into_bytes()),
        ("types", hardware("{disks: {a: 1}, interfaces: [1, [], {dhcp: []}, {dhcp: {ip: [], mac: 7, name_servers: x}}], metadata: 1, userData: []}")),
        ("nulls", hardware("{disks: [~], interfaces: [~, {dhcp: ~, netboot: ~}]}")),
        ("lists", b"kind: List\nitems: [[], {kind: List, items: 7}, 1, ~, {kind: [Hardware]}]\n".to_vec()),
        ("long-key", hardware(&format!("{{disks: [], ? {} : 1}}", "k".repeat(100_000)))),
        ("long-number", hardware(&format!("{{disks: [{{device: 1{}}}]}}", "0".repeat(100_000)))),
        ("open", template("a: {{ \"").into_bytes()),
        ("braces", template(&"}}\n".repeat(100_000)).into_bytes()),
        ("empties", template(&"{{ }}\n".repeat(100_000)).into_bytes()),
        ("ifs", template(&"{{ if .a }}\n".repeat(20_000)).into_bytes()),
        ("elses", template(&"{{ else }}{{ end }}\n".repeat(20_000)).into_bytes()),
        ("expressions", template(&(0..40_000).map(|i| format!("k{i}: {{{{ .a{i} }}}}\n")).collect::<String>()).into_bytes()),
        (
            "actions",
            template(&format!(
                "tasks:\n- name: t\n  worker: w\n  actions:\n{}",
                "  - {name: \"{{ .a }}\", environment: {\"{{ .b }}\": 1}}\n".repeat(15_000)
            ))
            .into_bytes(),
        ),
        ("mime", format!("Content-Type: multipart/mixed; boundary=x\n\n{}", "--x\n".repeat(20_000)).into_bytes()),
        ("headers", format!("Content-Type: x{}", "\n y".repeat(20_000)).into_bytes()),
        ("cloud-config", b"#cloud-config\nusers: [secret-1\n".to_vec()),
        ("jinja", b"## template: jinja\n{{ secret-1".to_vec()),
        ("index", b"{\"images\": [{\"name\": \"wipe-disk\", \"digest\": \"sha256:zz\"}]}".to_vec()),
        ("convert", "actions:\n - environment:\n  \u{e9}x: 1\n - command:\n\u{3000}\u{3000}x: 1\n   image: q/kexec\n".into()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        all_subcommands(folder.path(), name);
    }
}

#[test]
fn large_files() {
    let folder = folder();
    let repeated = |text: &str| text.repeat(LARGE_BYTES / text.len());
    let secret = "kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n";
    for (name, text, arguments) in [
        ("pods", repeated("kind: Pod\n---\n"), &["check", "pods"][..]),
        ("list", repeated("- secret-\n"), &["check", "list"]),
        ("line", format!("{secret}  a: {}", repeated("secret-")), &["check", "line"]),
        ("line", String::new(), &["workflow", "line", "--without-template"]),
        ("braces", template(&repeated("}}\n")), &["check", "braces"]),
        ("user-data", format!("#cloud-config\n{}", repeated("- secret-\n")), &["check", "user-data"]),
        (
            "user-data",
            String::new(),
            &["workflow", "objects.yaml", "--user-data", "user-data", "--without-template"],
        ),
        ("json", format!("{{\"a\": [{}1]}}", repeated("\"secret-\",")), &["check", "json"]),
        (
            "actions",
            format!("actions:\n{}", repeated("- image: q/kexec\n  name: a\n")),
            &["convert", "actions", "--registry", "r"],
        ),
        ("index", repeated("[\"secret-\","), &["template", "kkp", "--registry", "r", "--images", "index"]),
    ] {
        let path = folder.path().join(name);
        if !text.is_empty() {
            fs::write(&path, text).unwrap();
        }
        let output = call(folder.path(), arguments, None);
        assert!(
            arguments[0] == "convert" || !String::from_utf8_lossy(&output.stdout).contains("secret-"),
            "{arguments:?}"
        );
    }
}

/// What is given twice is said for each file, however it came in.
#[test]
fn the_same_object_in_many_files() {
    let folder = folder();
    fs::copy(folder.path().join("objects.yaml"), folder.path().join("again.yaml")).unwrap();
    let output = call(folder.path(), &["check", "."], None);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("error[N0106]").count(), 3, "{said}");
    let output = call(folder.path(), &["check", "objects.yaml", "objects.yaml", "./objects.yaml"], None);
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches("error[N0106]").count(), 6);
}

#[test]
fn files_that_are_none() {
    let folder = folder();
    for (arguments, expected) in [
        (&["check", "nowhere"][..], "reading nowhere: "),
        (&["convert", ".", "--registry", "r"], "reading .: "),
        (&["workflow", "--user-data", "a=.", "objects.yaml", "--without-template"], "reading .: "),
        (
            &["workflow", "--user-data", "a=nowhere", "objects.yaml", "--without-template"],
            "reading nowhere: ",
        ),
        (&["template", "kkp", "--registry", "r", "--images", "."], "reading the images' index .: "),
        (&["check", "/dev/zero"], "reading /dev/zero: more than 1073741824 bytes"),
    ] {
        let output = call(folder.path(), arguments, None);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let loops = folder.path().join("loops");
    fs::create_dir(&loops).unwrap();
    std::os::unix::fs::symlink(".", loops.join("again")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", loops.join("zero.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", loops.join("gone.yaml")).unwrap();
    let output = call(folder.path(), &["check", "loops"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("no object and no user-data"));
}

/// As somebody whom permissions hold back.
#[test]
fn what_may_not_be_read() {
    let folder = folder();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o755);
    let nibs = folder.path().join("nibs");
    fs::copy(binary("nibs"), &nibs).unwrap();
    open(&nibs, 0o755);
    let closed = folder.path().join("all/closed");
    fs::create_dir_all(&closed).unwrap();
    fs::write(closed.join("a.yaml"), "kind: Pod\n").unwrap();
    fs::write(folder.path().join("unreadable.yaml"), "kind: Pod\n").unwrap();
    open(&closed, 0o000);
    open(&folder.path().join("unreadable.yaml"), 0o000);
    for (argument, path) in
        [("all", "all/closed"), ("all/closed", "all/closed"), ("unreadable.yaml", "unreadable.yaml")]
    {
        let mut command = limited(&nibs);
        command.args(["check", argument]).current_dir(folder.path());
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        let output = run(command, None, argument);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}: {said}");
        assert_eq!(said, format!("nibs: reading {path}: Permission denied (os error 13)\n"));
    }
    open(&closed, 0o755);
}

/// What standard input, output and error may be.
#[test]
fn streams_that_are_closed_full_or_gone() {
    let folder = folder();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(binary("nibs")).current_dir(folder.path());
        run(command, None, script)
    };
    for (script, code) in [
        ("exec \"$1\" check - <&-", 1),
        ("exec \"$1\" convert - --registry r <&-", 2),
        ("exec \"$1\" check objects.yaml >&-", 0),
        ("exec \"$1\" check nowhere 2>&-", 2),
        ("exec \"$1\" check objects.yaml > /dev/full", 1),
        ("exec \"$1\" template kkp --registry r > /dev/full", 1),
        ("exec \"$1\" workflow objects.yaml --without-template 2> /dev/full", 1),
        ("exec \"$1\" check nowhere 2> /dev/full", 2),
        ("\"$1\" check objects.yaml | true", 0),
        (
            "{ \"$1\" workflow objects.yaml --without-template; echo $? > code; } 2>&1 | true; sleep 1; exit \"$(cat code)\"",
            1,
        ),
    ] {
        let output = shell(script);
        decent(&output, script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What each file of the other suites becomes by a few slips of somebody's hand, the same ones each time.
#[test]
fn slips_of_the_hand() {
    const SLIPS_A_FILE: usize = 30;
    const ODD: [&str; 24] = [
        "{{",
        "}}",
        "{{ if .x }}",
        "{{ else }}",
        "{{ end }}",
        "{{- ",
        " -}}",
        "`",
        "\"",
        "'",
        "\n",
        "\r\n",
        "\t",
        "- ",
        ": ",
        "&a ",
        "*a",
        "|\n",
        "[",
        "}",
        "\u{e9}",
        "\u{3000}",
        "\0",
        "environment:\n",
    ];
    let mut files = Vec::new();
    let mut folders = vec![top().join("tests/fixtures/nibs"), top().join("tests/fixtures/golden")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    assert!(files.len() > 300, "{}", files.len());
    let mut random = noise(files.len() * SLIPS_A_FILE * 16).into_iter();
    for path in files {
        let right = fs::read(&path).unwrap();
        if right.len() > 20_000 {
            continue;
        }
        let mut bytes = right.clone();
        for slip in 0..SLIPS_A_FILE {
            // Some pile up, and then it begins again.
            if slip % 5 == 0 {
                bytes.clone_from(&right);
            }
            let mut byte = || usize::from(random.next().unwrap());
            let at = (byte() << 8 | byte()) % (bytes.len() + 1);
            let length = byte() % 40;
            let end = (at + length).min(bytes.len());
            match byte() % 4 {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, ODD[byte() % ODD.len()].bytes())),
                2 => {
                    let again = bytes[at..end].to_vec();
                    let to = (byte() << 8 | byte()) % (bytes.len() + 1);
                    drop(bytes.splice(to..to, again));
                }
                _ => bytes.truncate(at),
            }
            look_at(&bytes);
        }
    }
}

/// All that reads, in this process: a panic is the test's.
fn look_at(bytes: &[u8]) {
    let (_, faults) = nibs::user_data::inspect(bytes);
    assert!(!format!("{faults:?}").contains("secret-"), "{faults:?}");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let images = ImageNames::tagged("r.example").unwrap();
    if let Ok(converted) = convert(text, &images) {
        let again = convert(&converted.text, &images).unwrap();
        assert_eq!(again.swapped, 0, "{text}\n---\n{}", converted.text);
    }
    for branches in [Branches::Then, Branches::Else] {
        let lexed = lex(text);
        let substituted = lexed.substitute(branches);
        let _ = substituted.restore(&substituted.text);
        let _ = substituted.line(usize::MAX);
    }
    let (mut reader, mut findings) = (Reader::default(), Findings::default());
    reader.read("f", text, &mut findings);
    let given = Given { objects: reader.objects, passed_over: reader.passed_over, ..Given::default() };
    let report = Report::of(&given, check::all(&given, findings));
    let _ = (report.text(true), report.json());
}
