use super::*;

fn said(parsed: &Parsed, i: usize) -> String {
    match &parsed.problems[i].1 {
        Fault::Form(said) => said.clone(),
        other => panic!("{other:?}"),
    }
}

fn scalar(text: &str, path: &[&str]) -> (String, bool, Position) {
    let parsed = parse(text);
    assert_eq!(parsed.problems, []);
    let mut node = &parsed.documents[0];
    for key in path {
        node = &node.get(key).unwrap().node;
    }
    match &node.value {
        Value::Scalar { text, plain, .. } => (text.to_string(), *plain, node.at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn scalars_keep_their_text_and_place() {
    let text = "a:\n  version: 22.10\n  mac: '52:54:00:12:34:56'\n  t: !!str 1\n";
    assert_eq!(scalar(text, &["a", "version"]), ("22.10".into(), true, Position { line: 2, column: 12 }));
    assert_eq!(
        scalar(text, &["a", "mac"]),
        ("52:54:00:12:34:56".into(), false, Position { line: 3, column: 8 })
    );
    assert!(!scalar(text, &["a", "t"]).1);
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"a\": {\"b\": \"\\u0026/\\/\"},\n\t\"c\": [1, true]\n}\n";
    assert_eq!(scalar(text, &["a", "b"]), ("&//".into(), false, Position { line: 2, column: 13 }));
}

#[test]
fn several_documents_and_empty_ones() {
    let parsed = parse("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n");
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.documents.len(), 2);
    assert!(parse("").documents.is_empty());
}

#[test]
fn aliases_and_merges() {
    let text = "base: &b {x: 1, y: 2}\nlist: [*b]\nown: {<<: *b, x: 3}\n";
    assert_eq!(scalar(text, &["own", "x"]).0, "3");
    assert_eq!(scalar(text, &["own", "y"]).0, "2");
}

#[test]
fn a_bomb_is_refused_in_time() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..12 {
        let alias = format!("*a{}", i - 1);
        text += &format!("a{i}: &a{i} [{}]\n", vec![alias; 9].join(","));
    }
    let parsed = parse(&text);
    assert!(said(&parsed, 0).contains("more than 500000 values"), "{:?}", parsed.problems);
}

#[test]
fn a_bomb_of_few_values_is_refused_as_well() {
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1000].join(","));
    assert!(said(&parse(&long), 0).contains("more than 500000 values"));
    let mut deep = "a0: &a0 x\n".to_owned();
    for i in 1..40 {
        let (open, close) = ("[".repeat(200), "]".repeat(200));
        deep += &format!("a{i}: &a{i} {open}*a{}{close}\n", i - 1);
    }
    assert!(said(&parse(&deep), 0).contains("more than 600 values deep"));
    assert!(!said(&parse(&"[".repeat(100_000)), 0).is_empty());
}

#[test]
fn wrong_form_is_told_with_its_place() {
    let broken = parse("a: 1\nb: [1,\nc: {\n");
    let (at, words) = (broken.problems[0].0, said(&broken, 0));
    assert!(at.line >= 2 && !words.is_empty(), "{at:?} {words}");
    let twice = parse("a: 1\nb: 2\na: 3\n");
    assert_eq!(twice.problems, [(Position { line: 3, column: 1 }, Fault::Twice("a".into()))]);
    assert!(said(&parse("? [a]\n: 1\n"), 0).contains("a key is a list"));
}

#[test]
fn what_kubectl_takes_for_numbers_and_booleans() {
    for number in ["0", "-12", "1e3", "0x1F", "1_000", ".5", "22.04", "+.inf"] {
        assert_eq!(plain(number), Plain::Number, "{number}");
    }
    for text in ["192.0.2.1", "02:00:00:00:00:09", "-", ".", "e3", "1.2.3", "nano", "infinity", "0x"] {
        assert_eq!(plain(text), Plain::Text, "{text}");
    }
    assert_eq!(
        [plain("yes"), plain("False"), plain("~")],
        [Plain::Bool(true), Plain::Bool(false), Plain::Null]
    );
}
