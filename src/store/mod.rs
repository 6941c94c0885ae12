//! The store: a valid OCI image layout plus what is derived from it. Knows digests, never tar.
//!
//! ```text
//! ROOT                     mode 0700, files 0600; 0755 and 0644 of one that others may read
//!   oci-layout index.json  an OCI image layout; one row a name
//!   blobs/ALG/HEX          documents and compressed layers, as the registry has them; OCI views of
//!                          manifests of Docker's
//!   toc/ tree/ content/ seekable/   derived: the blobs can rebuild them
//!   mounts/ID.json         live mounts
//!   ingest/                partial blobs by digest, temporaries, leases; each locked while in use
//!   quarantine/            what `verify --repair` took out
//!   format lock            version of this layout; the store's lock
//! ```
//!
//! **Guarantees.** Every visible file is absent or complete, whatever is killed when: a file is
//! written under another name, synced, checked and renamed, and directories are synced before
//! `index.json` says that an image is there. Nothing that a name, a running pull or a live mount
//! needs is removed. All changes go through the [`Disk`] seam.
//!
//! **Locks.** All are `flock`, so a dead process holds none. `lock` is held exclusively for the few
//! milliseconds of a change of `index.json` or a garbage collection, shared while a [`Lease`] is
//! written; readers lock the documents of their image ([`Hold`]); nobody waits for the network or another lock under it. A partial blob is locked by who
//! fetches it, and others wait for it; who holds one waits for nothing but the network.
//!
//! **Relies on** a file system with atomic rename and `flock`. **Does not** parse layers or tables
//! and does not fetch.

mod access;
mod blobs;
mod discard;
mod disk;
mod draft;
mod error;
mod gc;
mod hold;
mod image;
mod index;
mod ingest;
mod layout;
mod lease;
mod mount_id;
mod mounts;
mod quarantine;
mod reach;
mod remove;
mod repair;
mod run_dir;
mod same;
pub mod verify;
mod view;

pub use access::Readers;
pub use blobs::{BlobId, Derived, Key};
pub use disk::{Disk, RealDisk};
pub use draft::Draft;
pub use error::StoreError;
pub use gc::{ContentOf, Prune, Pruned, Removed};
pub use hold::Hold;
pub use image::{BrokenImage, Images, StoredImage, StoredLayer};
pub use index::NameRow;
pub use ingest::{BadBlob, Ingest, Partial, PartialReader};
pub use layout::{FORMAT, Store};
pub use lease::Lease;
pub use mount_id::{BadMountId, MountId};
pub use mounts::{Life, MountLock, MountRecord, Supervisor};
