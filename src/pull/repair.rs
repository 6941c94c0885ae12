//! `verify --repair`: leftovers go, damage goes to `quarantine/` and is fetched or built again.
//!
//! A bad blob is healed by pulling its image once more by the digest of its manifest, which takes
//! from the store whatever is right. When that cannot be done the blob is put back: most of its
//! bytes may still be read, and every one that is read is checked.

use std::collections::HashMap;

use super::{Observer, Options, PullError, ensure_tree, pull};
use crate::oci::{Digest, Reference};
use crate::source::{Source, SourceError};
use crate::store::verify::{Code, Finding, Remedy, Scope};
use crate::store::{NameRow, Store};

/// Opens the source of an image that is given by the digest of its manifest.
pub type OpenSource<'a> = &'a dyn Fn(&Reference) -> Result<Box<dyn Source>, SourceError>;

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone.
    Repaired,
    /// It is still there, and why.
    Left(String),
}

/// Repairs what was found, as far as it can; says of each finding what became of it.
pub fn repair(
    store: &Store,
    findings: &[Finding],
    open: OpenSource<'_>,
    observer: &dyn Observer,
) -> Vec<Outcome> {
    let mut refetch = Vec::new();
    let mut outcomes: Vec<Outcome> = findings
        .iter()
        .map(|finding| match &finding.remedy {
            Remedy::Refetch(digest) => {
                refetch.push(*digest);
                Outcome::Repaired
            }
            Remedy::None => Outcome::Left(needs(finding.code).into()),
            _ => match store.repair(finding) {
                Ok(_) => Outcome::Repaired,
                Err(error) => Outcome::Left(error.to_string()),
            },
        })
        .collect();
    let failures = fetch_again(store, &refetch, open, observer);
    for (outcome, finding) in outcomes.iter_mut().zip(findings) {
        if let Remedy::Refetch(digest) = &finding.remedy
            && let Some(why) = failures.get(digest)
        {
            *outcome = Outcome::Left(why.clone());
        }
    }
    rebuild_tables(store);
    outcomes
}

/// Why there is no remedy.
fn needs(code: Code) -> &'static str {
    match code {
        Code::Unreachable | Code::PartialBlob => "`shale prune` removes it",
        Code::DiffId | Code::BadLayer => "the image itself is bad: remove it",
        Code::WrongOwner => "give it to the store's owner, with `chown` as root",
        Code::NotAFile => {
            "put the file or directory itself in its place, for a symlink what it leads to"
        }
        _ => "it needs a person",
    }
}

/// Brings the blobs in again. Returns those that could not be had, and why.
fn fetch_again(
    store: &Store,
    blobs: &[Digest],
    open: OpenSource<'_>,
    observer: &dyn Observer,
) -> HashMap<Digest, String> {
    let mut failures = HashMap::new();
    let mut asides = Vec::new();
    for digest in blobs {
        match store.set_aside(digest) {
            Ok(aside) => asides.extend(aside),
            Err(error) => {
                failures.insert(*digest, error.to_string());
            }
        }
    }
    let mut reasons = Vec::new();
    for row in store.names().unwrap_or_default().iter().filter(|row| !is_whole(store, row)) {
        if let Err(error) = pull_again(store, row, open, observer) {
            let name = row.name.clone().unwrap_or_else(|| row.manifest.digest.to_string());
            reasons.push(format!("{name}: {error}"));
        }
    }
    for aside in asides {
        if let Err(error) = store.put_back(aside) {
            reasons.push(error.to_string());
        }
    }
    for digest in blobs {
        let blob = store.blob(digest, None).ok().flatten();
        let healed = blob.is_some_and(|blob| matches!(store.check_blob(&blob), Ok(None)));
        if !healed {
            let why =
                if reasons.is_empty() { "no image needs it".into() } else { reasons.join("; ") };
            failures.entry(*digest).or_insert(why);
        }
    }
    failures
}

fn is_whole(store: &Store, row: &NameRow) -> bool {
    store.image_of(&row.manifest).is_ok_and(|image| image.blobs(store).is_ok())
}

fn pull_again(
    store: &Store,
    row: &NameRow,
    open: OpenSource<'_>,
    observer: &dyn Observer,
) -> Result<(), String> {
    let repository = match (&row.origin, &row.name) {
        (Some((repository, _)), _) => repository.parse::<Reference>(),
        (None, Some(name)) if name.starts_with("localhost/") => {
            return Err("it came from a directory or an archive: pull or load it again".into());
        }
        (None, Some(name)) => name.parse::<Reference>(),
        (None, None) => return Err("nobody knows where it came from".into()),
    };
    let reference = repository.map_err(|error| error.to_string())?;
    let reference = reference.with_digest(row.manifest.digest);
    let source = open(&reference).map_err(|error| error.to_string())?;
    let options = Options { pinned: Some(row.manifest.digest), ..Options::again() };
    match pull(store, &*source, row.name.as_deref(), &options, observer) {
        Ok(_) => Ok(()),
        Err(error) => Err(PullError::to_string(&error)),
    }
}

/// Makes the tables that are missing now. One that cannot be made is made by who needs it, or
/// found again by the next `verify`.
fn rebuild_tables(store: &Store) {
    for image in store.images_in(&Scope::default()).unwrap_or_default() {
        let hold = store.hold(&image);
        if let Err(error) = ensure_tree(store, &image) {
            log::warn!("{}: {error}", image.short_id());
        }
        drop(hold);
    }
}
