//! Where a registry's images are asked for: `certs.d/HOST/hosts.toml` as containerd reads it, or
//! `certs.d/HOST/*.crt` as docker does, or just the registry.
//!
//! ```toml
//! server = "https://registry.example"      # last; the registry itself when left out
//! [host."https://mirror.example"]          # tried in the order of the file
//!   capabilities = ["pull", "resolve"]     # resolve: trusted to say what a tag is
//!   ca = "ca.crt"                          # relative to the file
//!   client = [["client.cert", "client.key"]]
//!   skip_verify = false
//!   override_path = false                  # true: no /v2 is added to the path
//!   private_network = false                # true: it may send us to private addresses
//!   plain_http_credentials = false         # true: it gets credentials over http too
//!   [host."https://mirror.example".header]
//!     x-key = "value"
//! ```
//!
//! Unlike containerd, a file that cannot be read is an error and not as if it were not there: the
//! user meant something with it. `dial_timeout` and `push` have no effect. The last two keys are
//! Shale's own: a host that is named by an address is trusted with its neighbours anyway, but a name
//! may stand for any address.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::trust::Trust;
use super::url::{Origin, Url};
use super::{RegistryError, Secret};
use crate::source::Options;

/// The registry that Docker Hub's images are in, under the name that references have for it.
pub(super) const HUB: &str = "docker.io";
/// The host that answers for Docker Hub.
const HUB_HOST: &str = "registry-1.docker.io";
/// The largest hosts.toml that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

/// One host to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) origin: Origin,
    /// Whether http was only assumed, because the host is on loopback.
    pub(super) assumed: bool,
    /// `/v2`, or what comes instead.
    pub(super) prefix: String,
    /// Not the registry itself, so that it gets no credentials of the registry.
    pub(super) mirror: bool,
    /// May be asked for what a digest names.
    pub(super) pull: bool,
    /// May be asked what a tag stands for.
    pub(super) resolve: bool,
    /// Is in a private network, as the user says, and may send us around in it.
    pub(super) private: bool,
    /// Gets credentials over http too, whatever machine it is.
    pub(super) plain_credentials: bool,
    pub(super) trust: Trust,
    pub(super) headers: Vec<(String, Secret)>,
}

#[derive(Deserialize)]
struct Section {
    capabilities: Option<Vec<String>>,
    ca: Option<Value>,
    client: Option<Value>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    #[serde(default)]
    private_network: bool,
    #[serde(default)]
    plain_http_credentials: bool,
    #[serde(default)]
    header: Table,
}

/// The hosts of `registry`, in the order in which they are asked.
pub(super) fn hosts(registry: &str, options: &Options) -> Result<Vec<Host>, RegistryError> {
    let itself = itself(registry, options)?;
    for folder in &options.certs_dirs {
        for name in folder_names(registry) {
            let folder = folder.join(name);
            match fs::metadata(&folder) {
                Ok(metadata) if metadata.is_dir() => return from_folder(&folder, itself),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(bad(&folder, error)),
            }
        }
    }
    Ok(vec![itself])
}

fn bad(path: &Path, reason: impl ToString) -> RegistryError {
    RegistryError::Config { path: path.to_owned(), reason: reason.to_string() }
}

/// The registry without any configuration.
fn itself(registry: &str, options: &Options) -> Result<Host, RegistryError> {
    let host = if registry == HUB { HUB_HOST } else { registry };
    let secure = Origin::new(true, host).map_err(|_| RegistryError::Host(host.to_owned()))?;
    let plain = Origin::new(false, host).map_err(|_| RegistryError::Host(host.to_owned()))?;
    let loopback = plain.is_loopback() && plain.port != 443;
    Ok(Host {
        origin: if loopback || options.plain_http { plain } else { secure },
        assumed: loopback,
        prefix: "/v2".to_owned(),
        mirror: false,
        pull: true,
        resolve: true,
        private: false,
        plain_credentials: options.plain_credentials,
        trust: Trust::default(),
        headers: Vec::new(),
    })
}

/// The names of a registry's folder, the best first. A reference's registry has no `/` in it and
/// is not `..`, so none leads elsewhere.
fn folder_names(registry: &str) -> Vec<String> {
    let mut names = vec![registry.to_owned(), "_default".to_owned()];
    if let Some((host, port)) = registry.rsplit_once(':') {
        names.insert(0, format!("{host}_{port}_"));
    }
    names
}

fn from_folder(folder: &Path, itself: Host) -> Result<Vec<Host>, RegistryError> {
    let path = folder.join("hosts.toml");
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > FILE_LIMIT => Err(bad(&path, "too large")),
        Ok(_) => {
            let text = fs::read_to_string(&path).map_err(|error| bad(&path, error))?;
            parse(&text, folder, &itself).map_err(|reason| bad(&path, reason))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(vec![with_certificates(folder, itself)?])
        }
        Err(error) => Err(bad(&path, error)),
    }
}

