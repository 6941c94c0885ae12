//! The words of the OCI specifications, without I/O: digests, references, documents, platforms.
//!
//! What this module guarantees: a value that exists is well formed. A [`Digest`] has a known
//! algorithm and the right length, so its text is safe in a path; a [`Reference`] names one
//! registry and repository in one spelling; a [`Manifest`] or [`Config`] came from JSON within the
//! limits of `json`, and every digest and size in it was parsed, though nobody has yet compared
//! them with bytes. It opens no file and no connection, so every parser here can be fuzzed.

mod choice;
mod compression;
mod config;
mod descriptor;
mod digest;
mod document;
mod escape;
mod image_name;
mod json;
mod media_type;
mod platform;
mod reference;
mod translate;

pub use choice::{ChoiceError, LIST_DEPTH, choose};
pub use compression::Compression;
pub use config::{Config, History, RunConfig};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, ChainId, DiffId, Digest, DigestError, Hasher};
pub use document::{Document, DocumentError, Index, Layer, Manifest};
pub use escape::escaped;
pub use image_name::{ImageName, ImageNameError, ImageSelector};
pub use json::{JSON_DEPTH, JSON_LIMIT, JsonError};
pub(crate) use json::{null_as_default, object as parse_object, parse as parse_json};
pub(crate) use media_type::is_docker_manifest;
pub use media_type::{ACCEPTED_DOCUMENTS, DocumentKind, LayerType};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use translate::OciManifest;
