//! A podman storage of its own, with the overlay driver; taken down when dropped.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::real_parts::TestDir;

pub struct Podman {
    storage: TestDir,
    /// Podman makes a name of a layout's path, and names have no capitals: links to layouts are here.
    layouts: TestDir,
}

impl Podman {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("podman-layouts-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self { storage: TestDir::new("podman"), layouts: TestDir { path } }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.storage.path.join("root"));
        command.arg("--runroot").arg(self.storage.path.join("run"));
        command.args(["--storage-driver", "overlay"]);
        command
    }

    /// Mounts the image `tag` of an OCI layout; the directory, or why podman does not take it.
    pub fn mount(&self, layout: &Path, tag: &str) -> Result<PathBuf, String> {
        let link = self.layouts.path.join("layout");
        let _ = std::fs::remove_file(&link);
        symlink(layout, &link).expect("a link");
        let image = format!("oci:{}:{tag}", link.display());
        let id = tried(self.command().args(["pull", "-q", &image]))?;
        tried(self.command().args(["image", "mount", &id])).map(PathBuf::from)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command().args(["image", "unmount", "--all"]).output();
        let overlay = self.storage.path.join("root/overlay");
        let _ = Command::new("umount").arg("-l").arg(overlay).output();
    }
}

/// Runs a tool; its output, or what it said when it failed.
pub fn tried(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
