//! Absolute `http:` and `https:` URLs, as much of them as talking to registries needs.
//!
//! An [`Origin`] (scheme, host and port) is who one talks to: credentials belong to an origin and
//! never leave it (GHSA-vh4v-2xq2-g5cg: another port is another origin). Showing a URL leaves its
//! query out, because the queries of storage servers are signatures that work like passwords.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

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
            || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Whether the host is an address (or a name for one) that is not in the public Internet. Names
    /// are not looked up: a registry of a company may well have private addresses.
    pub(super) fn is_private(&self) -> bool {
        match self.address() {
            Some(address) => is_private(address),
            // The C library takes `127.1` and `0x7f000001` for addresses too.
            None => self.is_loopback() || ends_in_a_number(&self.host),
        }
    }

    /// Whether the host is an address that only the local link has.
    pub(super) fn is_link_local(&self) -> bool {
        match self.address() {
            Some(IpAddr::V4(v4)) => v4.is_link_local(),
            Some(IpAddr::V6(v6)) => v6.is_unicast_link_local(),
            None => false,
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(text) => text.parse().ok().map(|address: Ipv6Addr| {
                address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
            }),
            None => self.host.parse().ok().map(|address: Ipv4Addr| IpAddr::V4(address)),
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => {
            // 64:ff9b::/96 is IPv4 behind a translator.
            let translated = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            let [.., a, b, c, d] = v6.octets();
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || (translated && is_private(IpAddr::V4(Ipv4Addr::new(a, b, c, d))))
        }
    }
}

fn ends_in_a_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    !last.is_empty() && (last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x"))
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

    /// What `location`, found in an answer to this URL, stands for.
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlError> {
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
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn parts() {
        let parsed = url("HTTPS://Example.COM:443/a/b?c=d#e");
        assert_eq!(parsed.exact(), "https://example.com/a/b?c=d");
        assert_eq!(parsed.to_string(), "https://example.com/a/b?[...]", "no query is shown");
        assert_eq!(url("http://[::1]:5000").exact(), "http://[::1]:5000/");
        assert_eq!(url("http://h:80").origin(), url("http://H/x").origin());
        assert_ne!(url("http://h:81").origin(), url("http://h/").origin());
        assert_ne!(url("https://h:80").origin(), url("http://h/").origin());
    }

    #[test]
    fn what_is_no_url() {
        for text in [
            "",
            "/x",
            "h/x",
            "ftp://h/",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://u:p@h/",
            "http://u@h/",
            "http://h:0/",
            "http://h:99999/",
            "http://h:x/",
            "http://h /",
            "http://h/a b",
            "http://h/\n",
            "javascript:x",
            "http://[]/",
            "http:h",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn joining_locations() {
        let base = url("https://h:1/v2/a/blobs/x?old=1");
        for (location, joined) in [
            ("http://other/y", "http://other/y"),
            ("//other:2/y", "https://other:2/y"),
            ("/y?z=1", "https://h:1/y?z=1"),
            ("?z=1", "https://h:1/v2/a/blobs/x?z=1"),
            ("y", "https://h:1/v2/a/blobs/y"),
            ("y/a:b", "https://h:1/v2/a/blobs/y/a:b"),
        ] {
            assert_eq!(base.join(location).expect(location).exact(), joined);
        }
        for location in ["file:///x", "http://u:p@h/", "data:,x"] {
            assert!(base.join(location).is_err(), "{location}");
        }
    }

    #[test]
    fn loopback() {
        for (host, loopback) in [
            ("localhost", true),
            ("a.localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example", false),
            ("128.0.0.1", false),
            ("example", false),
            ("127.0.0.1.example", false),
        ] {
            assert_eq!(Origin::new(false, host).expect(host).is_loopback(), loopback, "{host}");
        }
    }

    #[test]
    fn private_addresses() {
        for host in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
            "[::]",
            "224.0.0.1",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "127.1",
            "2130706433",
            "0x7f.1",
            "localhost",
        ] {
            assert!(Origin::new(true, host).expect(host).is_private(), "{host}");
        }
        for host in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "example.com", "[2001:db8::1]", "a.b1"]
        {
            assert!(!Origin::new(true, host).expect(host).is_private(), "{host}");
        }
    }

    #[test]
    fn queries() {
        let asked = url("https://h/t").with_query("scope", "repository:a/b:pull");
        assert_eq!(asked.exact(), "https://h/t?scope=repository%3Aa%2Fb%3Apull");
        assert_eq!(
            url("https://h/t?x").with_query("a", "&=é").exact(),
            "https://h/t?x&a=%26%3D%C3%A9"
        );
    }
}
