//! Docker's `config.json`: one registry's entry set or removed, everything else left as it is.
//!
//! Where the file names a credential helper (`credHelpers`, `credsStore`), the helper keeps the
//! secret and the file only says that there is one, as docker does it. The file is replaced as a
//! whole, with mode 0600 when it is new; a link to it is followed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::error::Error;
use crate::source::Secret;

/// Docker Hub under the key that docker uses for it.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The file and what is in it.
pub struct AuthFile {
    path: PathBuf,
    content: Map<String, Value>,
}

fn key(host: &str) -> &str {
    if host == "docker.io" { HUB_KEY } else { host }
}

impl AuthFile {
    /// Reads the file; one that is missing is empty.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let path = fs::canonicalize(&path).unwrap_or(path);
        let content = match fs::read(&path) {
            // Of what is wrong only the place is said: the text holds secrets.
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::failed(format!("{}: not JSON, line {}", path.display(), error.line()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(Error::io(path.display())(error)),
        };
        Ok(Self { path, content })
    }

    /// Keeps a password. Returns the file when it stands there for everybody who may read it.
    pub fn set(
        &mut self,
        host: &str,
        user: &str,
        password: &Secret,
    ) -> Result<Option<PathBuf>, Error> {
        let key = key(host);
        let entry = match self.helper(key) {
            Some(helper) => {
                let secret =
                    json!({"ServerURL": key, "Username": user, "Secret": password.expose()});
                run(&helper, "store", &secret.to_string())?;
                json!({})
            }
            None => {
                let pair = format!("{user}:{}", password.expose());
                json!({"auth": STANDARD.encode(pair)})
            }
        };
        let in_file = entry.get("auth").is_some();
        self.auths(|auths| auths.insert(key.to_owned(), entry));
        self.write()?;
        Ok(in_file.then(|| self.path.clone()))
    }

    /// Forgets a password. False when there was none.
    pub fn remove(&mut self, host: &str) -> Result<bool, Error> {
        let keys = [key(host), host];
        let mut known = false;
        for key in keys {
            known |= self.auths(|auths| auths.remove(key).is_some());
        }
        if let Some(helper) = self.helper(key(host)) {
            match run(&helper, "erase", key(host)) {
                Ok(()) => known = true,
                Err(error) if !known => return Err(error),
                Err(_) => {}
            }
        }
        if known {
            self.write()?;
        }
        Ok(known)
    }

    /// Changes the entries of registries.
    fn auths<T>(&mut self, change: impl FnOnce(&mut Map<String, Value>) -> T) -> T {
        let mut auths = match self.content.remove("auths") {
            Some(Value::Object(auths)) => auths,
            _ => Map::new(),
        };
        let result = change(&mut auths);
        self.content.insert("auths".to_owned(), Value::Object(auths));
        result
    }

    /// The helper that keeps the secret of `key`.
    fn helper(&self, key: &str) -> Option<String> {
        let own = self.content.get("credHelpers").and_then(|all| all.get(key));
        let name = own.or_else(|| self.content.get("credsStore"))?.as_str()?;
        // The name becomes part of a program's name and must not lead elsewhere.
        let sane = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (sane && !name.is_empty()).then(|| format!("docker-credential-{name}"))
    }

    fn write(&self) -> Result<(), Error> {
        let at = |error: io::Error| Error::io(self.path.display())(error);
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(directory).map_err(at)?;
        let mode = fs::metadata(&self.path).map_or(0o600, |m| m.permissions().mode() & 0o777);
        let part = directory.join(format!(".config.json.{}", std::process::id()));
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        self.content.serialize(&mut serializer).map_err(|error| at(error.into()))?;
        let written = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&part)
            .and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&part, &self.path));
        written.map_err(|error| {
            // The first error is the one to report.
            let _ = fs::remove_file(&part);
            at(error)
        })
    }
}

/// Runs a helper; what it is told goes to its standard input.
fn run(program: &str, action: &str, input: &str) -> Result<(), Error> {
    let failed = |why: String| Error::failed(format!("{program} {action}: {why}"));
    let child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper may end without reading; its status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}
