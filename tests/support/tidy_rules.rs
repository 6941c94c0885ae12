//! The rules that tests/tidy.rs holds the project to, each a function from text to faults
//! (`PATH:LINE: what is wrong`), so that each can be shown a planted fault. They read no file.

use std::collections::BTreeMap;

use crate::rust_source::Source;

/// The modules of src/, bottom to top: a module uses only those before it.
pub const ORDER: [&str; 18] = [
    "sys", "limits", "template", "oci", "codec", "store", "source", "layer", "tree", "content",
    "fs", "fuse", "pull", "archive", "browse", "mount", "chroot", "cli",
];

/// The top module that a file of src/ belongs to; `None` for lib.rs, main.rs and files elsewhere.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split(['/', '.']).next()?;
    (!["lib", "main"].contains(&name)).then_some(name)
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// A module names only modules that stand before it.
pub fn dependency_order(source: &Source) -> Vec<String> {
    let Some(own) = module(&source.path) else { return Vec::new() };
    let Some(own_rank) = rank(own) else {
        return vec![format!("{}: module `{own}` has no place in the order", source.path)];
    };
    let mut faults = Vec::new();
    for at in source.words("crate::") {
        for used in first_names(&source.code[at + "crate::".len()..]) {
            if rank(used).is_some_and(|rank| rank > own_rank) {
                faults.push(
                    source.fault(at, &format!("`{own}` stands before `{used}` and may not use it")),
                );
            }
        }
    }
    faults
}

/// The first name of each path that follows `crate::`, in braces or not.
fn first_names(after: &str) -> Vec<&str> {
    let name =
        |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = after.strip_prefix('{') else { return vec![&after[..name(after)]] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                names.push(&group[at..at + name(&group[at..])]);
                start = false;
            }
            _ => {}
        }
    }
    names
}

/// A file opens with its design.
pub fn header(source: &Source) -> Vec<String> {
    let fault = format!("{}:1: the file does not begin with `//!`", source.path);
    if source.text.starts_with("//!") { Vec::new() } else { vec![fault] }
}

/// No file is longer than 400 lines.
pub fn file_length(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines > 400 { vec![format!("{path}: {lines} lines, 400 at most")] } else { Vec::new() }
}

/// No function is longer than 60 lines, signature included.
pub fn function_length(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for at in source.words("fn ") {
        let Some(end) = body_end(&source.code[at..]) else { continue };
        let lines = source.code[at..at + end].lines().count();
        if lines > 60 {
            faults.push(source.fault(at, &format!("a function of {lines} lines, 60 at most")));
        }
    }
    faults
}

/// Where the body ends of the function that `code` begins with; `None` when it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut nested, mut braces) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            ';' if braces == 0 && nested == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// `unsafe` stands in src/sys alone, each block and impl below a `SAFETY:` comment.
pub fn unsafe_in_sys(source: &Source) -> Vec<String> {
    let in_sys = module(&source.path) == Some("sys");
    let mut faults = Vec::new();
    for at in source.words("unsafe") {
        let after = source.code[at + "unsafe".len()..].trim_start();
        let line = source.code[..at].matches('\n').count();
        let above: Vec<&str> = source.text.lines().take(line + 1).collect();
        let explained = above.iter().rev().take(6).any(|line| line.contains("SAFETY:"));
        if !in_sys {
            faults.push(source.fault(at, "`unsafe` outside src/sys"));
        } else if (after.starts_with('{') || after.starts_with("impl")) && !explained {
            faults.push(source.fault(at, "`unsafe` without a `// SAFETY:` comment"));
        }
    }
    faults
}

/// Words that have no place in code, with where they may stand after all.
pub fn forbidden_words(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    let (in_src, own) = (path.starts_with("src/"), module(path));
    let may_print = !in_src || own == Some("cli") || path == "src/main.rs";
    let below_fuse = own.and_then(rank) < rank("fuse") && own.is_some();
    let rules: [(&[&str], bool, &str); 5] = [
        (&["#[ignore"], true, "a test that is never run"),
        (&["todo!", "unimplemented!", "dbg!"], true, "unfinished"),
        (&["println!", "print!", "eprintln!", "eprint!"], !may_print, "only `cli` and main print"),
        (&["process::exit"], in_src && path != "src/main.rs", "only main exits"),
        (&["fuser"], below_fuse, "nothing before `fuse` knows the FUSE crate"),
    ];
    let mut faults = Vec::new();
    for (words, _, why) in rules.iter().filter(|(_, applies, _)| *applies) {
        for word in *words {
            faults
                .extend(source.words(word).map(|at| source.fault(at, &format!("`{word}`: {why}"))));
        }
    }
    faults
}

