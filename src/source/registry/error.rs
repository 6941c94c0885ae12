//! What can go wrong between here and a registry's bytes.

use std::path::PathBuf;
use std::time::Duration;

use super::retry::{PROGRESS_TIME, STEADY_BYTES};
use super::url::UrlError;
use crate::oci::escaped;
use crate::source::error::Mismatch;

/// Why a registry did not deliver. One line each; text from the registry is escaped, URLs are shown
/// without their queries, and no variant holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry's name cannot be a host.
    #[error("{0:?} is no host")]
    Host(String),
    /// A host, certificate or credential file that cannot be used.
    #[error("{}: {reason}", escaped(&path.display().to_string()))]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy that cannot be used.
    #[error("the proxy for {scheme} cannot be used: {reason}")]
    Proxy {
        /// http or https.
        scheme: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("{url}: {}{fault}", through(proxy.as_deref()))]
    Transport {
        /// What was asked, without its query.
        url: String,
        /// Host and port of the proxy that it went through.
        proxy: Option<String>,
        /// How it failed.
        fault: Fault,
    },
    /// An answer that is an error.
    #[error("{url}: {}", answer(*status, message))]
    Status {
        /// What was asked, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own code and message, escaped.
        message: String,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// Storage that a registry redirects to refuses: a signed URL that ran out.
    #[error("{url}: the registry's storage refused (HTTP {status})")]
    Storage {
        /// What was asked, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The registry has no such thing.
    #[error("{what} not found: {message}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// The registry's own code and message, escaped.
        message: String,
    },
    /// The registry does not let us in.
    #[error("no access to {what}: {message}")]
    Unauthorized {
        /// What was asked for.
        what: String,
        /// Why.
        message: String,
    },
    /// Docker Hub does not tell the two apart.
    #[error("{what}: not found or no access")]
    NotFoundOrNoAccess {
        /// What was asked for.
        what: String,
    },
    /// A host whose addresses are not connected to.
    #[error("{url}: not asked: {reason}")]
    Address {
        /// What was to be asked, without its query.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Credentials that would go to another machine without TLS.
    #[error("{to}: asks for credentials, and over http anybody on the way could read them")]
    PlainCredentials {
        /// Who asks.
        to: String,
    },
    /// A redirect that is not followed.
    #[error("{from}: the redirect to {to} is not followed: {reason}")]
    Redirect {
        /// What was asked, without its query.
        from: String,
        /// Where to, without its query.
        to: String,
        /// Why not.
        reason: String,
    },
    /// A token server that is not asked.
    #[error("{registry}: the token server {realm} is not asked: {reason}")]
    Realm {
        /// Who named it.
        registry: String,
        /// It, without its query.
        realm: String,
        /// Why not.
        reason: String,
    },
    /// A token server's answer that is no token.
    #[error("{realm}: {reason}")]
    Token {
        /// Who was asked, without its query.
        realm: String,
        /// What is wrong.
        reason: String,
    },
    /// A 401 without a challenge that can be answered.
    #[error("{registry}: asks for authentication in no way that is known here ({schemes})")]
    Challenge {
        /// Who.
        registry: String,
        /// The schemes that it named, escaped.
        schemes: String,
    },
    /// A body that is cut off, too large, or not what belongs there.
    #[error("{url}: {reason}")]
    Body {
        /// What was asked, without its query.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Bytes that are not what their digest or size claims, or the registry says of them.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// A `Content-Range` that does not answer the question.
    #[error("{url}: Content-Range {found:?} does not answer the request for bytes from {offset}")]
    Range {
        /// What was asked, without its query.
        url: String,
        /// As came.
        found: String,
        /// What was asked for.
        offset: u64,
    },
    /// Too many failures one after another.
    #[error("gave up after {tries} tries: {last}")]
    GaveUp {
        /// How many.
        tries: u32,
        /// The last one.
        last: Box<RegistryError>,
    },
    /// No configured host has the capability that is needed.
    #[error("{registry}: no host in its hosts.toml may be asked to {capability}")]
    NoHost {
        /// Whose hosts.
        registry: String,
        /// `pull` or `resolve`.
        capability: &'static str,
    },
}

/// How a connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// No such name, or nobody to ask for it.
    #[error("the host's name cannot be looked up: {0}")]
    Lookup(String),
    /// Nothing came in time.
    #[error("timed out ({0})")]
    TimedOut(String),
    /// Some bytes came, but far too slowly.
    #[error("stalled: fewer than {least} bytes in {seconds} s")]
    Stalled {
        /// What would have been enough.
        least: u64,
        /// In this time.
        seconds: u64,
    },
    /// No trust.
    #[error("TLS: {0}")]
    Tls(String),
    /// Not HTTP.
    #[error("not HTTP: {0}")]
    Protocol(String),
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// The body ended before its end.
    #[error("the connection ended after {have} of {size} bytes")]
    CutOff {
        /// What came.
        have: u64,
        /// What should have come.
        size: u64,
    },
}

impl Fault {
    /// What a connection is ended for that brings too little.
    pub(super) fn stalled() -> Self {
        Self::Stalled { least: STEADY_BYTES, seconds: PROGRESS_TIME.as_secs() }
    }

    /// Whether another try may go better.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused | Self::Lookup(_) | Self::Tls(_) | Self::Protocol(_) => false,
            Self::TimedOut(_) | Self::Stalled { .. } | Self::Broken(_) | Self::CutOff { .. } => {
                true
            }
        }
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!("through the proxy {proxy}: ")).unwrap_or_default()
}

fn answer(status: u16, message: &str) -> String {
    let meaning = match status {
        403 => "denied",
        429 => "too many requests",
        500.. => "server error",
        _ => "refused",
    };
    format!("{meaning} (HTTP {status}): {message}")
}

impl RegistryError {
    /// See [`super::super::SourceError::is_mismatch`].
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Mismatch(_) => true,
            Self::GaveUp { last, .. } => last.is_mismatch(),
            _ => false,
        }
    }

    /// See [`super::super::SourceError::is_not_found`].
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotFoundOrNoAccess { .. })
    }

    /// Whether another try may go better.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Transport { fault, .. } => fault.is_passing(),
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            Self::Storage { .. } => true,
            _ => false,
        }
    }

    /// Whether somebody kept us waiting.
    pub(super) fn is_stall(&self) -> bool {
        let stalls = |fault: &Fault| matches!(fault, Fault::TimedOut(_) | Fault::Stalled { .. });
        matches!(self, Self::Transport { fault, .. } if stalls(fault))
    }

    /// What the registry asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A location that is no URL.
    pub(super) fn bad_location(from: &str, text: &str, error: UrlError) -> Self {
        Self::Redirect { from: from.to_owned(), to: beginning(text), reason: error.to_string() }
    }
}

/// The beginning of what should be a URL and is none. It may hold a secret anywhere, so neither a
/// query nor anything with a user name is shown.
pub(super) fn beginning(text: &str) -> String {
    let shown = if text.contains('@') { "[...]" } else { text };
    let start: String = shown.chars().take_while(|c| *c != '?').take(100).collect();
    format!("{:?}", escaped(&start).to_string())
}
