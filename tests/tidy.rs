//! The written rules of the project, run as tests over its own files.
//!
//! ARCHITECTURE.md and the file headers state rules; what a machine can check of them is checked here:
//! the order of the modules, file headers, lengths, where `unsafe`, printing and exiting may stand,
//! explained dependencies, minimum versions, tested promises. Each rule is a function over text in
//! support/tidy_rules.rs and is shown a planted fault below. Uses no part of Shale.

#[path = "support/figures.rs"]
mod figures;
#[path = "support/rust_source.rs"]
mod rust_source;
#[path = "support/tidy_rules.rs"]
mod tidy_rules;

use std::fs;
use std::path::{Path, PathBuf};

use rust_source::Source;
use tidy_rules as rules;

/// Text files of the project below `names`, as (path relative to the root, text).
fn texts(names: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
    let mut texts = Vec::new();
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            waiting.extend(entries.map(|entry| entry.expect("a directory entry").path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("it is below the root");
            texts.push((relative.display().to_string(), text));
        }
    }
    texts.sort();
    texts
}

fn rust_sources() -> Vec<Source> {
    let all = texts(&["src", "tests"]);
    let rust = all.iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, text)| Source::new(path, text)).collect()
}

fn root_file(name: &str) -> String {
    texts(&[name]).pop().map(|(_, text)| text).unwrap_or_default()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A rule over every Rust file.
fn hold_to(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = rust_sources();
    assert!(sources.len() > 20, "the walk found {} files only", sources.len());
    assert_none(sources.iter().flat_map(rule).collect());
}

#[test]
fn modules_use_only_those_before_them() {
    hold_to(rules::dependency_order);
    let lib = Source::new("src/lib.rs", &root_file("src/lib.rs"));
    let declared: Vec<&str> = lib
        .words("pub mod ")
        .map(|at| lib.code[at + "pub mod ".len()..].split(';').next().unwrap_or_default())
        .collect();
    let known: Vec<&str> =
        rules::ORDER.into_iter().filter(|name| declared.contains(name)).collect();
    assert_eq!(declared, known, "lib.rs declares the modules in their order, and no others");
}

#[test]
fn files_open_with_their_design() {
    hold_to(rules::header);
}

#[test]
fn files_and_functions_stay_short() {
    hold_to(rules::function_length);
    let all = texts(&["src", "tests", "scripts"]);
    let code = all.iter().filter(|(path, _)| !path.ends_with(".txt") && !path.contains("/data/"));
    assert_none(code.flat_map(|(path, text)| rules::file_length(path, text)).collect());
}

#[test]
fn unsafe_stands_in_sys_alone_and_says_why() {
    hold_to(rules::unsafe_in_sys);
}

#[test]
fn printing_exiting_and_the_fuse_crate_stay_in_their_places() {
    hold_to(rules::forbidden_words);
}

#[test]
fn nothing_is_left_over() {
    let page = |name: &str| name.ends_with(".md") || name.ends_with(".toml");
    let root = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the project's root");
    let pages = root.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = pages.filter(|name| page(name)).collect();
    names.extend(["src", "tests", "scripts", "docs", ".ci", ".config"].map(String::from));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = texts(&names);
    // What others wrote is theirs.
    let own = all.iter().filter(|(path, _)| !path.starts_with("tests/data/"));
    assert_none(own.flat_map(|(path, text)| rules::leftovers(path, text)).collect());
}

#[test]
fn dependencies_are_explained_and_new_enough() {
    assert_none(rules::dependencies_explained(&root_file("Cargo.toml")));
    assert_none(rules::locked_versions(&root_file("Cargo.lock")));
}

/// Without cargo-deny, which takes longer to build than everything here to run.
#[test]
fn dependencies_are_allowed() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let metadata = serde_json::from_slice(&output.stdout).expect("cargo knows every crate");
    let policy = root_file("deny.toml").parse().expect("TOML");
    assert_none(rules::dependencies_allowed(&metadata, &policy));
}

#[test]
fn every_promise_names_its_test() {
    let sources = rust_sources();
    for (name, least) in [("SEMANTICS.md", 20), ("THREAT-MODEL.md", 10)] {
        let page = root_file(name);
        assert!(rules::promises(&page).len() > least, "{name} is a page of promises");
        assert_none(rules::promises_tested(name, &page, &sources));
    }
    assert_none(rules::promises_numbered("THREAT-MODEL.md", &root_file("THREAT-MODEL.md")));
}

#[test]
fn the_reference_lists_every_code_metric_and_variable() {
    let page = root_file("docs/reference.md");
    let codes = root_file("src/store/verify/mod.rs");
    let codes =
        codes.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1));
    let codes: Vec<String> = codes.map(|code| format!("`{code}`")).collect();
    let metrics = root_file("src/cli/mounts/stats.rs");
    let metrics =
        metrics.lines().filter(|line| line.contains("\"counter\",") || line.contains("\"gauge\","));
    let metrics = metrics.filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
    let metrics: Vec<String> = metrics.map(|name| format!("`shale_{name}")).collect();
    assert!(codes.len() >= 28 && metrics.len() >= 15, "{codes:?} {metrics:?}");
    let variables = ["$SHALE_ROOT", "$SHALE_HUB", "$SHALE_CERTS_DIR"].map(String::from);
    let all = codes.into_iter().chain(metrics).chain(variables);
    let missing = all.filter(|word| !page.contains(word.as_str()));
    assert_none(missing.map(|word| format!("docs/reference.md: {word} is missing")).collect());
}