/// Marks of unfinished work and paths of one machine, in any text of the project. (Written in two
/// halves, so that this file passes.)
pub fn leftovers(path: &str, text: &str) -> Vec<String> {
    const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
    const PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.into_iter().any(|word| MARKS.contains(&word)) {
            faults.push(format!("{path}:{}: unfinished: {}", number + 1, line.trim()));
        }
        for machine in PATHS.iter().filter(|machine| line.contains(**machine)) {
            faults.push(format!("{path}:{}: a path of one machine: {machine}", number + 1));
        }
    }
    faults
}

/// Files of the project that a page or a comment names, and that are not there.
pub fn dead_references(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let inside = |c: char| c.is_alphanumeric() || "/_.-".contains(c);
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let prose = if path.ends_with(".rs") {
            line.split_once("//").map_or("", |cut| cut.1)
        } else {
            line
        };
        for word in prose.split(|c| !inside(c)).map(|word| word.trim_end_matches(['.', '/'])) {
            let of_ours = ["src/", "tests/", "docs/"].iter().any(|folder| word.starts_with(folder));
            if of_ours && !exists(word) {
                faults.push(format!("{path}:{}: there is no {word}", number + 1));
            }
        }
    }
    faults
}

/// Every dependency stands below a comment that says what it is for, alone or in a group.
pub fn dependencies_explained(manifest: &str) -> Vec<String> {
    let (mut in_dependencies, mut explained) = (false, false);
    let mut faults = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
            explained = false;
        } else if line.is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if in_dependencies && !explained {
            faults.push(format!("Cargo.toml: no word on why: {line}"));
        }
    }
    faults
}

/// No crate in Cargo.lock is older than the first version without a known advisory, and none is there
/// that must never be. A least version of a crate that is not used holds nothing back, so it is a fault.
pub fn locked_versions(lock: &str) -> Vec<String> {
    const AT_LEAST: [(&str, [u64; 3]); 4] = [
        ("tar", [0, 4, 45]),
        ("zlib-rs", [0, 4, 0]),
        ("memmap2", [0, 9, 11]),
        ("rustls-webpki", [0, 103, 13]),
    ];
    // Crates of the same purpose that had advisories; who wants one adds its version above.
    const NEVER: [&str; 5] = ["tokio-tar", "h2", "ruzstd", "rkyv", "tracing-subscriber"];
    let quoted = |line: &'_ str, key: &str| {
        Some(line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_string())
    };
    let unused = AT_LEAST.iter().filter(|(name, _)| !lock.contains(&format!("name = \"{name}\"")));
    let mut faults: Vec<String> = unused
        .map(|(name, _)| format!("Cargo.lock: nothing uses {name}, which has a least version"))
        .collect();
    for package in lock.split("[[package]]") {
        let field = |key| package.lines().find_map(|line| quoted(line, key)).unwrap_or_default();
        let (name, version) = (field("name"), field("version"));
        let numbers: Vec<u64> =
            version.split(['.', '-', '+']).take(3).map_while(|part| part.parse().ok()).collect();
        let least = AT_LEAST.iter().find(|(crate_name, _)| *crate_name == name);
        if NEVER.contains(&name.as_str()) {
            faults.push(format!("Cargo.lock: {name} must not be used"));
        } else if let Some((_, least)) = least.filter(|(_, least)| numbers.as_slice() < &least[..])
        {
            faults.push(format!("Cargo.lock: {name} {version} is older than {least:?}"));
        }
    }
    faults
}

/// The promises of a page, each on one line, with the number of their first line: items that begin
/// with `- ` or a number.
pub fn promises(page: &str) -> BTreeMap<usize, String> {
    let mut items: BTreeMap<usize, String> = BTreeMap::new();
    let mut current = None;
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("- ") || item_number(line).is_some() {
            current = Some(number + 1);
        } else if !line.starts_with(' ') {
            current = None;
        }
        if let Some(start) = current {
            let item = items.entry(start).or_default();
            item.push_str(line.trim());
            item.push(' ');
        }
    }
    items
}

