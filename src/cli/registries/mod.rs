//! Commands about registries: `search`, `manifest`, `platforms`, `login`, `logout`.
//!
//! They ask a registry and fetch no image. What they print is checked against its digest where it
//! has one. Passwords are kept where docker and podman keep them ([`auth_file`]).

mod auth_file;
pub mod login;
pub mod logout;
pub mod manifest;
pub mod platforms;
pub mod search;

use std::path::PathBuf;

use crate::cli::error::Error;
use crate::oci::{Config, Descriptor, Document, Manifest};
use crate::source::{Options, Source};

/// The config of a manifest.
fn config(source: &dyn Source, manifest: &Manifest) -> Result<Config, Error> {
    let bytes = source.document(&manifest.config)?;
    Config::parse(&bytes)
        .map_err(|error| Error::failed(format!("{}: {error}", manifest.config.digest)))
}

/// A manifest or an index.
fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<Document, Error> {
    Document::parse(bytes, &descriptor.media_type)
        .map_err(|error| Error::failed(format!("{}: {error}", descriptor.digest)))
}

/// A registry's name without what people copy along with it.
fn host(text: &str) -> &str {
    let text =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    match text.split('/').next().unwrap_or(text) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// The file that has the credentials, or says which helper has them.
fn config_path(options: &Options) -> Result<PathBuf, Error> {
    options.auth_files.first().cloned().ok_or_else(|| {
        Error::failed("no place for credentials: neither $DOCKER_CONFIG nor $HOME is set")
    })
}
