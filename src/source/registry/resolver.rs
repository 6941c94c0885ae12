//! Names are resolved here, and every address is judged before the HTTP client gets it: what was
//! judged is what is connected to.
//!
//! Of several addresses those that may not be reached are left out; when none is left, that is an
//! error. A host that the user named may be anywhere, but one that was public when it was first
//! looked up stays so: its name server cannot lead later requests into the private network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock, mpsc};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, ProxyProtocol, Timeout};

use super::address::{Reach, Zone, zone};
use super::patience;
use crate::source::{Clock, Lookup};

/// As many as the HTTP client takes.
const ADDRESSES: usize = 16;

/// Resolves names for one set of connections.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    reach: Reach,
    /// Whether the first answer was public throughout.
    public: Arc<OnceLock<bool>>,
    lookup: Arc<dyn Lookup>,
    clock: Arc<dyn Clock>,
}

/// An address that a request may not go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forbidden {
    address: IpAddr,
    zone: Zone,
    why: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is at {}, {}{}", self.address, self.zone, self.why)
    }
}

impl std::error::Error for Forbidden {}

impl Judge {
    pub(super) fn new(reach: Reach, lookup: Arc<dyn Lookup>, clock: Arc<dyn Clock>) -> Self {
        Self { reach, public: Arc::default(), lookup, clock }
    }

    /// Looks up a name within the time that there is.
    fn look_up(
        &self,
        host: String,
        port: u16,
        timeout: NextTimeout,
    ) -> Result<Vec<SocketAddr>, Error> {
        let left = patience::left(self.clock.as_ref());
        let patience = left.map_or(*timeout.after, |left| left.min(*timeout.after));
        let (send, receive) = mpsc::sync_channel(1);
        let lookup = Arc::clone(&self.lookup);
        // A name server that keeps silent cannot be interrupted; the thread ends with its answer.
        std::thread::spawn(move || send.send(lookup.lookup(&host, port)).ok());
        match receive.recv_timeout(patience) {
            Ok(found) => Ok(found?),
            Err(_) => Err(Error::Timeout(Timeout::Resolve)),
        }
    }

    /// The addresses that may be connected to, or why the first may not.
    fn judge(&self, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, Forbidden> {
        let is_public = |one: &SocketAddr| zone(one.ip()) == Zone::Public;
        let was_public =
            self.reach == Reach::Named && *self.public.get_or_init(|| found.iter().all(is_public));
        let forbidden = |one: &SocketAddr| {
            let (address, zone) = (one.ip(), zone(one.ip()));
            let why = match self.reach.refusal(zone) {
                None if was_public && zone != Zone::Public => ", and it was at a public one before",
                other => other?,
            };
            Some(Forbidden { address, zone, why })
        };
        let allowed = found.iter().filter(|one| forbidden(one).is_none());
        let allowed: Vec<SocketAddr> = allowed.copied().collect();
        match found.iter().find_map(forbidden) {
            Some(forbidden) if allowed.is_empty() => Err(forbidden),
            _ => Ok(allowed),
        }
    }
}

impl Resolver for Judge {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => 1080,
        };
        let port = uri.port_u16().unwrap_or(default);
        let found = self.look_up(host, port, timeout)?;
        let judged = if is_proxy(uri, config) {
            found
        } else {
            self.judge(&found).map_err(std::io::Error::other)?
        };
        let mut addresses = self.empty();
        judged.into_iter().take(ADDRESSES).for_each(|address| addresses.push(address));
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Whether it is the user's proxy that is looked up. For one that is spoken HTTP with, nothing else
/// is; the others have schemes of their own.
fn is_proxy(uri: &Uri, config: &Config) -> bool {
    config.proxy().is_some_and(|proxy| {
        matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
            || !matches!(uri.scheme_str(), Some("http" | "https"))
    })
}
