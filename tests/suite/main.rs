//! All tests of the library and of the program from outside, in one binary, so that a change links once.
//!
//! A room a part of Shale; `support` is what they share. `tests/tidy.rs` is a binary of its own: it uses
//! no part of Shale and answers while the rest still compiles.

mod advisories;
mod chroot;
mod cli;
mod concurrent;
mod content;
mod figures;
mod files;
mod fs_answers;
mod fs_xattrs;
mod hostile;
mod layer;
mod mount;
mod odd;
mod pull;
mod real_tools;
mod scale;
mod secrets;
mod source;
mod span;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod tar_walker;
mod union;
