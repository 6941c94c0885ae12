//! Whose credentials to use: what `docker login` and `podman login` left behind.
//!
//! The files of [`Options::auth_files`] are asked in their order, each for the most special key
//! that fits: `HOST/NAMESPACE/REPOSITORY`, then its parents, then `HOST`
//! (containers-auth.json(5)). In a file a `credHelpers` entry for the host comes before `auths`,
//! and `credsStore` after nothing was found there. No entry anywhere means anonymous.
//!
//! A credential is looked up for the host that is talked to, so a mirror gets its own or none.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{RegistryError, helper};
use crate::source::{Options, Secret};

/// The largest credential file that is read.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Docker Hub under the key that docker uses for it.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token, to be exchanged at the token server.
    Identity(Secret),
    /// A token that the registry itself takes.
    Bearer(Secret),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    auths: HashMap<String, Option<Entry>>,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    cred_helpers: HashMap<String, String>,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
struct Entry {
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    auth: String,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    username: String,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    password: String,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    identitytoken: String,
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    registrytoken: String,
}

/// The credential for `repository` (may be empty) at `host` (with its port), `None` for anonymous.
///
/// # Errors
/// When a file is there but cannot be read or is broken. A helper that fails is only a warning, as
/// in docker.
pub(super) fn find(
    options: &Options,
    host: &str,
    repository: &str,
) -> Result<Option<Credential>, RegistryError> {
    for path in &options.auth_files {
        let Some(file) = File::read(path)? else { continue };
        if let Some(found) = file.find(path, host, repository)? {
            log::debug!("credentials for {host} from {}", path.display());
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn bad(path: &Path, reason: impl ToString) -> RegistryError {
    RegistryError::Config { path: path.to_owned(), reason: reason.to_string() }
}

impl File {
    fn read(path: &Path) -> Result<Option<Self>, RegistryError> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > FILE_LIMIT => Err(bad(path, "too large")),
            Ok(metadata) if !metadata.is_file() => Ok(None),
            Ok(_) => {
                let bytes = std::fs::read(path).map_err(|error| bad(path, error))?;
                // serde_json's messages quote at most a wrong value's type or a short text, and the
                // fields that hold secrets are texts, so of an error only the place is shown.
                let place = |error: serde_json::Error| {
                    format!("not JSON as docker writes it, line {}", error.line())
                };
                serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(path, place(error)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(path, error)),
        }
    }

    fn find(
        &self,
        path: &Path,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credential>, RegistryError> {
        let helper = self.cred_helpers.iter().find(|(key, _)| normal(key) == normal(host));
        if let Some((key, program)) = helper {
            return Ok(helper::get(program, key));
        }
        for wanted in keys(host, repository) {
            let fits = |(key, _): &(&String, &Option<Entry>)| normal(key) == wanted;
            let entry = self.auths.iter().find(fits).and_then(|(_, entry)| entry.as_ref());
            if let Some(found) = entry.map_or(Ok(None), |entry| entry.credential(path))? {
                return Ok(Some(found));
            }
        }
        if self.creds_store.is_empty() {
            return Ok(None);
        }
        let server = if normal(host) == "docker.io" { HUB_KEY } else { host };
        Ok(helper::get(&self.creds_store, server))
    }
}

/// The keys that fit, the most special first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut name = format!("{}/{repository}", normal(host));
    let mut keys = Vec::new();
    while let Some((parent, _)) = name.rsplit_once('/') {
        let parent = parent.to_owned();
        keys.push(std::mem::replace(&mut name, parent));
    }
    keys.push(name);
    keys
}

/// The one spelling of a key: a URL stands for its host, and Docker Hub has three names.
fn normal(key: &str) -> String {
    let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let name = match without_scheme {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    };
    let (host, path) = name.split_once('/').map_or((name, ""), |(host, path)| (host, path));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

impl Entry {
    fn credential(&self, path: &Path) -> Result<Option<Credential>, RegistryError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::Bearer(Secret::new(&self.registrytoken))));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::Identity(Secret::new(&self.identitytoken))));
        }
        if !self.username.is_empty() {
            let password = Secret::new(&self.password);
            return Ok(Some(Credential::Password { user: self.username.clone(), password }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let (user, password) = decode(&self.auth)
            .ok_or_else(|| bad(path, "an \"auth\" in it is not base64 of USER:PASSWORD"))?;
        Ok(Some(Credential::Password { user, password }))
    }
}

fn decode(auth: &str) -> Option<(String, Secret)> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&STANDARD, lenient).decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker pads passwords with NULs.
    Some((user.to_owned(), Secret::new(password.trim_matches('\0'))))
}

#[cfg(test)]
mod tests;
