//! The same command lines as a real Docker was asked, with the same images in the store.
//!
//! `scripts/docker-oracle commands` records Docker's answers; here the program must give the same
//! on standard output and agree on failure. What differs, and is known to, is listed with its
//! reason; what people read on standard error is not compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::layout_registry::LayoutRegistry;

/// What the program answers otherwise, and why.
const KNOWN: [(&str, &str); 10] = [
    ("prune -f --filter dangling=false", "later engines call it an error"),
    ("ls --filter dangling=1 -q", "later engines take it"),
    ("ls --filter dangling=0 -q", "later engines take it"),
    ("ls --filter dangling=true --filter dangling=false", "later engines call it an error"),
    ("ls --filter until=2020-01-01", "later engines know it"),
    ("ls --filter label!=a", "later engines know it"),
    ("ls docker.io/library/full", "the full form is a name as good as the short one"),
    ("rm -f REGISTRY/multi", "a list's digest moves to the platform that is pulled later"),
    ("rm $(ls -q -f dangling=true)", "as above: Docker's stays where it was"),
    ("pull --platform linux/arm64 REGISTRY/base", "later engines call another platform an error"),
];

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

/// The program beside what the recording stands for.
struct Stage {
    registry: LayoutRegistry,
    store: tempfile::TempDir,
    folder: tempfile::TempDir,
}

impl Stage {
    fn run(&self, words: &[String]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
        command.env("TZ", "UTC").arg("--root").arg(self.store.path()).arg("image");
        command.args(words).stdin(Stdio::null()).output().expect("it runs")
    }

    /// A recorded word with everything put in that it stands for.
    fn expand(&self, word: &str) -> Vec<String> {
        let Some(inner) = word.strip_prefix("$(").and_then(|word| word.strip_suffix(')')) else {
            let word = word.replace("REGISTRY", &self.registry.name);
            return vec![word.replace("FOLDER", &self.folder.path().to_string_lossy())];
        };
        let inner: Vec<String> = inner.split(' ').map(str::to_owned).collect();
        let said = String::from_utf8_lossy(&self.run(&inner).stdout).into_owned();
        let ids: BTreeSet<&str> = said.split_whitespace().collect();
        ids.into_iter().map(str::to_owned).collect()
    }

    /// What differs between Docker's answer and ours.
    fn difference(&self, recorded: &serde_json::Value) -> Option<String> {
        let words = recorded["words"].as_array().expect("words").iter();
        let words: Vec<&str> = words.map(|word| word.as_str().expect("text")).collect();
        let expanded: Vec<String> = words.iter().flat_map(|word| self.expand(word)).collect();
        let output = self.run(&expanded);
        if KNOWN.iter().any(|(known, _)| *known == words.join(" ")) {
            return None;
        }
        let failed = recorded["status"] != 0;
        let mut ours = normal(&String::from_utf8_lossy(&output.stdout), &self.registry.name);
        let mut wanted = normal(recorded["stdout"].as_str().expect("text"), "REGISTRY");
        match words[0] {
            // The progress of a pull goes to standard error here.
            "pull" if failed => wanted.clear(),
            "pull" => wanted = wanted.lines().last().unwrap_or("").into(),
            "inspect" | "rm" => {}
            _ if failed => (ours, wanted) = (String::new(), String::new()),
            _ => {}
        }
        let several = words.iter().any(|word| word.starts_with("$("));
        if ["ls", "prune"].contains(&words[0]) || several {
            // Docker leaves the order of an image's names, and of images that go, to chance.
            (ours, wanted) = (sorted(&ours), sorted(&wanted));
        }
        (ours != wanted || output.status.success() == failed).then(|| {
            let (line, stderr) = (words.join(" "), String::from_utf8_lossy(&output.stderr));
            let (status, recorded) = (output.status, &recorded["status"]);
            format!("== {line} ({status} for {recorded})\n-- Docker:\n{wanted}\n-- we:\n{ours}\n{stderr}")
        })
    }
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn answers_of_docker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker");
    let stage = Stage {
        registry: LayoutRegistry::serve(&root.join("layout")),
        store: tempfile::tempdir().expect("a directory"),
        folder: tempfile::tempdir().expect("a directory"),
    };
    let mut cases = Vec::new();
    for name in ["commands.json", "corners.json"] {
        let file = std::fs::read(root.join(name)).expect("the recording");
        let recording: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
        cases.extend(recording["commands"].as_array().expect("a list").iter().cloned());
    }
    assert!(cases.len() >= 500);
    let wrong: Vec<String> = cases.iter().filter_map(|case| stage.difference(case)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
