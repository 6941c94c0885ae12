//! What every command has at hand: the output, the store, and how a user's text becomes an image.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cli::args::{Global, Shared};
use crate::cli::error::Error;
use crate::cli::error::suggest::explain;
use crate::cli::local;
use crate::cli::terminal::Output;
use crate::oci::{ImageName, Reference};
use crate::store::{Readers, Store, StoredImage};
use crate::sys::process;

/// The state of one command.
pub struct Context {
    /// Where output goes.
    pub out: Output,
    /// `-q`
    pub quiet: bool,
    /// `-v`, how often.
    pub verbose: u8,
    root: Option<PathBuf>,
    readers: Option<Readers>,
    store: Option<Store>,
}

impl Context {
    /// From the options of every command.
    pub fn new(global: &Global) -> Self {
        Self {
            out: Output::new(global.color, global.quiet),
            quiet: global.quiet,
            verbose: global.verbose,
            root: global.root.clone().or_else(root_of_environment),
            readers: global.shared.map(|shared| match shared {
                Shared::Group => Readers::Group,
                Shared::All => Readers::All,
                Shared::Nobody => Readers::Nobody,
            }),
            store: None,
        }
    }

    /// The store, opened at the first call and made when it is missing.
    pub fn store(&mut self) -> Result<Store, Error> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let root = self.root()?;
        let store = match self.readers {
            Some(readers) => Store::open_shared(&root, readers)?,
            None => Store::open(&root)?,
        };
        self.store = Some(store.clone());
        Ok(store)
    }

    /// The store, if there is one, also when what tells it from another directory is damaged:
    /// nothing is made.
    pub fn existing_store(&self) -> Result<Store, Error> {
        let root = self.root()?;
        if root.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(Error::failed(format!("{}: there is no store", root.display())));
        }
        Ok(Store::open_damaged(&root)?)
    }

    fn root(&self) -> Result<PathBuf, Error> {
        self.root.clone().or_else(default_root).ok_or_else(|| {
            Error::failed("store: neither $XDG_DATA_HOME nor $HOME is set")
                .hint("say where it is with `--root` or $SHALE_ROOT")
        })
    }

    /// The image that the user means: by name, by ID, or by where it was pulled from.
    pub fn image(&mut self, text: &str) -> Result<StoredImage, Error> {
        let store = self.store()?;
        store.open_image(&stored_name(text)).map_err(|error| explain(&store, text, error))
    }
}

/// What the store calls what the user wrote: images from layouts and archives have names of their
/// own there, everything else is left as it is.
pub fn stored_name(text: &str) -> String {
    match ImageName::parse(OsStr::new(text)) {
        Ok(ImageName::Registry(_)) | Err(_) => {
            text.strip_prefix("docker://").unwrap_or(text).into()
        }
        Ok(name) => local::reference(&name).map_or_else(|_| text.into(), |name| name.canonical()),
    }
}

/// Where the store is if `$SHALE_ROOT` says; empty, it says nothing.
pub fn root_of_environment() -> Option<PathBuf> {
    std::env::var_os("SHALE_ROOT").filter(|root| !root.is_empty()).map(Into::into)
}

/// Where the store is when nobody says: with the user's data, for root with the system's.
pub fn default_root() -> Option<PathBuf> {
    if process::is_real_root() {
        return Some("/var/lib/shale".into());
    }
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(Path::new(".local/share"))))?;
    Some(data.join("shale"))
}

/// The short form of a full reference.
pub fn familiar(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.familiar())
}
