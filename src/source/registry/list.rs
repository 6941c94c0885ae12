//! Lists that come in pages: the tags of a repository, the repositories of a registry.
//!
//! The next page is where the `Link` header says, as long as that is at the same registry; a list
//! that never ends, ends at a limit.

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
const PAGES_LIMIT: usize = 10_000;

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
    let mut names = Vec::new();
    for _ in 0..PAGES_LIMIT {
        let (answer, bytes) = client.ask(&question, JSON_LIMIT)?;
        let url = answer.url.clone();
        let wrong = |reason: String| RegistryError::Body { url: url.to_string(), reason };
        let page = parse_object(&bytes).map_err(|e| wrong(e.to_string()))?;
        names.extend(names_of(page));
        if names.len() > NAMES_LIMIT {
            return Err(wrong(format!("more than the limit of {NAMES_LIMIT} names")));
        }
        let Some(next) = answer.headers("link").into_iter().find_map(next_link) else {
            return Ok(names);
        };
        let next = url.join(next).map_err(|error| wrong(format!("its Link is {error}")))?;
        // Only the query differs between pages; the host is the client's to choose.
        let base = question.path.split('?').next().unwrap_or_default();
        if next.origin() != url.origin() || !next.path().ends_with(base) {
            return Err(wrong("its Link leads elsewhere".to_owned()));
        }
        let path = format!("{base}?{}", next.query());
        if path == question.path {
            return Err(wrong("its Link leads to itself".to_owned()));
        }
        question.path = path;
    }
    Err(RegistryError::Body {
        url: question.what,
        reason: format!("more than the limit of {PAGES_LIMIT} pages"),
    })
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
