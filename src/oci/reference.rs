//! References, as `distribution/reference` reads them: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! ```text
//! REGISTRY    host ["." host]* or "[" IPv6 "]", then [":" port]
//! REPOSITORY  component ["/" component]*, lower case, at most 255 characters
//! component   [a-z0-9]+ ( "." | "_" | "__" | "-"+ between [a-z0-9]+ )*
//! TAG         [A-Za-z0-9_] then at most 127 of [A-Za-z0-9_.-]
//! ```
//!
//! Written by hand: the regular expression of the original costs 30 ms to compile. A [`Reference`]
//! has exactly one spelling of each part, defaults filled in: registry `docker.io`, `library/` for
//! its one-word repositories, tag `latest` when there is neither tag nor digest. With both, the
//! digest rules and the tag is only kept for showing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{Digest, DigestError};

/// The registry of a reference that names none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of a reference without tag and digest.
const DEFAULT_TAG: &str = "latest";
/// Where Docker Hub keeps repositories of one word.
const OFFICIAL: &str = "library/";
const REPOSITORY_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;

/// A well-formed reference with its defaults filled in. Two are equal when they name the same, the
/// tag given or not.
#[derive(Debug, Clone)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
    default_tag: bool,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing.
    #[error("the reference is empty")]
    Empty,
    /// 64 hexadecimal digits and nothing else.
    #[error("{0:?} is an image ID, not a reference: 64 hexadecimal digits cannot be a repository")]
    Id(String),
    /// Correct but for its case.
    #[error("{0:?} is not a reference: the repository must be lowercase")]
    Uppercase(String),
    /// More than 255 characters.
    #[error("the repository of {0:?} has more than {REPOSITORY_LIMIT} characters")]
    TooLong(String),
    /// A part is not what it must be.
    #[error("{text:?} is not a reference: bad {part}")]
    Malformed {
        /// All of it.
        text: String,
        /// `registry`, `repository` or `tag`.
        part: &'static str,
    },
    /// What follows `@` is no digest.
    #[error("{text:?} is not a reference: {source}")]
    Digest {
        /// All of it.
        text: String,
        /// Why.
        source: DigestError,
    },
}

impl Reference {
    /// `docker.io`, `ghcr.io`, `localhost:5000`: the registry's name, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in full: `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` for a reference by digest alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether the tag is `latest` because nobody gave one.
    pub fn is_default_tag(&self) -> bool {
        self.default_tag
    }

    /// The digest, which rules over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository: `docker.io/library/debian`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as Docker shows them: `debian`, `user/app`, `ghcr.io/x/y`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL) {
            // `docker.io/library/a/b` must not become `a/b`, which is something else.
            Some(word) if !word.contains('/') => word.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The short form: `debian:12`, `debian@sha256:...`, `ghcr.io/x/y:v1`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// What the store calls the image: in full, and with a digest without the tag, because nothing
    /// says that the tag ever was this digest.
    pub fn canonical(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name()),
            None => self.to_string(),
        }
    }

    /// What a registry's API takes for this image: the digest or else the tag.
    pub fn manifest_key(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.as_deref().unwrap_or(DEFAULT_TAG).to_owned(),
        }
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// When `tag` is not a tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            let text = format!("{}:{tag}", self.familiar_name());
            return Err(ReferenceError::Malformed { text, part: "tag" });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, default_tag: false, ..self.clone() })
    }

    /// The same repository by digest alone.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), default_tag: false, ..self.clone() }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl Reference {
    fn parts(&self) -> (&str, &str, Option<&str>, Option<&Digest>) {
        (&self.registry, &self.repository, self.tag(), self.digest())
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Reference {}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl fmt::Display for Reference {
    /// In full, with everything that was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Id(text.to_owned()));
        }
        let (named, digest) = split_digest(text)?;
        let (registry, rest) = split_registry(named);
        if !is_registry(registry) {
            return Err(malformed(text, "registry"));
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        check_path(text, path)?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(malformed(text, "tag"));
        }
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official { format!("{OFFICIAL}{path}") } else { path.to_owned() };
        let default_tag = tag.is_none() && digest.is_none();
        let tag = if default_tag { Some(DEFAULT_TAG) } else { tag };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
            default_tag,
        })
    }
}

fn malformed(text: &str, part: &'static str) -> ReferenceError {
    ReferenceError::Malformed { text: text.to_owned(), part }
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    let Some((named, digest)) = text.split_once('@') else { return Ok((text, None)) };
    match digest.parse() {
        Ok(digest) => Ok((named, Some(digest))),
        Err(source) => Err(ReferenceError::Digest { text: text.to_owned(), source }),
    }
}

/// The registry and what follows it. The first component is a registry when it looks like a host.
fn split_registry(named: &str) -> (&str, &str) {
    match named.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => {
            // The name that Docker Hub had once, still found in files.
            let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
            (registry, rest)
        }
        _ => (DEFAULT_REGISTRY, named),
    }
}

fn looks_like_host(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':'])
        || component.chars().any(|c| c.is_ascii_uppercase())
}

fn is_registry(text: &str) -> bool {
    let (is_host, tail) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, tail))) => (is_ipv6(address), tail),
        Some(None) => return false,
        None => {
            let (host, tail) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.split('.').all(is_host_label), tail)
        }
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && (tail.is_empty() || tail.strip_prefix(':').is_some_and(digits))
}

fn is_ipv6(address: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    !address.is_empty() && address.bytes().all(legal)
}

fn is_host_label(label: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty()
        && label.bytes().all(legal)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_path(text: &str, path: &str) -> Result<(), ReferenceError> {
    if path.len() > REPOSITORY_LIMIT {
        return Err(ReferenceError::TooLong(text.to_owned()));
    }
    if path.split('/').all(is_component) {
        return Ok(());
    }
    if path.to_ascii_lowercase().split('/').all(is_component) {
        return Err(ReferenceError::Uppercase(text.to_owned()));
    }
    Err(malformed(text, "repository"))
}

/// Lower-case words joined by one dot, one or two underscores, or any number of hyphens.
fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    word(*first)
        && word(*last)
        && bytes.split(|byte| word(*byte)).filter(|separator| !separator.is_empty()).all(
            |separator| {
                matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
            },
        )
}

fn is_tag(tag: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !tag.is_empty()
        && tag.len() <= TAG_LIMIT
        && tag.bytes().all(legal)
        && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests;