/// Docker's form: every `*.crt` is a root, a `*.cert` with its `*.key` is who we are.
fn with_certificates(folder: &Path, itself: Host) -> Result<Host, RegistryError> {
    let mut trust = Trust::default();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| bad(folder, error))? {
        files.push(entry.map_err(|error| bad(folder, error))?.path());
    }
    files.sort();
    for path in files {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => trust.roots.push(path),
            Some("cert") if trust.client.is_none() => {
                let key = path.with_extension("key");
                trust.client = Some((path, key));
            }
            _ => {}
        }
    }
    // Certificates mean TLS, on loopback too.
    let configured = trust != Trust::default();
    let secure = itself.origin.secure || (configured && itself.assumed);
    let origin = if secure { itself.origin.with_secure(true) } else { itself.origin };
    Ok(Host { origin, assumed: itself.assumed && !configured, trust, ..itself })
}

fn parse(text: &str, folder: &Path, itself: &Host) -> Result<Vec<Host>, String> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| one_line(&error))?;
    let mut hosts = Vec::new();
    let mirrors = match table.remove("host") {
        None => Table::new(),
        Some(Value::Table(mirrors)) => mirrors,
        Some(_) => return Err("\"host\" is not a table".to_owned()),
    };
    for (name, section) in mirrors {
        let section =
            section.try_into().map_err(|error| format!("{name}: {}", one_line(&error)))?;
        let host = host(&name, section, folder, itself);
        hosts.push(host.map_err(|reason| format!("{name}: {reason}"))?);
    }
    let server = match table.remove("server") {
        None => None,
        Some(Value::String(server)) => Some(server),
        Some(_) => return Err("\"server\" is not a string".to_owned()),
    };
    let section: Section = Value::Table(table).try_into().map_err(|error| one_line(&error))?;
    hosts.push(match server.filter(|server| !server.is_empty()) {
        Some(server) => host(&server, section, folder, itself)?,
        None => section.apply(folder, itself.clone())?,
    });
    Ok(hosts)
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

/// A host named by a URL, or by a name alone.
fn host(name: &str, section: Section, folder: &Path, itself: &Host) -> Result<Host, String> {
    let text = if name.contains("://") { name.to_owned() } else { format!("https://{name}") };
    let url = Url::parse(&text).map_err(|error| error.to_string())?;
    let path = url.path().trim_end_matches('/');
    let prefix = if section.override_path || path.ends_with("/v2") {
        path.to_owned()
    } else {
        format!("{path}/v2")
    };
    let origin = url.origin().clone();
    let same = (&origin.host, origin.port) == (&itself.origin.host, itself.origin.port)
        || origin == itself.origin.with_secure(origin.secure);
    let host = Host { mirror: !same, origin, assumed: false, prefix, ..itself.clone() };
    section.apply(folder, host)
}

impl Section {
    fn apply(self, folder: &Path, host: Host) -> Result<Host, String> {
        let (mut pull, mut resolve) = (true, true);
        if let Some(capabilities) = self.capabilities.filter(|list| !list.is_empty()) {
            let has = |name: &str| capabilities.iter().any(|c| c.eq_ignore_ascii_case(name));
            (pull, resolve) = (has("pull"), has("resolve"));
        }
        let trust = Trust {
            roots: self.ca.map_or(Ok(Vec::new()), |value| files(value, folder))?,
            client: self.client.map_or(Ok(None), |value| pair(value, folder))?,
            unchecked: self.skip_verify,
        };
        let mut headers = Vec::new();
        for (name, value) in self.header {
            for value in strings(value)? {
                headers.push((name.clone(), Secret::new(value)));
            }
        }
        let private = self.private_network;
        let plain_credentials = host.plain_credentials || self.plain_http_credentials;
        Ok(Host { pull, resolve, private, plain_credentials, trust, headers, ..host })
    }
}

/// A string, or a list of them.
fn strings(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(values) => {
            let texts = values.into_iter().map(|value| match value {
                Value::String(text) => Ok(text),
                other => Err(format!("a {} where a string belongs", other.type_str())),
            });
            texts.collect()
        }
        other => Err(format!("a {} where a string belongs", other.type_str())),
    }
}

fn files(value: Value, folder: &Path) -> Result<Vec<PathBuf>, String> {
    Ok(strings(value)?.into_iter().map(|name| folder.join(name)).collect())
}

/// `"both.pem"`, `["both.pem"]` or `[["cert", "key"]]`; of several the first.
fn pair(value: Value, folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let first = match value {
        Value::Array(values) => match values.into_iter().next() {
            None => return Ok(None),
            Some(first) => first,
        },
        other => other,
    };
    match files(first, folder)?.as_slice() {
        [both] => Ok(Some((both.clone(), both.clone()))),
        [chain, key] => Ok(Some((chain.clone(), key.clone()))),
        _ => Err("\"client\" is not a file or a pair of files".to_owned()),
    }
}

#[cfg(test)]
mod tests;
