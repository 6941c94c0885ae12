//! `quarantine/`: where damaged things go, so that repairing destroys no evidence and no bytes
//! that somebody may still want to look at. `prune` empties it.

use std::io;
use std::path::{Path, PathBuf};

use super::draft::create_dirs;
use super::{Store, StoreError};

/// Names tried for one object.
const ATTEMPTS: u32 = 10_000;

impl Store {
    pub(super) fn quarantine_dir(&self) -> PathBuf {
        self.root().join("quarantine")
    }

    /// Moves what stands at `path`, whatever it is, and says where to.
    pub(super) fn quarantine(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let directory = self.quarantine_dir();
        create_dirs(&**self.disk(), &directory)?;
        let relative = path.strip_prefix(self.root()).unwrap_or(path);
        let name = relative.to_string_lossy().replace('/', "-");
        for number in 0..ATTEMPTS {
            let target = directory.join(format!("{name}.{number}"));
            if target.symlink_metadata().is_ok() {
                continue;
            }
            self.disk().rename(path, &target).map_err(StoreError::at(path))?;
            return Ok(target);
        }
        Err(StoreError::at(&directory)(io::ErrorKind::AlreadyExists.into()))
    }
}
