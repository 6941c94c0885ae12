//! Shale: any container image as a directory.
//!
//! The way of the data, with the type at each step:
//!
//! ```text
//! argv --cli--> Reference            debian:12 | ghcr.io/x/y@sha256:.. | oci:DIR:TAG | docker-archive:FILE
//! Reference --source--> Descriptor   a claim: media type, digest, size
//! Descriptor --source--> bytes       an untrusted stream
//! bytes --store--> BlobId            exists only once size and digest matched
//! manifest + config --oci--> Image   layers and their DiffIds
//! blob stream --layer--> Toc          one pass: DiffId checked, entries, spans with checkpoints
//! Tocs --tree--> ImageTree           whiteouts resolved, hard links joined; immutable, mapped
//! FUSE request --fuse--> fs          inode = row; pure lookups in the ImageTree
//! read(row, range) --content--> bytes  span cache -> checkpoint -> inflate -> digest check
//! ```
//!
//! Invariants: a module uses only those listed before it here; nothing before `fuse` names a type of
//! the FUSE crate; only `sys` is unsafe; only `cli` prints; only `main` exits; bytes from outside
//! become an object only after their digest matched, and can never cause a panic. `tests/tidy.rs`
//! checks what a machine can check of these.

#[allow(unsafe_code)]
pub mod sys;

pub mod limits;

pub mod template;

pub mod oci;

pub mod codec;

pub mod store;

pub mod source;

pub mod layer;

pub mod tree;

pub mod content;

pub mod fs;

pub mod fuse;

pub mod pull;

pub mod archive;

pub mod browse;

pub mod mount;

pub mod chroot;

pub mod cli;
