//! `search` against a Docker Hub that a test makes up: what is asked, filters, limits, forms.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::support::cli::{Home, Said};
use serde_json::{Value, json};

/// Answers every request with `status` and `body`, and tells what was asked.
fn hub(status: &'static str, body: String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            for line in lines.by_ref() {
                if line.unwrap_or_default().is_empty() {
                    break;
                }
            }
            let _ = asked.send(first.split(' ').nth(1).unwrap_or_default().to_owned());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    (url, requests)
}

fn result(name: &str, stars: i64, official: bool, automated: bool, description: &str) -> Value {
    json!({"name": name, "star_count": stars, "is_official": official,
        "is_automated": automated, "description": description})
}

fn results() -> String {
    let long = "Debian is a Linux distribution that's composed entirely of free software.";
    json!({"num_results": 4, "results": [
        result("x/debian", 7, false, true, "one\nof \x1b[31mmany"),
        result("debian", 5123, true, false, long),
        result("y/debian", 0, false, false, ""),
        result("ubuntu", 5123, true, false, "U"),
    ]})
    .to_string()
}

fn search(url: &str, words: &[&str]) -> Said {
    let home = Home::new();
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    home.run(command.env("SHALE_HUB", url).arg("search").args(words), "")
}

#[test]
fn the_table() {
    let (url, requests) = hub("200 OK", results());
    let said = search(&url, &["debian"]);
    assert_eq!(
        said.stdout,
        "NAME       DESCRIPTION                                     STARS     OFFICIAL\n\
         debian     Debian is a Linux distribution that's compos…   5123      [OK]\n\
         ubuntu     U                                               5123      [OK]\n\
         x/debian   one of \x1b[31mmany                                7         \n\
         y/debian                                                   0         \n",
        "{}",
        said.stderr
    );
    assert_eq!(requests.recv().unwrap(), "/v1/search?q=debian&n=25");
    assert_eq!(search(&url, &["--limit", "2", "deb ian"]).stdout.lines().count(), 3);
    assert_eq!(requests.recv().unwrap(), "/v1/search?q=deb%20ian&n=2");
    assert_eq!(search(&url, &["docker.io/library/debian"]).status, 0);
    assert_eq!(requests.recv().unwrap(), "/v1/search?q=library%2Fdebian&n=25");
}

#[test]
fn filters() {
    let (url, _requests) = hub("200 OK", results());
    for (filters, names) in [
        (&["stars=7"][..], "debian ubuntu x/debian"),
        (&["stars=7", "stars=8"], "debian ubuntu"),
        (&["is-official=true"], "debian ubuntu"),
        (&["is-official=0"], "x/debian y/debian"),
        (&["is-automated=true"], "x/debian"),
        (&["is-automated=false", "is-official=false"], "y/debian"),
        (&["stars=9999999"], ""),
    ] {
        let mut words = vec!["--format", "{{.Name}}", "debian"];
        words.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        let said = search(&url, &words);
        assert_eq!(said.stdout.split_whitespace().collect::<Vec<_>>().join(" "), names);
    }
    for wrong in ["stars=many", "stars=-1", "is-official=maybe", "colour=red"] {
        assert_eq!(search(&url, &["--filter", wrong, "debian"]).status, 1, "{wrong}");
    }
    for limit in ["101", "0", "x"] {
        assert_eq!(search(&url, &["--limit", limit, "debian"]).status, 2, "{limit}");
    }
}

#[test]
fn forms() {
    let (url, _requests) = hub("200 OK", results());
    let first = |words: &[&str]| {
        let said = search(&url, &[words, &["debian"]].concat());
        said.stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        first(&["--format", "{{.Name}}: {{.StarCount}} {{.IsOfficial}}"]),
        "debian: 5123 [OK]"
    );
    assert_eq!(first(&["--format", "table {{.Name}}\\t{{.StarCount}}"]), "NAME       STARS");
    assert_eq!(first(&["-q"]), "debian");
    let full = first(&["--no-trunc", "--format", "{{.Description}}"]);
    assert!(full.ends_with("free software."), "{full}");
    let row: Value = serde_json::from_str(&first(&["--format", "json"])).unwrap();
    assert_eq!((&row["IsOfficial"], &row["IsAutomated"]), (&json!("true"), &json!("false")));
}

#[test]
fn a_hub_that_does_not_answer_as_it_should() {
    let (url, _requests) = hub("200 OK", "<html>".to_owned());
    assert_eq!(search(&url, &["debian"]).status, 1);
    let (url, _requests) = hub("404 Not Found", "{}".to_owned());
    let said = search(&url, &["debian"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.starts_with("shale: ") && said.stdout.is_empty(), "{said:?}");
    let (url, _requests) = hub("200 OK", r#"{"results": null}"#.to_owned());
    assert_eq!(search(&url, &["debian"]).stdout.lines().count(), 1, "the header alone");
}
