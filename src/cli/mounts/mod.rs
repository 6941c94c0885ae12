//! Commands about mounts: `mount`, `umount`, `mounts`, `stats`, `chroot`.
//!
//! `mount` finds or fetches the image and hands it to [`crate::mount`]; [`options`] reads the words
//! of `-o`, and [`helper`] is the same command under the name by which mount(8) calls it.

pub mod chroot;
mod env_file;
pub mod helper;
pub mod mount;
#[allow(clippy::module_inception)] // a command is in the file of its name
pub mod mounts;
pub mod options;
pub mod stats;
pub mod umount;
