//! Every named fault of a registry, and what becomes of a pull from it: the kind and text of the
//! error, how many requests it takes, who sees credentials, that the store is whole and has no
//! half-made name, and that the next pull works and fetches only what is missing. No fault may take
//! real time: waits are the fake clock's, and a server that keeps silent is given up after 300 ms.

#![allow(clippy::unwrap_used)]

mod addresses;
mod auth;
mod blobs;
mod documents;
mod mirrors;
mod redirects;
mod statuses;
mod tokens;
mod transport;

use crate::support::figures;
use std::sync::Arc;
use std::time::Duration;

use crate::support::fake_clock::FakeClock;
use crate::support::fault_registry::{FaultRegistry, Reply, Request};
use crate::support::image::Image;
use shalefs::oci::{ImageName, Platform};
use shalefs::pull::{self, PullError, Pulled, Silent};
use shalefs::source::registry::RegistryError;
use shalefs::source::{Options, SourceError, Timeouts, open};
use shalefs::store::Store;
use shalefs::store::verify::Severity;

/// What a test has: a store, and options with a fake clock.
struct Bench {
    clock: Arc<FakeClock>,
    options: Options,
    foreign: bool,
    store: Store,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        // A test is a fault, whatever it makes of it.
        figures::once("registry faults");
        let clock = Arc::new(FakeClock::default());
        let patience = Duration::from_millis(300);
        let timeouts = Timeouts { connect: Duration::from_secs(5), silence: patience };
        let options = Options { clock: clock.clone(), timeouts, ..Options::default() };
        // In memory where there is such a place: a store waits for the disk, and these tests do not
        // test the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { clock, options, foreign: false, store, folder }
    }

    /// With the password `hunter2` of `user` for `host`.
    fn with_password(mut self, host: &str) -> Self {
        use base64::Engine as _;
        let auth = base64::prelude::BASE64_STANDARD.encode("user:hunter2");
        self.write_auth(&format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#));
        self
    }

    fn write_auth(&mut self, text: &str) {
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        self.options.auth_files = vec![path];
    }

    /// With a hosts.toml for `registry`.
    fn with_hosts(mut self, registry: &str, text: &str) -> Self {
        let folder = self.folder.path().join("certs.d").join(registry);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("hosts.toml"), text).unwrap();
        self.options.certs_dirs = vec![self.folder.path().join("certs.d")];
        self
    }

    /// Pulls the image `name`; the store is whole afterwards, whatever happened.
    fn pull_name(&self, name: &str) -> Result<Pulled, PullError> {
        let name: ImageName = name.parse().unwrap();
        let reference = name.reference().unwrap();
        let result = open(&name, &self.options).map_err(PullError::from).and_then(|source| {
            let platform = Some(Platform::new("linux", "amd64"));
            let of = pull::Options::of(reference);
            let options = pull::Options { platform, foreign: self.foreign, jobs: 1, ..of };
            let full = reference.canonical();
            pull::pull(&self.store, source.as_ref(), Some(&full), &options, &Silent)
        });
        let mut findings = pull::verify(&self.store, None, true).unwrap();
        // What an interrupted pull leaves is for the next one.
        findings.retain(|finding| finding.severity != Severity::Leftover);
        assert!(findings.is_empty(), "a whole store: {findings:?}");
        result
    }

    fn pull(&self, server: &FaultRegistry) -> Result<Pulled, PullError> {
        self.pull_name(&name_at(server))
    }

    /// The error of a pull that must fail, with its text. When the registry behaves again, the next
    /// pull works and does not fetch what is there already.
    fn fails(&self, server: &FaultRegistry) -> (PullError, String) {
        let failed = self.fails_by_name(&name_at(server));
        server.heal();
        let blobs = server.image.blobs().into_iter();
        let had = blobs.filter(|blob| matches!(self.store.blob(&blob.digest(), None), Ok(Some(_))));
        let had: Vec<_> = had.map(|blob| blob.digest().to_string()).collect();
        self.pull(server).expect("the registry behaves again");
        Self::fetched_nothing_again(server, &had);
        failed
    }

    /// Since the registry behaves again, nobody asked for these blobs.
    fn fetched_nothing_again(server: &FaultRegistry, had: &[String]) {
        for request in &server.all_requests()[server.requests().len()..] {
            let again = had.iter().find(|digest| request.path().ends_with(digest.as_str()));
            assert_eq!(again, None, "what is there is not fetched again");
        }
    }

    /// The same without a second pull, for faults that are not the registry's. The text names no
    /// secret and is one line.
    fn fails_by_name(&self, name: &str) -> (PullError, String) {
        let error = self.pull_name(name).expect_err("the fault must be noticed");
        assert_eq!(self.store.names().unwrap().len(), 0, "nothing has a name that is not whole");
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "one harmless line: {text:?}");
        for shown in [text.clone(), format!("{error:?}")] {
            assert!(!shown.contains("hunter2") && !shown.contains("sig="), "no secret: {shown}");
        }
        (error, text)
    }

    /// The registry's error of such a fault.
    fn refused_by_name(&self, name: &str) -> (RegistryError, String) {
        let (error, text) = self.fails_by_name(name);
        (registry_error(error), text)
    }

    /// The registry's error of a pull that must fail.
    fn refused(&self, server: &FaultRegistry) -> (RegistryError, String) {
        let (error, text) = self.fails(server);
        (registry_error(error), text)
    }
}

fn name_at(server: &FaultRegistry) -> String {
    format!("{}/test/image", server.host())
}

/// The error of the registry inside the error of a pull.
fn registry_error(error: PullError) -> RegistryError {
    use shalefs::layer::ScanError;
    let error = match error {
        PullError::Source(error) => error,
        PullError::Layer(ScanError::Read { source, .. }) => {
            *source.into_inner().unwrap().downcast::<SourceError>().unwrap()
        }
        other => panic!("an error of the registry and not {other:?}"),
    };
    match error {
        SourceError::Registry(error) => error,
        other => panic!("an error of the registry and not {other:?}"),
    }
}

/// A registry with `image`.
fn serve(
    image: &Image,
    fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> FaultRegistry {
    FaultRegistry::start(image, fault)
}

/// Nobody asked this server with anything that is secret.
fn saw_no_secret(server: &FaultRegistry) {
    for request in server.requests() {
        for name in ["authorization", "cookie", "x-key", "proxy-authorization"] {
            assert_eq!(request.header(name), None, "{request:?}");
        }
        assert!(!request.body.contains("hunter2") && !request.target.contains("hunter2"));
    }
}

#[test]
#[should_panic(expected = "authorization")]
fn planted_a_leaked_credential_is_noticed() {
    figures::once("planted faults");
    let server = serve(&Image::small(), |_| None);
    let url = format!("http://{}/v2/", server.host());
    ureq::get(&url).header("Authorization", "Basic x").call().unwrap();
    saw_no_secret(&server);
}

#[test]
#[should_panic(expected = "what is there is not fetched again")]
fn planted_a_blob_fetched_twice_is_noticed() {
    figures::once("planted faults");
    let image = Image::small();
    let layer = image.layers[0].clone();
    let server = serve(&image, |_| None);
    server.heal();
    ureq::get(format!("http://{}/v2/x/blobs/{}", server.host(), layer.digest())).call().unwrap();
    Bench::fetched_nothing_again(&server, &[layer.digest().to_string()]);
}
