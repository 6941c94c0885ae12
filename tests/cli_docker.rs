//! The same command lines as a real Docker was asked, with the same images in the store.
//!
//! `scripts/docker-oracle commands` records Docker's answers; here the program must give the same
//! on standard output and agree on failure. What differs, and is known to, is listed with its
//! reason; what people read on standard error is not compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/layout_registry.rs"]
mod layout_registry;

use std::path::Path;
use std::process::{Command, Stdio};

use layout_registry::LayoutRegistry;

/// What the program answers otherwise, and why.
const KNOWN: [(&str, &str); 4] = [
    ("ls --filter dangling=1 -q", "later engines take it"),
    ("ls --filter dangling=0 -q", "later engines take it"),
    ("ls --filter dangling=true --filter dangling=false", "later engines call it an error"),
    ("ls --filter until=2020-01-01", "later engines know it"),
];

fn case(words: &[String]) -> String {
    words.join(" ")
}

/// Ages grow from day to day, and Docker's widths of columns changed from release to release.
fn normal(text: &str, registry: &str) -> String {
    let text = text.replace(registry, "REGISTRY");
    let text = text.replace(&registry.replace(':', "%3A"), "REGISTRY");
    let mut lines = Vec::new();
    for line in text.lines() {
        // What goes from the disk are compressed bytes here.
        let line = if line.starts_with("Total reclaimed space: ") { "Total" } else { line };
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
        let words = words.into_iter().map(|word| match word.strip_suffix(" ago") {
            Some(_) => "AGE",
            None => word,
        });
        lines.push(words.collect::<Vec<_>>().join("  "));
    }
    lines.join("\n")
}

#[test]
fn answers_of_docker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker");
    let registry = LayoutRegistry::serve(&root.join("layout"));
    let store = tempfile::tempdir().expect("a directory");
    let file = std::fs::read(root.join("commands.json")).expect("the recording");
    let recording: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
    let cases = recording["commands"].as_array().expect("a list");
    assert!(cases.len() >= 150);
    let mut wrong = Vec::new();
    for recorded in cases {
        let words: Vec<String> = recorded["words"]
            .as_array()
            .expect("words")
            .iter()
            .map(|word| word.as_str().expect("text").to_owned())
            .collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
        command.env("TZ", "UTC").arg("--root").arg(store.path()).arg("image").stdin(Stdio::null());
        command.args(words.iter().map(|word| word.replace("REGISTRY", &registry.name)));
        let output = command.output().expect("it runs");
        let mut stdout = normal(&String::from_utf8_lossy(&output.stdout), &registry.name);
        let mut wanted = normal(recorded["stdout"].as_str().expect("text"), "REGISTRY");
        if words[0] == "pull" {
            // The progress of a pull goes to standard error here.
            wanted = wanted.lines().last().filter(|_| recorded["status"] == 0).unwrap_or("").into();
        }
        if words[0] == "ls" {
            // Docker's order of names of one image is left to chance.
            let sorted = |text: &str| {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            };
            (stdout, wanted) = (sorted(&stdout), sorted(&wanted));
        }
        if KNOWN.iter().any(|(known, _)| *known == case(&words)) {
            continue;
        }
        let failed = recorded["status"] != 0;
        if failed && words[0] != "inspect" && words[0] != "rm" {
            (stdout, wanted) = (String::new(), String::new());
        }
        if stdout != wanted || output.status.success() == failed {
            let stderr = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!(
                "== {} ({} for {})\n-- Docker:\n{wanted}\n-- we:\n{stdout}\n{stderr}",
                case(&words),
                output.status,
                recorded["status"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