fn item_number(line: &str) -> Option<usize> {
    line.split_once(". ")?.0.parse().ok()
}

/// Every promise names its tests at its end, as `Test: name` or `Tests: name, name` with each name
/// in backquotes, and each is a function somewhere in `sources`.
pub fn promises_tested(path: &str, page: &str, sources: &[Source]) -> Vec<String> {
    let exists = |name: &str| {
        let signature = format!("fn {name}");
        sources.iter().any(|source| source.words(&signature).next().is_some())
    };
    let mut faults = Vec::new();
    for (line, item) in &promises(page) {
        let tests = item.rsplit_once("Test: ").or_else(|| item.rsplit_once("Tests: "));
        let names: Vec<&str> =
            tests.map_or("", |(_, names)| names).split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            faults.push(format!("{path}:{line}: a promise without a test: {item}"));
        }
        for name in names.iter().filter(|name| !exists(name)) {
            faults.push(format!("{path}:{line}: there is no test `{name}`"));
        }
    }
    faults
}

/// The text that a planted fault replaces stands once in its file, and its test is there.
pub fn plant_fits(plant: &toml::Value, sources: &[Source]) -> Vec<String> {
    let text = |key: &str| plant.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let (file, find, test) = (text("file"), text("find"), text("test"));
    let mut faults = Vec::new();
    let found = sources.iter().filter(|source| source.path == file);
    let times: usize = found.map(|source| source.text.matches(find).count()).sum();
    if find.is_empty() || times != 1 {
        faults.push(format!("tests/plants.toml: {file}: {find:?} stands there {times} times"));
    }
    if !text("plant").contains("PLANTED") {
        faults.push(format!("tests/plants.toml: {file}: without PLANTED the fault is always on"));
    }
    let signature = format!("fn {test}");
    if test.is_empty() || !sources.iter().any(|source| source.words(&signature).next().is_some()) {
        faults.push(format!("tests/plants.toml: there is no test `{test}`"));
    }
    faults
}

/// Numbered promises are cited by their number: it is theirs, from 1 on.
pub fn promises_numbered(path: &str, page: &str) -> Vec<String> {
    let numbers = page.lines().filter_map(item_number);
    let wrong = numbers.enumerate().filter(|(at, number)| at + 1 != *number);
    wrong.map(|(at, number)| format!("{path}: promise {number} is number {}", at + 1)).collect()
}

/// Every crate of `metadata` (what `cargo metadata` prints) comes from crates.io, under a licence
/// that deny.toml (`policy`) allows. The rest of that policy is cargo-deny's.
pub fn dependencies_allowed(metadata: &serde_json::Value, policy: &toml::Table) -> Vec<String> {
    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let allowed = policy["licenses"]["allow"].as_array().into_iter().flatten();
    let allowed: Vec<&str> = allowed.filter_map(toml::Value::as_str).collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !licence_allows(licence, &allowed) {
            faults.push(format!("deny.toml: {name}: licence {licence:?} is not allowed"));
        }
        if package["source"].as_str().is_some_and(|source| source != CRATES_IO) {
            faults.push(format!("deny.toml: {name}: from {}", package["source"]));
        }
    }
    faults
}

/// An SPDX expression, where OR binds weaker than AND; `/` is OR's older form.
fn licence_allows(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim();
    let parts = |word| split_outside(expression, word);
    let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match (parts(" OR "), parts("/"), parts(" AND "), inner) {
        (any, _, _, _) if any.len() > 1 => any.iter().any(|one| licence_allows(one, allowed)),
        (_, any, _, _) if any.len() > 1 => any.iter().any(|one| licence_allows(one, allowed)),
        (_, _, all, _) if all.len() > 1 => all.iter().all(|one| licence_allows(one, allowed)),
        (_, _, _, Some(inner)) => licence_allows(inner, allowed),
        _ => allowed.contains(&expression),
    }
}

/// The parts of `text` between the `word`s that stand outside parentheses.
fn split_outside<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(word) => {
                parts.push(&text[start..at]);
                start = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
