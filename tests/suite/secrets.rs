//! "Secrets are in no log, error, argument list or core file": the program at its most talkative,
//! with a password, a token and signed addresses, where all goes well and where storage refuses.

#![allow(clippy::unwrap_used)]

use crate::support::figures;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::fault_registry::{FaultRegistry, Reply, Request};
use crate::support::image::Image;

/// `user:hunter2`, as a registry gets it.
const BASIC: &str = "dXNlcjpodW50ZXIy";

/// A registry that wants a token for the password, and sends who asks for blobs to `storage`.
fn registry(image: &Image, storage: &str) -> FaultRegistry {
    let storage = storage.to_owned();
    FaultRegistry::start(image, move |request: &Request| {
        if request.path() == "/token" {
            assert_eq!(request.header("authorization"), Some(&*format!("Basic {BASIC}")));
            let body = r#"{"token":"t0ps3cret","expires_in":300}"#;
            return Some(Reply::new(200, body).with("Content-Type", "application/json"));
        }
        if request.header("authorization") != Some("Bearer t0ps3cret") {
            let host = request.header("host").unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
            return Some(Reply::new(401, "").with("WWW-Authenticate", &challenge));
        }
        let to = format!("http://{storage}{}?X-Sig=s1gnature", request.path());
        request.path().contains("/blobs/").then(|| Reply::redirect(307, &to))
    })
}

/// All that the program says about a pull.
fn pull(home: &Path, server: &FaultRegistry) -> (bool, String) {
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"{BASIC}"}}}}}}"#, server.host());
    fs::create_dir_all(home.join(".docker")).unwrap();
    fs::write(home.join(".docker/config.json"), auths).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    command.arg("--root").arg(home.join("store")).args(["--log-level", "trace", "pull"]);
    command.arg(format!("{}/test/image", server.host())).env("HOME", home).stdin(Stdio::null());
    let output = command.env_remove("DOCKER_CONFIG").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn assert_secret(said: &str) {
    for secret in ["hunter2", BASIC, "t0ps3cret", "s1gnature"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[test]
fn at_its_most_talkative_the_program_shows_no_secret() {
    let image = Image::small();
    let home = tempfile::tempdir().unwrap();
    let storage = FaultRegistry::start(&image, |_| None);
    let (pulled, said) = pull(home.path(), &registry(&image, &storage.host()));
    assert!(pulled, "{said}");
    assert!(storage.requests().iter().any(|request| request.target.contains("s1gnature")));
    assert!(said.contains("debug") && said.contains("?[...]"), "it is talkative: {said}");
    assert_secret(&said);
}

#[test]
fn an_error_shows_no_secret() {
    let image = Image::small();
    let home = tempfile::tempdir().unwrap();
    let storage = FaultRegistry::start(&image, |request| {
        let text = format!("no access to {}", request.target);
        Some(Reply::error(404, "NoSuchKey", &text))
    });
    let (pulled, said) = pull(home.path(), &registry(&image, &storage.host()));
    assert!(!pulled, "{said}");
    assert!(said.contains("its storage gave no reason"), "{said}");
    assert_secret(&said);
}

#[test]
#[should_panic(expected = "hunter2")]
fn planted_a_shown_secret_is_noticed() {
    figures::once("planted faults");
    assert_secret("shale: debug: GET http://user:hunter2@h/");
}
