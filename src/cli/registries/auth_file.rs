//! Docker's `config.json`: one registry's entry set or removed, everything else left as it is.
//!
//! Where the file names a credential helper (`credHelpers`, `credsStore`), the helper keeps the
//! secret and the file only says that there is one, as docker does it. The file is replaced as a
//! whole, with mode 0600 when it is new; a link to it is followed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::error::Error;
use crate::source::Secret;
use crate::source::registry::{Helper, HelperError, is_for, keeper, key};

/// The file and what is in it.
pub struct AuthFile {
    path: PathBuf,
    content: Map<String, Value>,
}

impl AuthFile {
    /// Reads the file; one that is missing, or cannot be there, is empty.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let path = fs::canonicalize(&path).unwrap_or(path);
        let content = match fs::read(&path) {
            // Of what is wrong only the place is said: the text holds secrets.
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::failed(format!("{}: not JSON, line {}", path.display(), error.line()))
            })?,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Map::new(),
                _ => return Err(Error::io(path.display())(error)),
            },
        };
        Ok(Self { path, content })
    }

    /// Makes sure that a password can be kept, before anybody is asked for one.
    pub fn prepare(&self, host: &str) -> Result<(), Error> {
        self.helper(host)?;
        fs::create_dir_all(self.directory()).map_err(Error::io(self.path.display()))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("."))
    }

    /// Keeps a password. Returns the file when it stands there for everybody who may read it.
    pub fn set(
        &mut self,
        host: &str,
        user: &str,
        password: &Secret,
    ) -> Result<Option<PathBuf>, Error> {
        let entry = match self.helper(host)? {
            Some((helper, key)) => {
                helper.store(&key, user, password).map_err(|error| self.failed(&error))?;
                json!({})
            }
            None => {
                let pair = format!("{user}:{}", password.expose());
                json!({"auth": STANDARD.encode(pair)})
            }
        };
        let in_file = entry.get("auth").is_some();
        self.auths(|auths| {
            auths.retain(|key, _| !is_for(key, host));
            auths.insert(key(host).to_owned(), entry)
        });
        self.write()?;
        Ok(in_file.then(|| self.path.clone()))
    }

    /// Forgets a password. False when there was none.
    pub fn remove(&mut self, host: &str) -> Result<bool, Error> {
        let in_file = self.auths(|auths| {
            let before = auths.len();
            auths.retain(|key, _| !is_for(key, host));
            auths.len() < before
        });
        // First the file: what stands there in the clear goes, whatever the helper does.
        if in_file {
            self.write()?;
        }
        let Some((helper, key)) = self.helper(host)? else { return Ok(in_file) };
        match helper.erase(&key) {
            Ok(()) => Ok(true),
            Err(HelperError::NotFound { .. }) => Ok(in_file),
            Err(error) => Err(self.failed(&error)),
        }
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

    /// The helper that keeps the secret of `host`, and the key that it knows it by.
    fn helper(&self, host: &str) -> Result<Option<(Helper, String)>, Error> {
        keeper(&self.content, host).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &HelperError) -> Error {
        Error::failed(format!("{}: {error}", self.path.display()))
    }

    fn write(&self) -> Result<(), Error> {
        let at = |error: io::Error| Error::io(self.path.display())(error);
        let directory = self.directory();
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
