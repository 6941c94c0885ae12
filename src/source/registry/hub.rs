//! Docker Hub's search (its v1 API, which `docker search` uses).

use serde::Deserialize;

use super::RegistryError;
use super::address::Reach;
use super::http::{Ask, Http};
use super::retry::insist;
use super::trust::{SystemRoots, Trust};
use super::url::Url;
use super::verdict::instead;
use crate::oci::{JSON_LIMIT, null_as_default, parse_object};
use crate::source::Options;

/// The most that Docker Hub gives at once.
pub const SEARCH_LIMIT: u32 = 100;

/// A repository that was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// `debian`, `user/app`.
    pub name: String,
    /// As its owner describes it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub description: String,
    /// How many like it.
    #[serde(default, rename = "star_count", deserialize_with = "null_as_default")]
    pub stars: i64,
    /// Whether it is one of Docker's official images.
    #[serde(default, rename = "is_official", deserialize_with = "null_as_default")]
    pub official: bool,
    /// Whether Docker Hub built it by itself, as it once did.
    #[serde(default, rename = "is_automated", deserialize_with = "null_as_default")]
    pub automated: bool,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default, deserialize_with = "null_as_default")]
    results: Vec<Found>,
}

/// Searches Docker Hub; at most `limit` (and [`SEARCH_LIMIT`]) results, in its order.
///
/// # Errors
/// When it cannot be reached or does not answer as it should.
pub fn search(options: &Options, term: &str, limit: u32) -> Result<Vec<Found>, RegistryError> {
    let limit = limit.clamp(1, SEARCH_LIMIT);
    let base = options.hub.trim_end_matches('/');
    let url = Url::parse(&format!("{base}/v1/search"))
        .map_err(|_| RegistryError::Host(base.to_owned()))?
        .with_query("q", term)
        .with_query("n", &limit.to_string());
    let options = std::sync::Arc::new(options.clone());
    let system = std::sync::Arc::new(SystemRoots::default());
    let http = |reach| Http::new(Trust::default(), reach, system.clone(), options.clone());
    let reach = url.origin().reach(false);
    let (own, others) = (http(Reach::Named), http(reach));
    let send = |to: &Url, ask: &Ask| {
        if to.origin() == url.origin() { own.send(to, ask) } else { others.send(to, ask) }
    };
    let ask = Ask { accept: vec!["application/json"], ..Ask::default() };
    let once = || {
        let mut answer = super::client::plain(&send, reach, &url, &ask, &options)?;
        let bytes = answer.read(JSON_LIMIT)?;
        Ok((answer, bytes))
    };
    let (answer, bytes) = insist(options.clock.as_ref(), once)?;
    let wrong = |reason| RegistryError::Body { url: answer.url.to_string(), reason };
    if let Some(reason) = instead(&answer, &bytes) {
        return Err(wrong(reason));
    }
    let page: Page = parse_object(&bytes).map_err(|error| wrong(error.to_string()))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(page.results.into_iter().take(limit).collect())
}
