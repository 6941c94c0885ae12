//! The tar walker: the uncompressed stream of a layer in, its entries out.
//!
//! It accepts what Go's `archive/tar` accepts, because docker, containerd and podman read layers
//! with it, and is stricter only where no file system could hold the result. It opens no path and
//! takes bounded memory whatever the stream says. What `.wh.` names, repeated names, links and
//! devices mean in an image is for the merge to say.
//!
//! From the bottom up: `number` and `path` read texts, `header` a block, `pax`, `xattr` and
//! `sparse` the extensions, `assemble` makes one entry of them, and `walker` goes along the stream.

mod assemble;
mod content;
mod error;
mod header;
mod number;
mod path;
mod pax;
mod sparse;
mod walker;
mod xattr;

pub use error::{Fault, TarError};
pub use walker::Walker;

use super::{Entry, Warning};

/// Where a [`Walker`] puts what it finds, in tar order.
pub trait Sink {
    /// The next entry, complete: its content hash is known.
    fn entry(&mut self, entry: Entry);

    /// Something odd about the entry that comes next, or about one that was skipped.
    fn warning(&mut self, warning: Warning);
}