/// Comments and pages name files that are there.
#[test]
fn no_reference_is_dead() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root).expect("the project's root");
    let pages = pages.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pages: Vec<String> = pages.filter(|name| name.ends_with(".md")).collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let all = texts(&[&pages[..], &["src", "docs", "scripts"]].concat());
    let exists = |name: &str| root.join(name).exists();
    assert_none(
        all.iter().flat_map(|(path, text)| rules::dead_references(path, text, &exists)).collect(),
    );
}

/// A planted fault that no longer fits is planted nowhere.
#[test]
fn planted_faults_fit_the_tree() {
    let sources = rust_sources();
    let list: toml::Table = root_file("tests/plants.toml").parse().expect("TOML");
    let plants = list["plant"].as_array().expect("a list");
    assert!(plants.len() >= 30, "{} faults", plants.len());
    assert_none(plants.iter().flat_map(|plant| rules::plant_fits(plant, &sources)).collect());
}

// Each rule is worth as much as the fault it finds.

#[track_caller]
fn finds(rule: impl Fn(&Source) -> Vec<String>, path: &str, bad: &str, line: usize) {
    let faults = rule(&Source::new(path, bad));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with(&format!("{path}:{line}:")), "{faults:?}");
}

#[track_caller]
fn passes(rule: impl Fn(&Source) -> Vec<String>, path: &str, good: &str) {
    assert_eq!(rule(&Source::new(path, good)), Vec::<String>::new());
}

#[test]
fn planted_dependency_upwards() {
    figures::once("planted faults");
    let rule = rules::dependency_order;
    finds(rule, "src/tree/merge.rs", "use crate::oci::Digest;\nuse crate::content::Content;", 2);
    finds(rule, "src/tree/merge.rs", "\nfn a() { crate::cli::run() }", 2);
    finds(rule, "src/mount/mod.rs", "use crate::{\n  fuse::{cli, Session},\n chroot, pull};", 1);
    finds(
        |s| rule(s).into_iter().map(|f| f.replace(": m", ":1: m")).collect(),
        "src/misc.rs",
        "",
        1,
    );
    passes(
        rule,
        "src/tree/merge.rs",
        "use crate::{layer::{Entry, cli}, tree::RowNo}; // crate::cli::x",
    );
    passes(rule, "src/lib.rs", "use crate::cli::x;");
}

#[test]
fn planted_missing_header() {
    figures::once("planted faults");
    finds(rules::header, "src/a.rs", "// what\n//! for", 1);
    passes(rules::header, "src/a.rs", "//! What for.\n");
}

#[test]
fn planted_length() {
    figures::once("planted faults");
    assert_eq!(rules::file_length("a.rs", &"x\n".repeat(401)).len(), 1);
    assert_eq!(rules::file_length("a.rs", &"x\n".repeat(400)).len(), 0);
    let function =
        |lines| format!("x\nfn f(a: [u8; 2])\nwhere A: B,\n{{\n{}}}\n", "}{\n".repeat(lines));
    let balanced = |lines| function(lines).replace("}{", "{ \"}\" }");
    finds(rules::function_length, "src/a.rs", &balanced(57), 2);
    passes(rules::function_length, "src/a.rs", &balanced(56));
    passes(rules::function_length, "src/a.rs", &format!("fn f();\n{}fn g() {{}}", "\n".repeat(70)));
}

#[test]
fn planted_unsafe() {
    figures::once("planted faults");
    let explained = "// SAFETY: it is ours\nlet a = unsafe { b() };";
    finds(rules::unsafe_in_sys, "src/fs/a.rs", explained, 2);
    finds(rules::unsafe_in_sys, "src/sys/a.rs", "\nlet a = unsafe { b() };", 2);
    passes(rules::unsafe_in_sys, "src/sys/a.rs", explained);
    passes(
        rules::unsafe_in_sys,
        "src/fs/a.rs",
        "// unsafe\n#![deny(unsafe_code)]\nlet a = \"unsafe\";",
    );
}

#[test]
fn planted_words() {
    figures::once("planted faults");
    let rule = rules::forbidden_words;
    finds(rule, "tests/a.rs", "\n#[ignore]\nfn a() {}", 2);
    finds(rule, "src/tree/a.rs", "println!(\"x\");", 1);
    finds(rule, "src/chroot/mod.rs", "std::process::exit(1)", 1);
    finds(rule, "src/fs/a.rs", "use fuser::FileAttr;", 1);
    finds(rule, "src/cli/a.rs", "todo!()", 1);
    passes(rule, "src/cli/a.rs", "println!()");
    passes(rule, "src/main.rs", "std::process::exit(eprintln!())");
    passes(rule, "src/fuse/a.rs", "use fuser::Session; // println!");
    passes(rule, "src/fs/a.rs", "//! knows no fuser type");
    passes(rule, "tests/a.rs", "println!()");
}

