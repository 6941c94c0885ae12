//! Why mounting, unmounting or listing failed.

use std::io;
use std::path::PathBuf;

use crate::fuse::MountError;
use crate::pull::PullError;
use crate::store::StoreError;
use crate::sys::limits::TooLow;

/// A failed command on mounts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place cannot be mounted on, or the kernel refused.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image's tables are missing and cannot be made again.
    #[error(transparent)]
    Tables(#[from] PullError),
    /// The caller's limits leave too little to serve.
    #[error(transparent)]
    Limits(#[from] TooLow),
    /// No mount shows that image.
    #[error("{image}: not mounted")]
    ImageNotMounted {
        /// The reference.
        image: String,
    },
    /// A process for the server cannot be made.
    #[error("cannot start the server: {0}")]
    Fork(#[source] io::Error),
    /// Something of the sandbox is missing that was insisted on.
    #[error("the sandbox of the server is not complete; missing: {missing}")]
    NoSandbox {
        /// Its parts.
        missing: String,
    },
    /// The server ended before it was ready.
    #[error("the server could not start: {message}")]
    Server {
        /// What it said.
        message: String,
    },
    /// The server neither began to serve nor ended.
    #[error("the server does not start; after {seconds} seconds it was ended")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// A mount that somebody else's process keeps, in another mount namespace.
    #[error(
        "{}: mounted in another mount namespace by process {pid}, which does not unmount it",
        path.display()
    )]
    Elsewhere {
        /// The mount point there.
        path: PathBuf,
        /// The server.
        pid: u32,
    },
    /// The kernel and the server did not agree.
    #[error("{}: the kernel ended the connection: {source}", path.display())]
    Connection {
        /// The mount point.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It is mounted but its root cannot be looked at.
    #[error("{}: mounted, but it does not answer: {source}", path.display())]
    NoAnswer {
        /// The mount point.
        path: PathBuf,
        /// What looking at it said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Mount(error) => error.hint(),
            Self::ImageNotMounted { .. } => Some("`shale mounts` lists what is mounted"),
            Self::NoSandbox { .. } => Some(
                "without --require-sandbox the server does without; `shale info` says what is there",
            ),
            Self::Elsewhere { .. } => {
                Some("enter that namespace, `nsenter -t PID -m`, and unmount it there")
            }
            Self::Slow { .. } => Some("see what it waits for with `shale -v mount --foreground`"),
            Self::Store(_)
            | Self::Limits(_)
            | Self::Tables(_)
            | Self::Fork(_)
            | Self::Server { .. }
            | Self::Connection { .. }
            | Self::NoAnswer { .. } => None,
        }
    }
}
