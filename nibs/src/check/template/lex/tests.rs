use super::*;

fn names(text: &str) -> Vec<&str> {
    lex(text).keys().map(|k| k.name).collect()
}

fn problems(text: &str) -> Vec<(usize, ProblemKind)> {
    lex(text).problems.iter().map(|p| (p.line, p.kind)).collect()
}

#[test]
fn keys_of_the_data_and_no_others() {
    assert_eq!(names("a: {{.device_1}}"), ["device_1"]);
    assert_eq!(names(r#"{{ join "," .Hardware.Disks | toJson }}"#), ["Hardware"]);
    assert_eq!(
        names("{{ (index .Hardware.Interfaces 0).dhcp.mac }} {{ printf \".no %s\" .yes }}"),
        ["Hardware", "yes"]
    );
    assert_eq!(names("{{/* .no }} */}}{{ $x := .a }}{{ $x.no }}{{ $.b }}{{ 1 | mul .5 }}"), ["a", "b"]);
    assert_eq!(
        names("{{ range .Hardware.Disks }}{{ .no }}{{ $.yes }}{{ end }}{{ .after }}"),
        ["Hardware", "yes", "after"]
    );
}

#[test]
fn a_key_in_a_branch_may_never_be_asked_for() {
    let text = "{{ if .a }}\n{{ .b }}{{ end }}";
    let found: Vec<_> = lex(text).keys().map(|k| (k.name, k.line, k.conditional)).collect();
    assert_eq!(found, [("a", 1, false), ("b", 2, true)]);
}

#[test]
fn what_the_engine_refuses() {
    use ProblemKind::*;
    for (text, expected) in [
        ("a: {{ .x\nb: 1\n", vec![(1, Unclosed)]),
        ("a: {{ .x\nb: {{ .y }}\n", vec![(1, Unclosed)]),
        ("a\nb: {{ \"}} }}\n", vec![(2, Unclosed)]),
        ("{{/* a }}", vec![(1, Unclosed)]),
        ("{{ }}", vec![(1, Empty)]),
        ("a\n{ .x }}", vec![(2, StrayClose)]),
        ("{{ if .x }}\n", vec![(1, NoEnd)]),
        ("\n{{ end }}", vec![(2, NoBranch)]),
        ("{{ else }}", vec![(1, NoBranch)]),
    ] {
        assert_eq!(problems(text), expected, "{text:?}");
    }
    for right in [
        "{A: {B: {{ .x }}}}",
        "j: '{\"a\": {\"b\": 1}}'",
        "{{ printf \"}}\" }} {{ `}}` }} {{ '}' }}",
        "{{- /* }} */ -}}",
        "{{ if .a }}{{ else if .b }}{{ else }}{{ end }}",
        "{{ .x |\n toJson }}",
    ] {
        assert_eq!(problems(right), [], "{right:?}");
    }
}

#[test]
fn words_stand_for_values_and_come_back() {
    let lexed = lex("a: {{ .x }}\nb: \"{{ .y }}/{{ .x }}\"\n");
    let substituted = lexed.substitute(Branches::Then);
    assert_eq!(substituted.text, "a: NIBS0z\nb: \"NIBS1z/NIBS2z\"\n");
    assert_eq!(substituted.restore("NIBS1z/NIBS2z"), "{{ .y }}/{{ .x }}");
    assert!(substituted.is_open("xNIBS1z") && !substituted.is_open("x"));
    assert_eq!(lex("NIBS: {{ .x }}").substitute(Branches::Then).text, "NIBS: NIBSX0z");
}

#[test]
fn of_branches_the_first_with_its_lines() {
    let text = "a:\n{{- if .x }}\n  b: 1\n{{- else }}\n  b: 2\n{{- end }}\nc:\n  {{- toYaml .y | nindent 2 }}\nd: 1\n";
    let substituted = lex(text).substitute(Branches::Then);
    assert_eq!(substituted.text, "a:\n  b: 1\nc:\n  NIBS0z\nd: 1\n");
    let lines: Vec<_> = (1..=5).map(|l| substituted.line(l)).collect();
    assert_eq!(lines, [1, 3, 7, 8, 9]);
    assert!(substituted.has_branches);
    let other = lex(text).substitute(Branches::Else);
    assert_eq!(other.text, "a:\n  b: 2\nc:\n  NIBS0z\nd: 1\n");
    assert_eq!((1..=3).map(|l| other.line(l)).collect::<Vec<_>>(), [1, 5, 7]);
}

#[test]
fn of_nested_and_chained_branches_one_each() {
    let of =
        |text: &str| [Branches::Then, Branches::Else].map(|branches| lex(text).substitute(branches).text);
    assert_eq!(of("{{ if .a }}A{{ else if .b }}B{{ else }}C{{ end }}D"), ["AD", "BD"]);
    assert_eq!(of("{{ if .a }}A{{ if .b }}B{{ else }}C{{ end }}{{ end }}D"), ["ABD", "D"]);
    assert_eq!(of("{{ range .a }}A{{ else }}B{{ end }}{{ with .x }}C{{ end }}"), ["AC", "AC"]);
    assert_eq!(of("{{ define \"x\" }}A{{ end }}{{ block \"y\" . }}B{{ end }}"), ["B", "B"]);
}

#[test]
fn what_only_looks_like_a_word_stays() {
    let substituted = lex("a: {{ .x }}").substitute(Branches::Then);
    assert_eq!(substituted.restore("NIBS NIBS7z NIBSz NIBS0z"), "NIBS NIBS7z NIBSz {{ .x }}");
}
