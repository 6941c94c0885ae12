//! Registries (OCI distribution-spec), read only.
//!
//! ```text
//! RegistryImage   one reference: root, documents, blobs          (Source)
//! Registry        one registry: manifests, blobs, tags, catalog
//! blob            a stream that resumes          list, hub   pages of names, search
//! client          which host, retries    redirect, verdict   where to, and what it means
//! auth            Basic and Bearer     credentials, helper   whose
//! hosts, trust, proxy, url             http      one request
//! connection      waits with an end    resolver, address     to which addresses
//! ```
//!
//! Invariants: credentials and headers from files go to the origin that they are for and nowhere
//! else; nothing is sent to an address that was not judged; no request without a bound on time, on tries and on the size of what is kept of the
//! answer; nothing that a registry says reaches a message unescaped; a URL is shown without its
//! query; what was asked for by digest has that digest or is an error.

mod address;
mod auth;
mod blob;
mod challenge;
mod client;
mod connection;
mod credentials;
mod error;
mod helper;
mod hosts;
mod http;
mod hub;
mod list;
mod patience;
mod proxy;
mod range;
mod redirect;
mod resolver;
mod retry;
mod trust;
mod url;
mod verdict;

use std::io::Read;
use std::sync::Arc;

pub use challenge::{Challenge, parse_challenges};
pub use credentials::{is_for, keeper, key};
pub use error::{Fault, RegistryError};
pub use helper::{Helper, HelperError};
pub use hub::{Found, SEARCH_LIMIT, search};
pub use list::next_link;
pub use range::ContentRange;
pub use redirect::REDIRECTS;
pub use retry::{LONGEST_WAIT, STALLS, TRIES};
pub use url::UrlError;

use self::blob::{BlobReader, Route};
use self::client::{Client, Question};
use self::http::{Answer, Ask};
use self::url::Url;
use self::verdict::instead;
use super::{Fetched, Mismatch, Options, Secret, Source, SourceError};
use crate::oci::{
    ACCEPTED_DOCUMENTS, Descriptor, Digest, Document, DocumentKind, JSON_LIMIT, LayerType,
    Reference,
};

/// One registry.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Arc<Client>,
}

impl Registry {
    /// The registry of a name as references have it (`docker.io`, `127.0.0.1:5000`). Asks nothing.
    ///
    /// # Errors
    /// When the name is no host, or its hosts file or certificates are broken.
    pub fn new(name: &str, options: &Options) -> Result<Self, RegistryError> {
        Ok(Self { client: Arc::new(Client::new(name, options)?) })
    }

    /// All tags of a repository, in the registry's order.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        list::tags(&self.client, repository)
    }

    /// All repositories that the registry lists, in its order. Many registries list none.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn catalog(&self) -> Result<Vec<String>, RegistryError> {
        list::catalog(&self.client)
    }

    /// Asks whether the registry lets us in with the credentials that are on file.
    ///
    /// # Errors
    /// When it does not, or cannot be reached.
    pub fn check_access(&self) -> Result<(), RegistryError> {
        let question = Question {
            path: "/".to_owned(),
            repository: String::new(),
            scope: String::new(),
            what: self.client.registry().to_owned(),
            resolve: false,
            ask: Ask::default(),
        };
        let (answer, bytes) = self.client.ask(&question, JSON_LIMIT)?;
        let url = answer.url.to_string();
        instead(&answer, &bytes).map_or(Ok(()), |reason| Err(RegistryError::Body { url, reason }))
    }

    fn question(&self, repository: &str, path: &str, what: String, ask: Ask) -> Question {
        Question {
            path: format!("/{repository}/{path}"),
            repository: repository.to_owned(),
            scope: format!("repository:{repository}:pull"),
            what,
            resolve: false,
            ask,
        }
    }

    fn manifest(
        &self,
        repository: &str,
        key: &str,
        pinned: Option<&Digest>,
        what: String,
    ) -> Result<Fetched, RegistryError> {
        let ask = Ask { accept: ACCEPTED_DOCUMENTS.to_vec(), ..Ask::default() };
        let path = format!("manifests/{key}");
        let resolve = pinned.is_none();
        let question = Question { resolve, ..self.question(repository, &path, what, ask) };
        let (answer, bytes) = self.client.ask(&question, JSON_LIMIT)?;
        check_whole(&answer)?;
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        let stated = content_digest(&answer);
        let parsed = Document::parse(&bytes, &media_type);
        if let (Err(_), Some(reason)) = (&parsed, instead(&answer, &bytes)) {
            return Err(RegistryError::Body { url: answer.url.to_string(), reason });
        }
        let place = answer.url.to_string();
        for expected in [pinned.copied(), stated].into_iter().flatten() {
            let found = Digest::of(expected.algorithm(), &bytes);
            if found != expected {
                return Err(Box::new(Mismatch::Content { place, expected, found }).into());
            }
        }
        let digest = pinned.copied().or(stated).unwrap_or_else(|| Digest::sha256(&bytes));
        // The header may say nothing, or more than the type. What cannot be parsed keeps it, for
        // whoever parses it to say what is wrong.
        let media_type = parsed.as_ref().map_or(media_type.as_str(), Document::media_type);
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(Fetched { descriptor, bytes })
    }
}

