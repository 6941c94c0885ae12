//! Whose credentials to use: what `docker login` and `podman login` left behind.
//!
//! The files of [`Options::auth_files`] are asked in their order. In a file a `credHelpers` entry for
//! the host decides; then `credsStore` is asked, as docker does it, and what that does not know is
//! looked for in `auths`, under the most special key that fits: `HOST/NAMESPACE/REPOSITORY`, then its
//! parents, then `HOST` (containers-auth.json(5)). No entry anywhere means anonymous. A file that is
//! out of reach is none, with a warning: `HOME` may be anything.
//!
//! A credential is looked up for the host that is talked to, so a mirror gets its own or none.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::RegistryError;
use super::helper::{Helper, HelperError};
use crate::source::{Options, Secret};

/// The largest credential file that is read.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Docker Hub under the key that docker uses for it.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";

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

struct File {
    /// All of it.
    config: Map<String, Value>,
    auths: HashMap<String, Option<Entry>>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    auths: HashMap<String, Option<Entry>>,
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
        let Some(file) = File::read(path, options)? else { continue };
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

/// The key under which a registry's credentials are kept.
pub fn key(host: &str) -> &str {
    if normal(host) == "docker.io" { HUB_KEY } else { host }
}

/// Whether a key of a credential file is for all of the registry `host`.
pub fn is_for(key: &str, host: &str) -> bool {
    normal(key) == normal(host)
}

/// The helper that keeps the credentials of `host` according to docker's `config.json`, and the key
/// that it knows them by; `None` when they are in the file itself.
///
/// # Errors
/// When the file names a helper in a way that none can be called.
pub fn keeper(
    config: &Map<String, Value>,
    host: &str,
) -> Result<Option<(Helper, String)>, HelperError> {
    let (name, key) = match (own_helper(config, host), config.get("credsStore")) {
        (Some((key, name)), _) => (name, key.clone()),
        (None, Some(name)) => (name, key(host).to_owned()),
        (None, None) => return Ok(None),
    };
    match name {
        Value::Null => Ok(None),
        Value::String(name) if name.is_empty() => Ok(None),
        Value::String(name) => Ok(Some((Helper::new(name)?, key))),
        other => Err(HelperError::Name(other.to_string())),
    }
}

/// The entry of `credHelpers` for `host`.
fn own_helper<'a>(config: &'a Map<String, Value>, host: &str) -> Option<(&'a String, &'a Value)> {
    let helpers = config.get("credHelpers")?.as_object()?;
    helpers.iter().find(|(key, _)| is_for(key, host))
}

impl File {
    fn read(path: &Path, options: &Options) -> Result<Option<Self>, RegistryError> {
        let read = std::fs::metadata(path).and_then(|metadata| match metadata.len() {
            _ if !metadata.is_file() => Ok(None),
            FILE_LIMIT.. => Err(std::io::ErrorKind::FileTooLarge.into()),
            _ => std::fs::read(path).map(Some),
        });
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => return Ok(None),
                ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
                    let mut warned = options.warned.lock().unwrap_or_else(PoisonError::into_inner);
                    if warned.insert(path.to_owned()) {
                        log::warn!("{}: {error}; no credentials from there", path.display());
                    }
                    return Ok(None);
                }
                _ => return Err(bad(path, error)),
            },
        };
        // serde_json's messages quote at most a wrong value's type or a short text, and the fields
        // that hold secrets are texts, so of an error only the place is shown.
        let place = |error: serde_json::Error| {
            bad(path, format!("not JSON as docker writes it, line {}", error.line()))
        };
        let config: Map<String, Value> = serde_json::from_slice(&bytes).map_err(place)?;
        let Raw { auths } = serde_json::from_slice(&bytes).map_err(place)?;
        Ok(Some(Self { config, auths }))
    }

    fn find(
        &self,
        path: &Path,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credential>, RegistryError> {
        self.find_with(path, host, repository, Helper::get)
    }

    /// The same with what asks a helper given, for tests.
    fn find_with(
        &self,
        path: &Path,
        host: &str,
        repository: &str,
        get: impl Fn(&Helper, &str) -> Result<Option<Credential>, HelperError>,
    ) -> Result<Option<Credential>, RegistryError> {
        let found = keeper(&self.config, host).and_then(|keeper| match keeper {
            Some((helper, key)) => get(&helper, &key),
            None => Ok(None),
        });
        // A helper that does not work knows nothing, as in docker.
        let found = found.unwrap_or_else(|error| {
            log::warn!("{}: {error}", path.display());
            None
        });
        if found.is_some() || own_helper(&self.config, host).is_some() {
            return Ok(found);
        }
        for wanted in keys(host, repository) {
            let fits = |(key, _): &(&String, &Option<Entry>)| normal(key) == wanted;
            let entry = self.auths.iter().find(fits).and_then(|(_, entry)| entry.as_ref());
            if let Some(found) = entry.map_or(Ok(None), |entry| entry.credential(path))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
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
