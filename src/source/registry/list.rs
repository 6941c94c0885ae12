//! Lists that come in pages: the tags of a repository, the repositories of a registry.
//!
//! The next page is where the `Link` header says: path and query, for what host and scheme it has is
//! what the registry is called behind its own proxy. A link that cannot be followed is an error, never
//! the end of the list. A list that never ends is refused: when a page comes again, when pages bring
//! nothing new, or at a limit.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::RegistryError;
use super::client::{Client, Question};
use super::http::Ask;
use super::verdict::instead;
use crate::oci::{JSON_LIMIT, escaped, null_as_default, parse_object};

/// How many names a page may ask for.
const PAGE: usize = 1000;
/// How many names a list may have.
const NAMES_LIMIT: usize = 1_000_000;
/// How many bytes they may have together.
const TEXT_LIMIT: usize = 32 * 1024 * 1024;
/// How many pages a list may have.
const PAGES_LIMIT: usize = 1000;
/// How many pages in a row may bring no new name. One or two do where a registry leaves out what the
/// user may not see.
const IDLE_LIMIT: usize = 10;

#[derive(Deserialize)]
struct Tags {
    #[serde(default, deserialize_with = "null_as_default")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default, deserialize_with = "null_as_default")]
    repositories: Vec<String>,
}

pub(super) fn tags(client: &Client, repository: &str) -> Result<Vec<String>, RegistryError> {
    let question = Question {
        path: format!("/{repository}/tags/list?n={PAGE}"),
        repository: repository.to_owned(),
        scope: format!("repository:{repository}:pull"),
        what: format!("the tags of {}/{repository}", client.registry()),
        resolve: true,
        ask: Ask::default(),
    };
    pages(client, question, |page: Tags| page.tags)
}

pub(super) fn catalog(client: &Client) -> Result<Vec<String>, RegistryError> {
    let question = Question {
        path: format!("/_catalog?n={PAGE}"),
        repository: String::new(),
        scope: "registry:catalog:*".to_owned(),
        what: format!("the catalog of {}", client.registry()),
        resolve: true,
        ask: Ask::default(),
    };
    pages(client, question, |page: Catalog| page.repositories)
}

fn pages<P: DeserializeOwned>(
    client: &Client,
    mut question: Question,
    names_of: impl Fn(P) -> Vec<String>,
) -> Result<Vec<String>, RegistryError> {
    let mut list = List::default();
    loop {
        let (answer, bytes) = client.ask(&question, JSON_LIMIT)?;
        let url = answer.url.clone();
        let wrong = |reason: String| RegistryError::Body { url: url.to_string(), reason };
        if let Some(reason) = instead(&answer, &bytes) {
            return Err(wrong(reason));
        }
        let page = parse_object(&bytes).map_err(|e| wrong(e.to_string()))?;
        list.add(names_of(page)).map_err(wrong)?;
        let links = answer.locations("link");
        let Some(next) = links.iter().find_map(|value| next_link(value)) else {
            return Ok(list.names);
        };
        let next = url.join(next).map_err(|error| wrong(format!("its Link: {error}")))?;
        // Only the query differs between pages; the host is the client's to choose.
        let base = question.path.split('?').next().unwrap_or_default();
        if !next.path().ends_with(base) {
            let path = escaped(next.path()).to_string();
            return Err(wrong(format!("its Link leads elsewhere: to {path} instead of {base}")));
        }
        let path = format!("{base}?{}", next.query());
        list.go_on(std::mem::replace(&mut question.path, path), &question.path).map_err(wrong)?;
    }
}

/// What came so far, and whether to go on.
#[derive(Default)]
struct List {
    /// Each once, as they came.
    names: Vec<String>,
    /// How many bytes they have.
    text: usize,
    /// Hashes of them, which are smaller.
    known: HashSet<[u8; 16]>,
    /// The pages that were asked for.
    pages: HashSet<String>,
    /// How many of the last pages brought nothing new.
    idle: usize,
}

impl List {
    /// Adds the names of a page.
    fn add(&mut self, page: Vec<String>) -> Result<(), String> {
        let before = self.names.len();
        for name in page {
            if self.known.insert(short_hash(&name)) {
                self.text += name.len();
                self.names.push(name);
            }
        }
        self.idle = if self.names.len() > before { 0 } else { self.idle + 1 };
        if self.names.len() > NAMES_LIMIT {
            return Err(format!("more than the limit of {NAMES_LIMIT} names"));
        }
        if self.text > TEXT_LIMIT {
            return Err(format!("more than the limit of {TEXT_LIMIT} bytes of names"));
        }
        Ok(())
    }