/// `Docker-Content-Digest`, when it is one that can be checked.
fn content_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

/// Checks that an answer to a question without a range is the whole thing.
fn check_whole(answer: &Answer) -> Result<(), RegistryError> {
    if answer.status == 200 {
        return Ok(());
    }
    let reason = format!("HTTP {} to a request for a whole document", answer.status);
    Err(RegistryError::Body { url: answer.url.to_string(), reason })
}

/// One image of a registry.
#[derive(Debug)]
pub struct RegistryImage {
    registry: Registry,
    reference: Reference,
}

impl RegistryImage {
    /// The image that `reference` names. Asks nothing.
    ///
    /// # Errors
    /// When the registry's configuration is broken.
    pub fn new(reference: &Reference, options: &Options) -> Result<Self, RegistryError> {
        let registry = Registry::new(reference.registry(), options)?;
        Ok(Self { registry, reference: reference.clone() })
    }

    fn what(&self) -> String {
        self.reference.familiar()
    }

    /// A small blob that is no manifest.
    fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let path = format!("blobs/{}", descriptor.digest);
        let what = format!("{} of {}", descriptor.digest, self.what());
        let ask = Ask::default();
        let question = self.registry.question(self.reference.repository(), &path, what, ask);
        let (answer, bytes) = self.registry.client.ask(&question, JSON_LIMIT)?;
        check_whole(&answer)?;
        Ok(bytes)
    }
}

impl Source for RegistryImage {
    fn root(&self) -> Result<Fetched, SourceError> {
        let key = self.reference.manifest_key();
        let (repository, pinned) = (self.reference.repository(), self.reference.digest());
        Ok(self.registry.manifest(repository, &key, pinned, self.what())?)
    }

    fn root_digest(&self) -> Result<Option<Digest>, SourceError> {
        if let Some(digest) = self.reference.digest() {
            return Ok(Some(*digest));
        }
        let path = format!("manifests/{}", self.reference.manifest_key());
        let ask = Ask { accept: ACCEPTED_DOCUMENTS.to_vec(), head: true, ..Ask::default() };
        let question = Question {
            resolve: true,
            ..self.registry.question(self.reference.repository(), &path, self.what(), ask)
        };
        Ok(content_digest(&self.registry.client.ask(&question, 0)?.0))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        let place = self.what();
        if descriptor.size > JSON_LIMIT {
            let (what, size, limit) = (descriptor.digest.to_string(), descriptor.size, JSON_LIMIT);
            return Err(SourceError::TooLarge { place, what, size, limit });
        }
        let bytes = match DocumentKind::of(&descriptor.media_type) {
            Some(_) => {
                let (repository, digest) = (self.reference.repository(), &descriptor.digest);
                let what = format!("{digest} of {place}");
                self.registry.manifest(repository, &digest.to_string(), Some(digest), what)?.bytes
            }
            None => self.small_blob(descriptor)?,
        };
        super::files::check(&place, descriptor, &bytes)?;
        Ok(bytes)
    }

    fn blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let Descriptor { digest, size, .. } = *descriptor;
        let foreign = LayerType::of(&descriptor.media_type).is_some_and(|layer| layer.foreign);
        let route = if foreign && !descriptor.urls.is_empty() {
            if !self.registry.client.options.foreign_layers {
                return Err(SourceError::ForeignLayer(digest));
            }
            Route::Foreign(descriptor.urls.iter().filter_map(|url| Url::parse(url).ok()).collect())
        } else {
            let what = format!("{digest} of {}", self.what());
            let path = format!("blobs/{digest}");
            let repository = self.reference.repository();
            Route::Registry(self.registry.question(repository, &path, what, Ask::default()))
        };
        let client = Arc::clone(&self.registry.client);
        Ok(Box::new(BlobReader::open(client, route, digest, size, offset)?))
    }

    fn names(&self) -> Vec<Reference> {
        vec![self.reference.clone()]
    }
}
