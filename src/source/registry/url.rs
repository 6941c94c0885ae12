//! Absolute `http:` and `https:` URLs, as much of them as talking to registries needs.
//!
//! An [`Origin`] (scheme, host and port) is who one talks to: credentials belong to an origin and
//! never leave it (GHSA-vh4v-2xq2-g5cg: another port is another origin). Showing a URL leaves its
//! query out, because the queries of storage servers are signatures that work like passwords.

use std::fmt;

use ureq::http::Uri;

use super::address::{Reach, Zone, ends_in_a_number, spelled, spelled_plainly, zone};

/// Who is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// https, and not http.
    pub(super) secure: bool,
    /// A name in lower case, or an address; IPv6 in brackets.
    pub(super) host: String,
    /// Always there, given or not.
    pub(super) port: u16,
}

/// A URL without a fragment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    origin: Origin,
    /// Begins with `/`.
    path: String,
    /// Without the `?`.
    query: Option<String>,
}

/// Why a text is no URL that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Bad characters, no host, a bad port.
    #[error("not a URL")]
    Malformed,
    /// Neither http nor https.
    #[error("neither http nor https")]
    Scheme,
    /// `user:password@` in front of the host.
    #[error("it has a user name or password in it")]
    UserInfo,
}

impl Origin {
    /// Parses `HOST[:PORT]`.
    pub(super) fn new(secure: bool, host: &str) -> Result<Self, UrlError> {
        let scheme = if secure { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}/")).map(|url| url.origin)
    }

    /// The same host over http or https.
    pub(super) fn with_secure(&self, secure: bool) -> Self {
        Self { secure, ..self.clone() }
    }

    /// `HOST[:PORT]`, without a port that says nothing.
    pub(super) fn authority(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether only this machine can answer.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || spelled_plainly(&self.host)
                .is_some_and(|address| zone(address) == Zone::Loopback && !address.is_unspecified())
    }

    /// Where the host is, as far as its spelling says: addresses in every form that the C library
    /// takes for one, and names of this machine. Names are for the resolver to judge.
    pub(super) fn zone(&self) -> Option<Zone> {
        match spelled(&self.host) {
            Some(address) => Some(zone(address)),
            None if self.is_loopback() => Some(Zone::Loopback),
            // No name of the Internet ends in a number, and nobody can tell what this one is.
            None if ends_in_a_number(&self.host) => Some(Zone::Reserved),
            None => None,
        }
    }

    /// Where a registry at this origin may send us. `private` is the user's word that it is in a
    /// private network: a name alone does not prove that.
    pub(super) fn reach(&self, private: bool) -> Reach {
        match self.zone() {
            Some(Zone::Loopback) => Reach::ThisMachine,
            Some(Zone::Private | Zone::LinkLocal) => Reach::Neighbours,
            Some(Zone::Public | Zone::Reserved) | None if private => Reach::Neighbours,
            Some(Zone::Public | Zone::Reserved) | None => Reach::Public,
        }
    }

    /// Why a request within `reach` does not go here, as far as the spelling says.
    pub(super) fn refusal(&self, reach: Reach) -> Option<String> {
        let zone = self.zone()?;
        reach.refusal(zone).map(|advice| format!("it is {zone}{advice}"))
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl Url {
    /// Parses an absolute URL.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Malformed),
        };
        let authority = uri.authority().ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host().to_ascii_lowercase();
        let after_host = authority.as_str().get(host.len()..).unwrap_or_default();
        let port = match after_host.strip_prefix(':') {
            None | Some("") => default_port(secure),
            Some(port) => port.parse().map_err(|_| UrlError::Malformed)?,
        };
        if host.is_empty() || host == "[]" || port == 0 {
            return Err(UrlError::Malformed);
        }
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        Ok(Self {
            origin: Origin { secure, host, port },
            path: path.to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// `path` (which begins with `/` and may have a query) at `origin`.
    pub(super) fn at(origin: &Origin, path: &str) -> Result<Self, UrlError> {
        let scheme = if origin.secure { "https" } else { "http" };
        Self::parse(&format!("{scheme}://{}:{}{path}", origin.host, origin.port))
    }

    /// What `location`, found in an answer to this URL, stands for (RFC 3986, section 5.2).
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlError> {
        if location.is_empty() {
            return Err(UrlError::Empty);
        }
        self.resolved(location).map(Self::without_dot_segments)
    }

    fn resolved(&self, location: &str) -> Result<Self, UrlError> {
        let scheme = if self.origin.secure { "https" } else { "http" };
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        if before_path.contains(':') {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        if location.starts_with('/') {
            return Self::at(&self.origin, location);
        }
        if location.starts_with('?') {
            return Self::at(&self.origin, &format!("{}{location}", self.path));
        }
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::at(&self.origin, &format!("{folder}/{location}"))
    }

    /// Without `.` and `..` in the path (RFC 3986, section 5.2.4).
    fn without_dot_segments(mut self) -> Self {
        let mut kept: Vec<&str> = Vec::new();
        let mut segments = self.path.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            match segment {
                "." => {}
                ".." => {
                    kept.pop();
                }
                other => {
                    kept.push(other);
                    continue;
                }
            }
            // What a dot at the end leaves is a folder.
            if last {
                kept.push("");
            }
        }
        self.path = format!("/{}", kept.join("/"));
        self
    }

    /// With one more `key=value` in the query, percent-encoded.
    #[must_use]
    pub(super) fn with_query(mut self, key: &str, value: &str) -> Self {
        let pair = format!("{key}={}", percent(value));
        self.query = Some(match self.query {
            Some(query) if !query.is_empty() => format!("{query}&{pair}"),
            _ => pair,
        });
        self
    }

    /// Who is asked.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path, which begins with `/`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The query, to be sent and not to be shown.
    pub(super) fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// All of it, to be sent and not to be shown.
    pub(super) fn exact(&self) -> String {
        let scheme = if self.origin.secure { "https" } else { "http" };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{}{}{query}", self.origin.authority(), self.path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.path)?;
        self.query.as_ref().map_or(Ok(()), |_| f.write_str("?[...]"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

/// Percent-encodes everything but unreserved characters.
pub(super) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests;
