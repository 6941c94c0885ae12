//! What a user can say about how images are fetched.
//!
//! [`Options::default`] looks at nothing outside; [`Options::from_environment`] is what the command
//! uses. Nothing below this file reads an environment variable.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::lookup::{Lookup, SystemLookup};
use crate::limits::Limits;

/// How to reach sources.
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries that are not on loopback may be asked over plain http, without credentials.
    pub plain_http: bool,
    /// Credentials may be sent over plain http to other machines too.
    pub plain_credentials: bool,
    /// Certificates are not checked.
    pub insecure: bool,
    /// Foreign layers are fetched from the URLs in the manifest.
    pub foreign_layers: bool,
    /// Folders with a folder `HOST[:PORT]` a registry, holding `hosts.toml` or `*.crt`; the first
    /// that has one for a registry decides.
    pub certs_dirs: Vec<PathBuf>,
    /// Docker's `config.json` and the `auth.json` of podman, in the order in which they are asked.
    pub auth_files: Vec<PathBuf>,
    /// Which proxies to use.
    pub proxies: Proxies,
    /// How long a server may keep silent.
    pub timeouts: Timeouts,
    /// Where Docker Hub's search is.
    pub hub: String,
    /// Where large temporary files go (the contents of a compressed archive).
    pub temporary: PathBuf,
    /// What a compressed archive may cost.
    pub limits: Limits,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names of hosts.
    pub lookup: Arc<dyn Lookup>,
    /// Credential files that cannot be read and were warned of: each once.
    pub warned: Arc<Mutex<HashSet<PathBuf>>>,
}

/// Proxies by the scheme of what is asked for.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http:` URLs.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// Hosts, domains, addresses and networks that are asked directly, separated by commas.
    pub none_for: String,
}

/// Real time, whatever the [`Clock`] says: these bound what the kernel waits for.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Looking up a name; and making a connection, TLS included.
    pub connect: Duration,
    /// The silence after which a connection counts as dead. After half of it a line is logged.
    pub silence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain_http: false,
            plain_credentials: false,
            insecure: false,
            foreign_layers: false,
            certs_dirs: Vec::new(),
            auth_files: Vec::new(),
            proxies: Proxies::default(),
            timeouts: Timeouts {
                connect: Duration::from_secs(30),
                silence: Duration::from_secs(60),
            },
            hub: "https://index.docker.io".to_owned(),
            temporary: PathBuf::from("/var/tmp"),
            limits: Limits::DEFAULT,
            clock: Arc::new(SystemClock::default()),
            lookup: Arc::new(SystemLookup),
            warned: Arc::default(),
        }
    }
}

impl Options {
    /// The defaults of a user's command: credentials, certificates and proxies from where docker,
    /// podman, containerd and curl look for them.
    pub fn from_environment() -> Self {
        // mount(8) passes no $HOME on: the login of whoever mounts is found all the same.
        let variable = |name: &str| match name {
            "HOME" => std::env::home_dir().map(PathBuf::into_os_string),
            _ => std::env::var_os(name),
        };
        Self::from_variables(&|name| variable(name).filter(|value| !value.is_empty()))
    }

    /// The same with the environment given, for tests.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |names: &[&str]| {
            names.iter().find_map(|name| variable(name)).and_then(|value| value.into_string().ok())
        };
        let home = path("HOME");
        let in_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
        let docker = path("DOCKER_CONFIG").or_else(|| in_home(".docker"));
        let config = path("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
        let containers = |folder: Option<PathBuf>| folder.map(|at| at.join("containers/auth.json"));
        let auth_files = [
            docker.map(|folder| folder.join("config.json")),
            path("REGISTRY_AUTH_FILE"),
            containers(path("XDG_RUNTIME_DIR")),
            containers(config),
        ];
        let certs_dirs = path("SHALE_CERTS_DIR").map_or_else(
            || ["/etc/containerd/certs.d", "/etc/docker/certs.d"].map(PathBuf::from).to_vec(),
            |folder| vec![folder],
        );
        let defaults = Self::default();
        Self {
            certs_dirs,
            auth_files: auth_files.into_iter().flatten().collect(),
            proxies: Proxies {
                // Upper case HTTP_PROXY can be set by a CGI request, but this is no CGI program.
                http: text(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
                https: text(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
                none_for: text(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
            },
            temporary: path("TMPDIR").unwrap_or(defaults.temporary.clone()),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Options {
        Options::from_variables(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn files_in_the_order_in_which_they_are_asked() {
        let options = from(&[("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        let files: Vec<_> =
            options.auth_files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(
            files,
            [
                "/home/u/.docker/config.json",
                "/run/user/1/containers/auth.json",
                "/home/u/.config/containers/auth.json"
            ]
        );
        let options = from(&[("DOCKER_CONFIG", "/d"), ("XDG_CONFIG_HOME", "/c")]);
        assert_eq!(options.auth_files[0], PathBuf::from("/d/config.json"));
        assert_eq!(options.auth_files[1], PathBuf::from("/c/containers/auth.json"));
        assert_eq!(from(&[]).auth_files.len(), 0);
    }

    #[test]
    fn proxies_by_scheme() {
        let options = from(&[("HTTPS_PROXY", "p:1"), ("ALL_PROXY", "p:2"), ("no_proxy", "a,b")]);
        assert_eq!(options.proxies.https.as_deref(), Some("p:1"));
        assert_eq!(options.proxies.http.as_deref(), Some("p:2"));
        assert_eq!(options.proxies.none_for, "a,b");
    }

    #[test]
    fn certificate_folders() {
        assert_eq!(from(&[]).certs_dirs.len(), 2);
        assert_eq!(from(&[("SHALE_CERTS_DIR", "/x")]).certs_dirs, [PathBuf::from("/x")]);
    }
}
