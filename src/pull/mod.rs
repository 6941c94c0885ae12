//! Pull: an image from a source into the store, ready to be mounted.
//!
//! ```text
//! root document -> list? choose the platform -> manifest -> config        all checked, in memory
//! lease on everything that the image needs                                 gc keeps it from now on
//! layers, a few at once: source -> one pass -> blob and TOC in the store   fetched once, resumed
//! TOCs -> merge -> tree                                                     skipped when it is there
//! documents, then index.json                                               now it has a name
//! ```
//!
//! **Guarantees.** The name appears after everything else is on the disk, so an interrupted pull
//! leaves the old image or the new one. A layer that the store has is not fetched; its bytes are
//! hashed again, so that pulling heals what a disk damaged. Memory does not grow with the image.
//!
//! **Does not** know how sources authenticate or retry, nor how progress looks ([`Observer`]).

mod documents;
mod error;
mod layers;
mod observer;
mod repair;
mod tree;
mod verify;
mod warnings;

pub use error::PullError;
pub use observer::{LayerEvent, Observer, Silent};
pub use repair::{OpenSource, Outcome, repair};
pub use tree::{content_of, ensure_tree, ensure_tree_of, history};
pub use verify::verify;
pub use warnings::{Warnings, warnings};

use crate::limits::Limits;
use crate::oci::{Descriptor, Digest, Platform, Reference};
use crate::source::Source;
use crate::store::{NameRow, Store, StoredImage};

/// How an image is pulled.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which image of a list; `None` means this machine's, and then an image without a list is
    /// taken whatever it is for.
    pub platform: Option<Platform>,
    /// The digest that the root document must have.
    pub pinned: Option<Digest>,
    /// The repository in a registry that it comes from, for RepoDigests.
    pub repository: Option<String>,
    /// How many layers are fetched at once.
    pub jobs: usize,
    /// Fetch layers that are not in the registry from the addresses that the manifest gives.
    pub foreign: bool,
    /// What the image may cost.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            platform: None,
            pinned: None,
            repository: None,
            jobs: 3,
            foreign: false,
            limits: Limits::DEFAULT,
        }
    }
}

impl Options {
    /// For what was pulled before, and was within the limits of that pull.
    fn again() -> Self {
        Self { limits: Limits::HIGHEST, ..Self::default() }
    }

    /// As `reference` says, which is in a registry.
    pub fn of(reference: &Reference) -> Self {
        let (pinned, repository) = (reference.digest().copied(), Some(reference.name()));
        Self { pinned, repository, ..Self::default() }
    }
}

/// Whether a pull changed anything, as Docker says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A layer was fetched, or the name is new or stands for another image now.
    New,
    /// Everything was there already.
    UpToDate,
}

/// A finished pull.
#[derive(Debug)]
pub struct Pulled {
    /// The image, with the name it has now.
    pub image: StoredImage,
    /// What the source served under the name: the digest of the list, or of the manifest.
    pub digest: Digest,
    /// Whether anything is new.
    pub status: Status,
}

/// Pulls the image of `source` and calls it `name` (a full reference; `None` leaves it dangling).
pub fn pull(
    store: &Store,
    source: &dyn Source,
    name: Option<&str>,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Pulled, PullError> {
    let found = documents::resolve(store, source, options)?;
    let lease = store.lease(&found.digests())?;
    let fetched = layers::Fetched::default();
    let built = layers::fetch(store, source, &found.layers, options, observer, &fetched);
    let built = built.and_then(|()| {
        observer.merging();
        tree::build(store, &found.layers, options.limits)
    });
    let fetched = fetched.digests();
    if let Err(error) = built {
        if error.is_refusal() {
            drop(lease);
            discard(store, &fetched);
        }
        return Err(error);
    }
    let digest = found.put(store)?;
    let row = NameRow {
        name: name.map(str::to_owned),
        manifest: found.manifest.clone(),
        origin: options.repository.clone().map(|repository| (repository, digest)),
    };
    let moved = !is_named(store, name, &found.manifest)?;
    store.set_name(row)?;
    let status = if !fetched.is_empty() || moved { Status::New } else { Status::UpToDate };
    Ok(Pulled { image: store.image_of(&found.manifest)?, digest, status })
}

/// Removes what was fetched for an image that is refused. The refusal is what counts: what cannot
/// be removed now, a prune removes.
fn discard(store: &Store, fetched: &[Digest]) {
    if let Err(error) = store.discard(fetched) {
        log::warn!("what was fetched of the refused image stays for now: {error}");
    }
}

/// Whether the store has this manifest under this name.
fn is_named(store: &Store, name: Option<&str>, manifest: &Descriptor) -> Result<bool, PullError> {
    let rows = store.names()?;
    let same = |row: &NameRow| row.manifest.digest == manifest.digest;
    Ok(rows.iter().any(|row| same(row) && (name.is_none() || row.name.as_deref() == name)))
}
