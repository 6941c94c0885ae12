//! Lists that come in pages: the tags of a repository, the repositories of a registry.
//!
//! The next page is where the `Link` header says, as long as that is at the same registry. A list
//! that never ends is refused: when a page comes again, when pages bring nothing new, or at a limit.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::RegistryError;
use super::client::{Client, Question};
use super::http::Ask;
use crate::oci::{JSON_LIMIT, null_as_default, parse_object};

/// How many names a page may ask for.
const PAGE: usize = 1000;
/// How many names a list may have.
const NAMES_LIMIT: usize = 1_000_000;
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
        let page = parse_object(&bytes).map_err(|e| wrong(e.to_string()))?;
        list.add(names_of(page)).map_err(wrong)?;
        let Some(next) = answer.headers("link").into_iter().find_map(next_link) else {
            return Ok(list.names);
        };
        let next = url.join(next).map_err(|error| wrong(format!("its Link is {error}")))?;
        // Only the query differs between pages; the host is the client's to choose.
        let base = question.path.split('?').next().unwrap_or_default();
        if next.origin() != url.origin() || !next.path().ends_with(base) {
            return Err(wrong("its Link leads elsewhere".to_owned()));
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
    known: HashSet<String>,
    /// The pages that were asked for.
    pages: HashSet<String>,
    /// How many of the last pages brought nothing new.
    idle: usize,
}

impl List {
    /// Adds the names of a page.
    fn add(&mut self, page: Vec<String>) -> Result<(), String> {
        let before = self.names.len();
        self.names.extend(page.into_iter().filter(|name| self.known.insert(name.clone())));
        self.idle = if self.names.len() > before { 0 } else { self.idle + 1 };
        if self.names.len() > NAMES_LIMIT {
            return Err(format!("more than the limit of {NAMES_LIMIT} names"));
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

/// The target of the `rel="next"` link in a `Link` header (RFC 8288), if there is one.
pub fn next_link(value: &str) -> Option<&str> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        let parameters = after[..end].to_ascii_lowercase();
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let Some((key, value)) = parameter.split_once('=') else { return false };
            let value = value.trim().trim_matches('"');
            key.trim() == "rel" && value.split_ascii_whitespace().any(|word| word == "next")
        });
        if is_next {
            return Some(target);
        }
        rest = &after[end..];
    }
    None
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
            ("</n>", None),
            ("</n; rel=next", None),
            ("", None),
            ("<", None),
        ] {
            assert_eq!(next_link(value), target, "{value}");
        }
    }
}
