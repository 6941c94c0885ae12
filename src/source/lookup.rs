//! The seam for names: what a host's name stands for. Tests put names of their own behind it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

/// Resolves the names of hosts.
pub trait Lookup: Send + Sync + fmt::Debug {
    /// The addresses of `host` (a name, or an address in any spelling, without brackets), each with
    /// `port`.
    ///
    /// # Errors
    /// When there is no such name, or nobody to ask for it.
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
#[derive(Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}
