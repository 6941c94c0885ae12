//! Debian's `docker-registry` on a free loopback port, stopped when dropped.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::image::{Blob, Image};
use crate::support::require::has;

/// A running registry.
pub struct RealRegistry {
    port: u16,
    process: Child,
    folder: TempDir,
}

/// How it is to be run.
#[derive(Default)]
pub struct Setup {
    /// A line of `htpasswd -B`, for Basic.
    pub htpasswd: Option<String>,
    /// A certificate and a key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Certificates of the clients that may come in.
    pub client_ca: Option<PathBuf>,
    /// More of its configuration, under `auth:`.
    pub auth: Option<String>,
}

/// Whether `program` is installed; a test that lacks it is not run.
#[track_caller]
pub fn installed(program: &str) -> bool {
    has(program)
}

impl RealRegistry {
    /// Starts one that holds `images` as `REPOSITORY:TAG`; `None` when it is not installed.
    pub fn start(setup: &Setup, images: &[(&str, &str, &Image)]) -> Option<Self> {
        if !installed("docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for (repository, tag, image) in images {
            store(folder.path(), repository, tag, image);
        }
        // The port may be taken between looking and starting, so there are several tries.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let port = port.expect("a free port").port();
            let config = folder.path().join("config.yml");
            fs::write(&config, configuration(setup, folder.path(), port)).expect("written");
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("installed");
            if answers(port, &mut process) {
                return Some(Self { port, process, folder });
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("docker-registry does not start");
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its folder, for the files of a test too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(setup: &Setup, folder: &Path, port: u16) -> String {
    let mut text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: 127.0.0.1:{port}\n",
        folder.join("data").display()
    );
    if let Some((certificate, key)) = &setup.tls {
        text += &format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            certificate.display(),
            key.display()
        );
        if let Some(ca) = &setup.client_ca {
            text += &format!("    clientcas: [{}]\n", ca.display());
        }
    }
    if let Some(line) = &setup.htpasswd {
        let path = folder.join("htpasswd");
        fs::write(&path, line).expect("written");
        text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display());
    }
    if let Some(auth) = &setup.auth {
        text += &format!("auth:\n{auth}");
    }
    text
}

fn answers(port: u16, process: &mut Child) -> bool {
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience {
        if process.try_wait().is_ok_and(|status| status.is_some()) {
            return false;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Puts an image where the registry keeps its own.
fn store(folder: &Path, repository: &str, tag: &str, image: &Image) {
    let root = folder.join("data/docker/registry/v2");
    let write = |path: PathBuf, bytes: &[u8]| {
        fs::create_dir_all(path.parent().expect("not the root")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    let link = |folder: &Path, blob: &Blob| {
        let digest = blob.digest();
        let path = folder.join("sha256").join(digest.hex()).join("link");
        write(path, digest.to_string().as_bytes());
    };
    for blob in image.blobs() {
        let hex = blob.digest().hex();
        write(root.join("blobs/sha256").join(&hex[..2]).join(&hex).join("data"), &blob.bytes);
    }
    let repository = root.join("repositories").join(repository);
    for blob in image.layers.iter().chain([&image.config]) {
        link(&repository.join("_layers"), blob);
    }
    let manifests = repository.join("_manifests");
    link(&manifests.join("revisions"), &image.manifest);
    link(&manifests.join("tags").join(tag).join("index"), &image.manifest);
    let current = manifests.join("tags").join(tag).join("current/link");
    write(current, image.manifest.digest().to_string().as_bytes());
}