#[test]
fn planted_leftovers() {
    figures::once("planted faults");
    let count = |text: &str| rules::leftovers("README.md", text).len();
    assert_eq!(count(concat!("x\n// TO", "DO: later")), 1);
    assert_eq!(count(concat!("see /wo", "rk/x")), 1);
    assert_eq!(count(concat!("TO", "DOS, mytodo, mktemp XXXXXX")), 0);
}

#[test]
fn planted_dependencies() {
    figures::once("planted faults");
    let count = |text: &str| rules::dependencies_explained(text).len();
    assert_eq!(
        count("[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\nc = \"1\"\n[lints]\nd = 1"),
        1
    );
    assert_eq!(count("[dev-dependencies]\na = \"1\""), 1);
    let lock = |name, version| {
        let row =
            |(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let others = ["tar", "zlib-rs", "memmap2", "rustls-webpki"].map(|name| (name, "9.0.0"));
        let rows = others.into_iter().filter(|(other, _)| *other != name);
        rules::locked_versions(&rows.chain([(name, version)]).map(row).collect::<String>()).len()
    };
    assert_eq!([lock("tar", "0.4.44"), lock("zlib-rs", "0.3.99"), lock("h2", "9.0.0")], [1, 1, 1]);
    assert_eq!(
        [lock("tar", "0.4.45"), lock("zlib-rs", "1.0.0-rc.1"), lock("serde", "0.0.1")],
        [0, 0, 0]
    );
    assert_eq!(rules::locked_versions("").len(), 4, "a crate that nothing uses");
}

#[test]
fn planted_dead_reference() {
    figures::once("planted faults");
    let count = |path, text| rules::dead_references(path, text, &|name| name == "src/a.rs").len();
    assert_eq!(
        [count("A.md", "see src/b.rs."), count("src/a.rs", "//! `tests/b.rs` has it")],
        [1, 1]
    );
    assert_eq!(
        [count("A.md", "`src/a.rs`, and src/"), count("src/a.rs", "open(\"src/b.rs\")")],
        [0, 0]
    );
}

#[test]
fn planted_plants_that_do_not_fit() {
    figures::once("planted faults");
    let sources = [Source::new("src/a.rs", "if a { b }"), Source::new("tests/a.rs", "fn t() {}")];
    let count = |find: &str, plant: &str, test: &str| {
        let row = format!("file = 'src/a.rs'\nfind = '{find}'\nplant = '{plant}'\ntest = '{test}'");
        rules::plant_fits(&toml::Value::Table(row.parse().expect("TOML")), &sources).len()
    };
    assert_eq!(count("if a", "if a && !PLANTED", "t"), 0);
    assert_eq!([count("if c", "PLANTED", "t"), count("", "PLANTED", "t")], [1, 1]);
    assert_eq!([count("if a", "if b", "t"), count("if a", "PLANTED", "u")], [1, 1]);
}

#[test]
fn planted_promise_without_a_test() {
    figures::once("planted faults");
    let tests = [Source::new("tests/a.rs", "fn it_holds() {} // fn in_a_comment()")];
    let count = |page: &str| rules::promises_tested("PAGE.md", page, &tests).len();
    assert_eq!(count("- It holds,\n  always. Test: `it_holds`\n\nText."), 0);
    assert_eq!(count("- It holds.\n- So `does` this. Tests: `it_holds`, `it_holds`"), 1);
    assert_eq!(count("- It holds. Test: `in_a_comment`"), 1);
    assert_eq!(count("- It holds. Test: `it_hold`"), 1);
    assert_eq!(count("1. It holds. Test: `it_holds`\n2. It\n   does. Test: `it_holds`"), 0);
    assert_eq!(count("1. It holds. Test: `it_holds`\n10. It does. Test: none"), 1);
    let misnumbered = |page| rules::promises_numbered("PAGE.md", page).len();
    assert_eq!([misnumbered("1. a\n2. b\n   c"), misnumbered("1. a\n3. b")], [0, 1]);
}

#[test]
fn planted_licences_and_sources() {
    figures::once("planted faults");
    let policy = "[licenses]\nallow = [\"MIT\", \"ISC\"]".parse().expect("TOML");
    let count = |licence: &str, source: &str| {
        let package = serde_json::json!({ "name": "a", "license": licence, "source": source });
        rules::dependencies_allowed(&serde_json::json!({ "packages": [package] }), &policy).len()
    };
    let home = "registry+https://github.com/rust-lang/crates.io-index";
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT AND ISC", "MIT AND (GPL-3.0 OR ISC)", "X/MIT"] {
        assert_eq!(count(good, home), 0, "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND X", "X OR Y AND MIT"] {
        assert_eq!(count(bad, home), 1, "{bad}");
    }
    assert_eq!(count("MIT", "git+https://example.com/a"), 1);
}
