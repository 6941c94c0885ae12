//! Completion of names of images and mounts, looked up in the store when the shell asks.
//!
//! Nothing here may fail, print or make a store: a shell that completes must not notice.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::context::{default_root, root_of_environment};
use crate::oci::Reference;
use crate::store::Store;

/// Completes names of images.
pub fn images() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| image_names(&typed.to_string_lossy()))
}

/// Completes names of images up to the path in them: `debian:12:/`.
pub fn image_paths() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let names = image_names(&typed.to_string_lossy()).into_iter();
        let opened = |name: CompletionCandidate| {
            let mut value = name.get_value().to_owned();
            value.push(":/");
            CompletionCandidate::new(value)
        };
        names.map(opened).collect::<Vec<_>>()
    })
}

/// Completes directories and names of images that are mounted.
pub fn mounts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| mount_names(&typed.to_string_lossy()))
}

/// The store, if there is one.
fn store() -> Option<Store> {
    let root = root_of_environment().or_else(default_root)?;
    root.join("index.json").is_file().then(|| Store::open(&root).ok())?
}

fn image_names(typed: &str) -> Vec<CompletionCandidate> {
    let rows = store().and_then(|store| store.names().ok()).unwrap_or_default();
    let names = rows.iter().filter_map(|row| row.name.as_deref()?.parse::<Reference>().ok());
    let names: Vec<Reference> = names.collect();
    let short = candidates(names.iter().map(Reference::familiar), typed);
    // The full form for those who began to write it, so that nothing is offered twice.
    if short.is_empty() { candidates(names.iter().map(Reference::canonical), typed) } else { short }
}

fn mount_names(typed: &str) -> Vec<CompletionCandidate> {
    let records = store().and_then(|store| store.mounts().ok()).unwrap_or_default();
    let names = records.into_iter().flat_map(|record| {
        let image = record.image.parse::<Reference>().map(|name| name.familiar());
        [record.mountpoint.to_string_lossy().into_owned(), image.unwrap_or(record.image)]
    });
    candidates(names, typed)
}

/// Those that begin like what was typed and hold nothing that a shell or terminal would act on.
fn candidates(names: impl Iterator<Item = String>, typed: &str) -> Vec<CompletionCandidate> {
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with(typed) && !name.chars().any(char::is_control))
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
