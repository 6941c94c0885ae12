//! Which image of a list is the one for a platform.
//!
//! As containerd chooses: of the entries that run on the wanted platform the best, in the order of
//! [`Platform::preferences`] and then of the list; entries that name no platform come last.
//! Attestations are never chosen. A list may point at a list, to a depth of [`LIST_DEPTH`].

use super::{Descriptor, Document, DocumentKind, Index, Manifest, Platform, escaped};

/// How many lists may lie in one another.
pub const LIST_DEPTH: usize = 3;

/// Why no image was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Nothing in the list runs on the platform.
    #[error("no image for {wanted}; there is {}", listed(.available))]
    NoMatch {
        /// What was asked for.
        wanted: Platform,
        /// What the list has, in its order.
        available: Vec<Platform>,
    },
    /// More than [`LIST_DEPTH`] lists in one another.
    #[error("lists nested deeper than the limit of {LIST_DEPTH}")]
    TooDeep,
}

fn listed(available: &[Platform]) -> String {
    let mut names: Vec<String> =
        available.iter().map(|platform| escaped(&platform.to_string()).to_string()).collect();
    names.dedup();
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}

/// Chooses from `index` the image for `wanted`; `fetch` brings the documents that the choice needs,
/// checked against their descriptors.
///
/// # Errors
/// When nothing matches, lists are nested too deep, or `fetch` failed.
pub fn choose<E: From<ChoiceError>>(
    index: &Index,
    wanted: &Platform,
    fetch: &mut dyn FnMut(&Descriptor) -> Result<Document, E>,
) -> Result<(Descriptor, Manifest), E> {
    let no_match = || ChoiceError::NoMatch {
        wanted: wanted.normal(),
        available: images(index).filter_map(|entry| entry.platform.clone()).collect(),
    };
    search(index, &wanted.preferences(), 1, fetch)?.ok_or_else(|| no_match().into())
}

/// The entries that may be images or lists of images.
fn images(index: &Index) -> impl Iterator<Item = &Descriptor> {
    let document = |media_type: &str| {
        matches!(DocumentKind::of(media_type), Some(DocumentKind::Index | DocumentKind::Manifest))
    };
    index
        .manifests
        .iter()
        .filter(move |entry| document(&entry.media_type) && !entry.is_attestation())
}

/// The entries that may run on one of `preferences`, best first.
fn candidates<'a>(index: &'a Index, preferences: &[Platform]) -> Vec<&'a Descriptor> {
    let mut ranked: Vec<(usize, &Descriptor)> = images(index)
        .filter_map(|entry| {
            let rank = match &entry.platform {
                Some(platform) => preferences.iter().position(|able| able.matches(platform))?,
                None => preferences.len(),
            };
            Some((rank, entry))
        })
        .collect();
    // Stable, so that of equals the first in the list wins.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, entry)| entry).collect()
}

fn search<E: From<ChoiceError>>(
    index: &Index,
    preferences: &[Platform],
    depth: usize,
    fetch: &mut dyn FnMut(&Descriptor) -> Result<Document, E>,
) -> Result<Option<(Descriptor, Manifest)>, E> {
    if depth > LIST_DEPTH {
        return Err(ChoiceError::TooDeep.into());
    }
    for candidate in candidates(index, preferences) {
        let found = match fetch(candidate)? {
            Document::Manifest(manifest) => Some((candidate.clone(), manifest)),
            Document::Index(inner) => search(&inner, preferences, depth + 1, fetch)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