    /// Whether there may be a page `next` after `page`.
    fn go_on(&mut self, page: String, next: &str) -> Result<(), String> {
        if page == next {
            return Err("its Link leads to itself".to_owned());
        }
        self.pages.insert(page);
        if self.pages.contains(next) {
            return Err("its Link leads back to a page before it".to_owned());
        }
        if self.idle >= IDLE_LIMIT {
            return Err(format!("{IDLE_LIMIT} pages in a row without a new name"));
        }
        if self.pages.len() >= PAGES_LIMIT {
            return Err(format!("more than the limit of {PAGES_LIMIT} pages"));
        }
        Ok(())
    }
}

fn short_hash(name: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    hash
}

/// The target of the `rel="next"` link in a `Link` header (RFC 8288), if there is one. As skopeo has
/// it, angle brackets may be missing, and a link that does not say what it is is the next page.
pub fn next_link(value: &str) -> Option<&str> {
    let mut rest = value.trim_ascii();
    while !rest.is_empty() {
        let bracketed = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (target, after) = match bracketed {
            Some((target, after)) if !target.contains('<') => (target, after),
            _ => {
                let bare = rest.trim_start_matches('<');
                let end = bare.find([';', '<', '>']).unwrap_or(bare.len());
                (bare[..end].trim_ascii(), &bare[end..])
            }
        };
        let end = after.find('<').unwrap_or(after.len());
        if is_next(&after[..end]) {
            return Some(target);
        }
        rest = &after[end..];
    }
    None
}

/// Whether the parameters of a link say that it is the next page, or say nothing.
fn is_next(parameters: &str) -> bool {
    let parameters = parameters.to_ascii_lowercase();
    let mut relations = parameters.split([';', ',']).filter_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key.trim_ascii() == "rel").then(|| value.trim_ascii().trim_matches('"'))
    });
    let Some(first) = relations.next() else { return true };
    std::iter::once(first)
        .chain(relations)
        .any(|relation| relation.split_ascii_whitespace().any(|word| word == "next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ends a list of pages that the function makes, and after how many.
    fn end(page: impl Fn(usize) -> Vec<String>) -> (String, usize) {
        let mut list = List::default();
        for number in 0.. {
            let (this, next) = (number.to_string(), (number + 1).to_string());
            if let Err(why) = list.add(page(number)).and_then(|()| list.go_on(this, &next)) {
                return (why, number + 1);
            }
        }
        unreachable!("numbers end")
    }

    #[test]
    fn a_list_of_ever_new_names_ends() {
        let (why, pages) = end(|page| vec![page.to_string()]);
        assert_eq!((why.as_str(), pages), ("more than the limit of 1000 pages", 1000));
        let (why, pages) = end(|page| (0..5000).map(|n| format!("{page}-{n}")).collect());
        assert_eq!((why.as_str(), pages), ("more than the limit of 1000000 names", 201));
        let long = "x".repeat(524_286);
        let (why, pages) = end(|page| (0..8).map(|n| format!("{page}-{n}{long}")).collect());
        assert_eq!((why.as_str(), pages), ("more than the limit of 33554432 bytes of names", 8));
    }

    #[test]
    fn links() {
        for (value, target) in [
            (r#"</v2/_catalog?last=x&n=2>; rel="next""#, Some("/v2/_catalog?last=x&n=2")),
            ("</a>;rel=next", Some("/a")),
            (r#"</p>; rel="prev", </n>; rel="next""#, Some("/n")),
            (r#"</n>; title="a"; rel="last next""#, Some("/n")),
            (r#"</n>; REL="NEXT""#, Some("/n")),
            (r#"</p>; rel="prev""#, None),
            ("</p>; rel=\"prev\", </n>", Some("/n")),
            ("</n>", Some("/n")),
            ("</n; rel=next", Some("/n")),
            ("/n?a=b;rel=next", Some("/n?a=b")),
            ("/n?a=b", Some("/n?a=b")),
            ("https://h/n; rel=prev", None),
            ("<https://h/n?a;b>; rel=next", Some("https://h/n?a;b")),
            ("</n>;rel=prev;rel=next", Some("/n")),
            ("", None),
            (" ", None),
            // No list ends by a link that leads nowhere: following it is the error.
            ("<", Some("")),
            ("<>; rel=next", Some("")),
            (";", Some("")),
        ] {
            assert_eq!(next_link(value), target, "{value}");
        }
    }
}
