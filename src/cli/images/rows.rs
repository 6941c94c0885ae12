//! The rows of `ls`: an image has one for each of its names, as Docker shows it.
//!
//! A row stands for a tag; digests have rows of their own only where no tag of their repository
//! has one, or when digests are asked for. Sizes are those of the unpacked entries; what an image
//! shares is what other images of the store have in the same layers.

use std::collections::HashMap;

use crate::cli::error::Error;
use crate::cli::filter::created;
use crate::cli::format::units::{self, Time};
use crate::layer::Toc;
use crate::oci::{Digest, Reference};
use crate::store::{Derived, Store, StoredImage};
use crate::template::{Field, Struct, Value};

/// Docker's word for a name that is not there.
pub const NONE: &str = "<none>";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// Position of its image in the list that it was made of.
    pub image: usize,
    /// The repository in its short form, or [`NONE`].
    pub repository: String,
    /// Or [`NONE`].
    pub tag: String,
    /// Of the list or manifest that the registry served, or [`NONE`].
    pub digest: String,
}

impl ImageRow {
    fn nameless(image: usize) -> Self {
        let none = || NONE.to_owned();
        Self { image, repository: none(), tag: none(), digest: none() }
    }

    fn new(image: usize, reference: &Reference, tag: Option<&str>, digest: Option<&str>) -> Self {
        Self {
            image,
            repository: reference.familiar_name(),
            tag: tag.unwrap_or(NONE).to_owned(),
            digest: digest.unwrap_or(NONE).to_owned(),
        }
    }
}

/// The references of an image: tags, and digests that a registry served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// `REPOSITORY:TAG`
    pub tags: Vec<Reference>,
    /// `REPOSITORY@DIGEST`
    pub digests: Vec<Reference>,
}

impl Names {
    /// Of an image in the store.
    pub fn of(image: &StoredImage) -> Self {
        let mut names = Self::default();
        for reference in image.names.iter().filter_map(|name| name.parse::<Reference>().ok()) {
            match reference.digest() {
                Some(_) => names.digests.push(reference),
                None => names.tags.push(reference),
            }
        }
        // An image that lost its tag to a newer one is still known by what the registry served.
        for (repository, digest) in &image.origins {
            let reference = format!("{repository}@{digest}").parse::<Reference>();
            names.digests.extend(reference.ok().filter(|new| !names.digests.contains(new)));
        }
        // Docker's order, which does not depend on what was pulled when.
        names.tags.sort_by_cached_key(Reference::canonical);
        names.digests.sort_by_cached_key(ToString::to_string);
        names
    }

    /// Only those that `keep` says yes to.
    #[must_use]
    pub fn filtered(mut self, keep: impl Fn(&Reference) -> bool) -> Self {
        self.tags.retain(&keep);
        self.digests.retain(&keep);
        self
    }

    /// Docker's rows.
    pub fn rows(&self, image: usize, with_digests: bool) -> Vec<ImageRow> {
        if self.tags.is_empty() && self.digests.is_empty() {
            return vec![ImageRow::nameless(image)];
        }
        let mut rows = Vec::new();
        for tag in &self.tags {
            let same = self.digests.iter().filter(|digest| digest.name() == tag.name());
            let digests: Vec<String> =
                same.filter_map(|digest| digest.digest().map(ToString::to_string)).collect();
            if digests.is_empty() || !with_digests {
                rows.push(ImageRow::new(image, tag, tag.tag(), None));
                continue;
            }
            for digest in &digests {
                rows.push(ImageRow::new(image, tag, tag.tag(), Some(digest)));
            }
        }
        let untagged = |digest: &&Reference| !self.tags.iter().any(|t| t.name() == digest.name());
        for reference in self.digests.iter().filter(untagged) {
            let digest = reference.digest().map(ToString::to_string);
            let row = ImageRow::new(image, reference, None, digest.as_deref());
            if with_digests {
                rows.push(row);
            } else if !rows.iter().any(|other| other.repository == row.repository) {
                rows.push(ImageRow { digest: NONE.to_owned(), ..row });
            }
        }
        rows
    }
}

/// Sizes of layers and images, each layer looked up once.
#[derive(Debug, Default)]
pub struct Sizes {
    layers: HashMap<Digest, Option<u64>>,
}

impl Sizes {
    /// Bytes of a layer's entries; `None` when its table is not there.
    pub fn layer(&mut self, store: &Store, digest: &Digest) -> Option<u64> {
        *self.layers.entry(*digest).or_insert_with(|| {
            let file = store.open_derived(Derived::Toc, digest).ok()??;
            Some(Toc::open(file).ok()?.header().stored)
        })
    }

    /// Bytes of the entries of all layers; `None` when one is not known.
    pub fn image(&mut self, store: &Store, image: &StoredImage) -> Option<u64> {
        image.layers.iter().map(|layer| self.layer(store, &layer.digest)).sum()
    }

    /// The same for those layers that another image of `images` has too.
    pub fn shared(
        &mut self,
        store: &Store,
        image: &StoredImage,
        images: &[StoredImage],
    ) -> Option<u64> {
        let others = |digest: &Digest| {
            images
                .iter()
                .filter(|other| other.id != image.id)
                .any(|other| other.layers.iter().any(|layer| layer.digest == *digest))
        };
        let shared = image.layers.iter().filter(|layer| others(&layer.digest));
        shared.map(|layer| self.layer(store, &layer.digest)).sum()
    }
}

/// What a listing of images shows besides names.
#[derive(Debug)]
pub struct Facts {
    /// Bytes of the entries.
    pub size: Option<u64>,
    /// Of those, in layers that other images have too; not worked out when nobody asks.
    pub shared: Option<u64>,
    /// How many mounts show it.
    pub mounts: Option<usize>,
}

/// A row as a template sees it.
pub fn value(row: &ImageRow, image: &StoredImage, facts: &Facts, full_id: bool) -> Value {
    let now = Time::now();
    let time = created(image);
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "N/A".to_owned(), units::size);
    let unique = facts.size.zip(facts.shared).map(|(size, shared)| size - shared.min(size));
    let id = if full_id { image.id.to_string() } else { image.short_id() };
    Value::from(Struct::row(
        "image",
        vec![
            Field::new("ID", id),
            Field::new("Repository", row.repository.as_str()),
            Field::new("Tag", row.tag.as_str()),
            Field::new("Digest", row.digest.as_str()),
            Field::new("CreatedSince", time.ago(now)),
            Field::new("CreatedAt", time.local()),
            Field::new("Size", size(facts.size)),
            Field::new("SharedSize", size(facts.shared)),
            Field::new("UniqueSize", size(unique)),
            Field::new(
                "Containers",
                facts.mounts.map_or_else(|| "N/A".to_owned(), |count| count.to_string()),
            ),
        ],
    ))
}

/// The titles of the fields of [`value`].
pub const TITLES: [(&str, &str); 10] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

/// All whole images, newest first; of one age in the order of their names. What cannot be read is
/// said to `warn`.
pub fn images(store: &Store, mut warn: impl FnMut(String)) -> Result<Vec<StoredImage>, Error> {
    let images = store.images()?;
    for broken in &images.broken {
        let name = broken.names.first().cloned();
        let name = name.unwrap_or_else(|| broken.manifest.digest.to_string());
        warn(format!("shale: {name}: {}", crate::cli::error::chain(&broken.error)));
    }
    let mut whole = images.whole;
    whole.sort_by(|a, b| created(b).cmp(&created(a)).then_with(|| a.names.cmp(&b.names)));
    Ok(whole)
}
