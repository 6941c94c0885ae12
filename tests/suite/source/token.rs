//! A real registry that wants tokens: it checks their signatures, scopes and lives, so a client that
//! asks for the wrong thing does not come in. A token server may only be the registry itself or
//! public and https, so both stand behind one address: requests for `/token` are answered here,
//! all others go to the registry.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::support::fault_registry::{FaultRegistry, Reply, Request};
use crate::support::image::Image;
use crate::support::real_registry::{RealRegistry, Setup, installed};
use crate::support::resolve::{ResolveError, resolve};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use shalefs::source::registry::Registry;
use shalefs::source::{Options, open};

/// Signs tokens with a key of its own.
#[derive(Clone)]
struct Signer {
    folder: PathBuf,
}

impl Signer {
    fn new(folder: &Path) -> Option<Self> {
        let made = installed("openssl")
            && Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
                .args(["-subj", "/CN=signer", "-keyout", "key.pem", "-out", "cert.pem"])
                .current_dir(folder)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        made.then(|| Self { folder: folder.to_owned() })
    }

    /// A token for `scopes` as the registry wants them.
    fn token(&self, scopes: &[String]) -> String {
        let pem = fs::read_to_string(self.folder.join("cert.pem")).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let access = scopes.iter().map(|scope| {
            let mut parts = scope.rsplitn(2, ':');
            let actions: Vec<&str> = parts.next().unwrap().split(',').collect();
            let (kind, name) = parts.next().unwrap().split_once(':').unwrap();
            json!({"type": kind, "name": name, "actions": actions})
        });
        let access: Vec<_> = access.collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": "tester", "sub": "user", "aud": "test", "exp": now + 300, "nbf": now - 10,
            "iat": now, "jti": "1", "access": access,
        });
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let body = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.sign(body.as_bytes()));
        format!("{body}.{signature}")
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let mut openssl = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", "key.pem"])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(bytes).unwrap();
        openssl.wait_with_output().unwrap().stdout
    }
}

/// Answers a request for a token to whoever knows the password; `None` for other requests.
fn token_server(signer: &Signer, request: &Request) -> Option<Reply> {
    if request.path() != "/token" {
        return None;
    }
    let known = format!("Basic {}", BASE64_STANDARD.encode("user:right"));
    if request.header("authorization") != Some(&known) {
        return Some(Reply::new(401, ""));
    }
    let pairs = request.target.split('?').nth(1).unwrap_or_default().split('&');
    let scopes: Vec<String> = pairs
        .filter_map(|pair| pair.strip_prefix("scope="))
        .map(|scope| scope.replace("%3A", ":").replace("%2F", "/").replace("%2A", "*"))
        .collect();
    let token = json!({"token": signer.token(&scopes), "expires_in": 300});
    Some(Reply::new(200, token.to_string()))
}

/// Passes a request on to the registry at `host`.
fn pass_on(host: &str, request: &Request) -> Reply {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut passed = agent.get(format!("http://{host}{}", request.target));
    for name in ["authorization", "accept", "range"] {
        if let Some(value) = request.header(name) {
            passed = passed.header(name, value);
        }
    }
    let mut answer = passed.call().unwrap();
    let mut body = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut body).unwrap();
    let mut reply = Reply::new(answer.status().as_u16(), body);
    for (name, value) in answer.headers() {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            reply.headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
        }
    }
    reply
}

/// The one address of a token server and a registry with `image` as `a/b:latest`.
struct Both {
    front: FaultRegistry,
    _registry: RealRegistry,
    folder: tempfile::TempDir,
}

fn start(image: &Image) -> Option<Both> {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new(folder.path())?;
    let behind: Arc<OnceLock<String>> = Arc::default();
    let (seen, signs) = (Arc::clone(&behind), signer.clone());
    let front = FaultRegistry::start(image, move |request| {
        let token = token_server(&signs, request);
        Some(token.unwrap_or_else(|| pass_on(seen.get().unwrap(), request)))
    });
    let auth = format!(
        "  token:\n    realm: http://{}/token\n    service: test\n    issuer: tester\n    \
         rootcertbundle: {}\n",
        front.host(),
        folder.path().join("cert.pem").display()
    );
    let setup = Setup { auth: Some(auth), ..Setup::default() };
    let registry = RealRegistry::start(&setup, &[("a/b", "latest", image)])?;
    behind.set(registry.host()).unwrap();
    Some(Both { front, _registry: registry, folder })
}

fn options(both: &Both, password: &str) -> Options {
    let auth = BASE64_STANDARD.encode(format!("user:{password}"));
    let path = both.folder.path().join("config.json");
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, both.front.host());
    fs::write(&path, text).unwrap();
    Options { auth_files: vec![path], ..Options::default() }
}

fn pull(both: &Both, options: &Options) -> Result<Vec<Vec<u8>>, ResolveError> {
    let source = open(&format!("{}/a/b", both.front.host()).parse().unwrap(), options)?;
    let mut blobs = Vec::new();
    for (layer, _) in resolve(source.as_ref())?.layers {
        let mut bytes = Vec::new();
        source.blob(&layer.descriptor, 0)?.read_to_end(&mut bytes).unwrap();
        blobs.push(bytes);
    }
    Ok(blobs)
}

#[test]
fn a_registry_that_wants_tokens() {
    let image = Image::small();
    let Some(both) = start(&image) else { return };
    let blobs = pull(&both, &options(&both, "right")).unwrap();
    assert_eq!(blobs, image.layers.iter().map(|layer| layer.bytes.clone()).collect::<Vec<_>>());
    assert_eq!(both.front.requests_for("/token"), 1);
    let error = pull(&both, &options(&both, "wrong")).map(|_| ()).expect_err("nobody we know");
    assert!(error.to_string().contains("refused the credentials"), "{error}");
    let error = pull(&both, &Options::default()).map(|_| ()).expect_err("nobody at all");
    assert!(error.to_string().contains("refused to give an anonymous token"), "{error}");
}

#[test]
fn each_list_has_a_token_of_its_own() {
    let image = Image::small();
    let Some(both) = start(&image) else { return };
    let registry = Registry::new(&both.front.host(), &options(&both, "right")).unwrap();
    assert_eq!(registry.tags("a/b").unwrap(), ["latest"]);
    assert_eq!(registry.catalog().unwrap(), ["a/b"]);
    assert!(registry.tags("c").expect_err("no such repository").is_not_found());
    registry.check_access().unwrap();
    assert_eq!(both.front.requests_for("/token"), 4);
}
