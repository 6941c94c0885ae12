//! Templates against the recorded answers of a real Docker client: Go's own `text/template`.
//!
//! `scripts/docker-oracle templates` records them; `@` stands for the path to the data.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use shalefs::template::{Field, Struct, Template, Value};

const PATH: &str = ".Metadata.Metadata.AdditionalFields";

/// The data as the recording client holds it: structs around a map decoded from JSON.
fn nested(data: &serde_json::Value) -> Value {
    let fields = Struct::new(
        "command.DockerContext",
        vec![Field::new("AdditionalFields", Value::from_json(data))],
    );
    let metadata = Struct::new(
        "store.Metadata",
        vec![Field::new("Name", "oracle"), Field::new("Metadata", fields)],
    );
    Value::from(Struct::new(
        "context.contextWithTLSListing",
        vec![Field::new("Metadata", metadata), Field::new("Name", "oracle")],
    ))
}

#[test]
fn answers_of_go() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../golden/templates.json")).expect("valid JSON");
    let data = nested(&table["data"]);
    let cases = table["cases"].as_array().expect("a list");
    assert!(cases.len() >= 120);
    let mut wrong = Vec::new();
    for case in cases {
        let template = case["template"].as_str().expect("a template").replace('@', PATH);
        let answer = Template::parse(&template).and_then(|parsed| parsed.execute(&data));
        let (answer, wanted) = match &answer {
            Ok(text) => (format!("output {text}"), format!("output {}", text_of(case, "output"))),
            Err(e) => (format!("error {e}"), format!("error {}", text_of(case, "error"))),
        };
        if answer != wanted {
            wrong.push(format!("{}\n  Go:  {wanted}\n  we:  {answer}", case["template"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn text_of<'a>(case: &'a serde_json::Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or("(the other kind of answer)")
}

/// No text may panic: every beginning and every end of every case, and each with a part doubled.
#[test]
fn torn_templates_are_errors_or_text() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../golden/templates.json")).expect("valid JSON");
    let data = nested(&table["data"]);
    let mut texts = 0;
    for case in table["cases"].as_array().expect("a list") {
        let template = case["template"].as_str().expect("a template").replace('@', ".Metadata");
        for (cut, _) in template.char_indices() {
            let (start, end) = template.split_at(cut);
            for text in [start.to_owned(), end.to_owned(), format!("{start}{end}{start}")] {
                if let Ok(parsed) = Template::parse(&text) {
                    let _ = parsed.execute(&data);
                    let _ = parsed.execute_strictly(&data);
                    let _ = parsed.header(&data);
                }
                texts += 1;
            }
        }
    }
    assert!(texts > 10_000, "{texts} texts");
}

#[test]
fn depth_is_bounded() {
    for text in [
        format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000)),
        "{{if 1}}".repeat(100_000),
        "{{if 1}}a".repeat(100_000) + &"{{else if 1}}".repeat(1000),
    ] {
        assert!(Template::parse(&text).is_err());
    }
    let text = r#"{{define "t"}}{{template "t" .}}{{end}}{{template "t" 1}}"#;
    let error = Template::parse(text).expect("parses").execute(&Value::Missing);
    assert!(error.is_err_and(|e| e.to_string().contains("exceeded maximum template depth")));
}

/// What is nested and what is called multiply: 190 times 200 levels need a hundred megabytes of stack.
#[test]
fn depth_of_calls_and_of_nesting_are_bounded_together() {
    let deep = |level: &str, inner: &str, end: &str| {
        format!("{}{inner}{}", level.repeat(190), end.repeat(190))
    };
    let call = r#"{{template "t" .}}"#;
    for body in [
        deep("{{if 1}}", call, "{{end}}"),
        deep("{{with 1}}", call, "{{end}}"),
        deep("{{range 1}}", call, "{{end}}"),
        format!("{{{{if 1}}}}{call}{{{{end}}}}{{{{print {}}}}}", deep("(print ", "1", ")")),
    ] {
        let text = format!(r#"{{{{define "t"}}}}{body}{{{{end}}}}{call}"#);
        let parsed = Template::parse(&text).expect("parses");
        for run in [Template::execute, Template::execute_strictly, Template::header] {
            let error = run(&parsed, &Value::Int(1)).expect_err("it calls itself").to_string();
            assert!(error.contains("exceeded maximum template depth"), "{error}");
        }
    }
    let parentheses = format!("{{{{{}1{}}}}}", "(print ".repeat(95), ")".repeat(95));
    let text = "{{if 1}}".repeat(95) + &parentheses + &"{{end}}".repeat(95);
    let shown = Template::parse(&text).expect("parses").execute(&Value::Missing);
    assert_eq!(shown.as_deref(), Ok("1"), "a deep template that calls nothing");
}

#[test]
fn rows_have_methods_and_headers() {
    let row = Value::from(Struct::row(
        "image",
        vec![Field::new("Repository", "debian"), Field::new("ID", "0123")],
    ));
    let run = |text: &str| Template::parse(text).expect("parses").execute(&row);
    assert_eq!(run("{{json .}}").as_deref(), Ok(r#"{"ID":"0123","Repository":"debian"}"#));
    assert_eq!(run("{{.Repository}}:{{.ID}}").as_deref(), Ok("debian:0123"));
    let unknown = run("{{.Foo}}").expect_err("no such field").to_string();
    assert_eq!(
        unknown,
        "template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *image"
    );
    let argument = run("{{.ID 1}}").expect_err("no argument").to_string();
    assert!(argument.ends_with("wrong number of args for ID: want 0 got 1"), "{argument}");
    let header = Template::parse("{{upper .Repository}}\t{{truncate .ID 1}}\t{{json .ID}}");
    assert_eq!(header.expect("parses").header(&row).as_deref(), Ok("debian\t0123\t0123"));
}
