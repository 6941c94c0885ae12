//! Between the kernel's FUSE protocol and [`crate::fs`]: mounting, and serving requests.
//!
//! - [`MountPoint`] says whether a directory can be mounted on, without asking a dead server.
//! - [`attach()`] mounts: mount(2) as root or in a user namespace, fusermount3 for a normal user.
//!   The result is a descriptor; dropping it before a [`Session`] serves makes the mount dead.
//! - [`replace()`] mounts in the place of a dead mount, without a moment between them.
//! - [`Session`] shakes hands with the kernel and serves requests on several threads.
//! - [`detach`] unmounts.
//!
//! Mounting is our own and not the FUSE crate's, for three reasons: that one unmounts a second
//! time what somebody else unmounted before (and so takes away what lay below), it lets a comma in
//! the source inject options, and it cannot set the type `fuse.shale`.

mod adapter;
mod ahead;
mod attach;
mod convert;
mod error;
mod helper;
mod linger;
mod mountpoint;
mod replace;
mod session;

pub use attach::{MountOptions, attach, detach};
pub use error::MountError;
pub use mountpoint::MountPoint;
pub use replace::replace;
pub use session::Session;

/// The type of every mount of this program, as the mount table shows it.
pub const FSTYPE: &str = "fuse.shale";

/// The part of [`FSTYPE`] after the dot.
const SUBTYPE: &str = "shale";
