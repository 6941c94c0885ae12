//! What `docker save` writes, old (`ID/layer.tar`) and new (`blobs/sha256/...`), as an image.
//!
//! Such an archive has a `manifest.json` that names a config and the layers' files, and no digests.
//! A manifest is made up for it: the layers are the files as they stand. The claimed digest of a
//! layer that is not compressed is its DiffID, that of one under `blobs/` is its name; only others
//! have to be hashed. A wrong claim does no harm, since nobody trusts a claim.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::archive::Archive;
use super::files::{Files, Slice, check, described};
use super::{Fetched, Options, Source, SourceError};
use crate::oci::{
    Algorithm, Compression, Config, Descriptor, DiffId, Digest, DocumentError, Hasher,
    ImageSelector, Reference, escaped,
};

const KIND: &str = "a docker archive";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// One image of a docker archive.
pub(super) struct DockerArchive {
    archive: Archive,
    tags: Vec<Reference>,
    root: Fetched,
    config: Vec<u8>,
    config_digest: Digest,
    layers: HashMap<Digest, Slice>,
}

/// One element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Opens the archive at `path`.
pub(super) fn open(
    path: &Path,
    image: &ImageSelector,
    options: &Options,
) -> Result<DockerArchive, SourceError> {
    let archive = Archive::open(path, KIND, options)?;
    let entries = entries(&archive, path)?;
    let entry = select(entries, image, &archive.place())?;
    DockerArchive::new(archive, path, &entry)
}

/// The images of the archive at `path`, with the names that they have.
pub(super) fn images(path: &Path, options: &Options) -> Result<Vec<Vec<Reference>>, SourceError> {
    let archive = Archive::open(path, KIND, options)?;
    Ok(entries(&archive, path)?.iter().map(Entry::references).collect())
}

impl Entry {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    fn references(&self) -> Vec<Reference> {
        self.tags().iter().filter_map(|tag| tag.parse().ok()).collect()
    }

    fn label(&self) -> String {
        match self.tags() {
            [] => self.config.trim_end_matches(".json").to_owned(),
            tags => tags.join(" "),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        let wanted = name.parse::<Reference>().map(|reference| reference.canonical());
        self.tags().iter().any(|tag| tag == name)
            || wanted.is_ok_and(|wanted| {
                self.references().iter().any(|reference| reference.canonical() == wanted)
            })
    }
}

fn not_a(path: &Path, reason: String) -> SourceError {
    SourceError::NotA { path: PathBuf::from(path), kind: KIND, reason }
}

fn entries(archive: &Archive, path: &Path) -> Result<Vec<Entry>, SourceError> {
    let Some(bytes) = archive.document("manifest.json")? else {
        let reason = if archive.open("index.json")?.is_some() {
            "it has no manifest.json; try oci-archive:"
        } else if archive.open("repositories")?.is_some() {
            "it has no manifest.json: too old, written by a Docker before 1.10"
        } else {
            "it has no manifest.json"
        };
        return Err(not_a(path, reason.to_owned()));
    };
    crate::oci::parse_json(&bytes).map_err(|error| not_a(path, format!("manifest.json: {error}")))
}

fn select(entries: Vec<Entry>, image: &ImageSelector, place: &str) -> Result<Entry, SourceError> {
    let available: Vec<String> = entries.iter().map(Entry::label).collect();
    let place = place.to_owned();
    let position = match image {
        ImageSelector::Only if entries.len() > 1 => {
            return Err(SourceError::SeveralImages { place, available });
        }
        ImageSelector::Only => Some(0),
        ImageSelector::Named(name) => entries.iter().position(|entry| entry.is_named(name)),
        ImageSelector::Position(position) => Some(*position),
    };
    let wanted = image.to_string().trim_start_matches(':').to_owned();
    position.and_then(|position| entries.into_iter().nth(position)).ok_or(SourceError::NoImage {
        place,
        wanted,
        available,
    })
}

impl DockerArchive {
    fn new(archive: Archive, path: &Path, entry: &Entry) -> Result<Self, SourceError> {
        let config = archive.document(&entry.config)?.ok_or_else(|| {
            not_a(path, format!("the config {} is missing", escaped(&entry.config)))
        })?;
        let document = |source: DocumentError| SourceError::Document {
            place: archive.place(),
            what: escaped(&entry.config).to_string(),
            source,
        };
        let parsed = Config::parse(&config).map_err(document)?;
        let names = entry.layers.as_deref().unwrap_or_default();
        let diff_ids = parsed.diff_ids(names.len()).map_err(document)?;
        let mut layers = HashMap::new();
        let mut rows = Vec::new();
        for (name, diff_id) in names.iter().zip(diff_ids) {
            let slice = archive
                .open(name)?
                .ok_or_else(|| not_a(path, format!("the layer {} is missing", escaped(name))))?;
            let io = |source| SourceError::Io { path: path.join(name), source };
            let descriptor = claim(name, &slice, diff_id).map_err(io)?;
            rows.push(row(&descriptor));
            layers.insert(descriptor.digest, slice);
        }
        let config_digest = Digest::sha256(&config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": row(&Descriptor::new(CONFIG, config_digest, config.len() as u64)),
            "layers": rows,
        });
        let root = described(MANIFEST, manifest.to_string().into_bytes());
        Ok(Self { tags: entry.references(), archive, root, config, config_digest, layers })
    }
}

/// A descriptor as it stands in a manifest.
fn row(descriptor: &Descriptor) -> Value {
    json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    })
}

/// What a layer's file is said to be.
fn claim(name: &str, slice: &Slice, diff_id: &DiffId) -> io::Result<Descriptor> {
    let media_type = match Compression::of(&slice.magic()?) {
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        // No media type says bzip2 or xz; readers go by the magic.
        _ => "application/vnd.oci.image.layer.v1.tar",
    };
    let by_name =
        name.strip_prefix("blobs/").and_then(|rest| rest.replacen('/', ":", 1).parse().ok());
    let digest = match (Compression::of(&slice.magic()?), by_name) {
        (Compression::None, _) => diff_id.0,
        (_, Some(digest)) => digest,
        (_, None) => hash(slice.reader(0))?,
    };
    Ok(Descriptor::new(media_type, digest, slice.size()))
}

fn hash(mut reader: impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

impl Source for DockerArchive {
    fn root(&self) -> Result<Fetched, SourceError> {
        Ok(self.root.clone())
    }

    fn root_digest(&self) -> Result<Option<Digest>, SourceError> {
        Ok(Some(self.root.descriptor.digest))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        let (place, digest) = (self.archive.place(), descriptor.digest);
        let bytes = if digest == self.config_digest {
            &self.config
        } else if digest == self.root.descriptor.digest {
            &self.root.bytes
        } else {
            return Err(SourceError::Missing { place, digest });
        };
        check(&place, descriptor, bytes)?;
        Ok(bytes.clone())
    }

    fn blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let (place, digest) = (self.archive.place(), descriptor.digest);
        let slice = self.layers.get(&digest).ok_or(SourceError::Missing { place, digest })?;
        Ok(Box::new(slice.reader(offset)))
    }

    fn names(&self) -> Vec<Reference> {
        self.tags.clone()
    }
}
