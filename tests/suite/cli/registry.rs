//! The command against Debian's `docker-registry`: passwords kept where docker, podman and skopeo
//! read them, credential helpers, certificates and mirrors from files, lists in pages.

#![allow(clippy::unwrap_used)]

use crate::support::cli;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::certificates::certificates;
use crate::support::cli::Home;
use crate::support::fault_registry::{FaultRegistry, Reply};
use crate::support::image::Image;
use crate::support::real_registry::{RealRegistry, Setup, installed};

pub const SECRET: &str = "pass word:with=all";

/// A registry that wants a password.
fn guarded(image: &Image) -> Option<RealRegistry> {
    if !installed("htpasswd") {
        return None;
    }
    let line = Command::new("htpasswd").args(["-nbB", "user", SECRET]).output().unwrap().stdout;
    let setup = Setup { htpasswd: Some(String::from_utf8(line).unwrap()), ..Setup::default() };
    RealRegistry::start(&setup, &[("team/x", "latest", image)])
}

fn login(home: &Home, host: &str, password: &str) -> cli::Said {
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    command.args(["login", "--username", "user", "--password-stdin", host]);
    home.run(&mut command, &format!("{password}\n"))
}

#[test]
fn a_login_that_others_read() {
    let image = Image::small();
    let Some(server) = guarded(&image) else { return };
    let (home, host) = (Home::new(), server.host());
    let name = format!("{host}/team/x");
    let error = home.fails(1, &["pull", &name]);
    assert!(error.contains("UNAUTHORIZED") && error.contains("hint: `shale login"), "{error}");

    let said = login(&home, &host, "wrong one");
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(!home.path(".docker/config.json").exists(), "what does not work is not kept");
    assert!(!said.stderr.contains("wrong one"), "{}", said.stderr);
    let refused = home.shale(&["login", "--username", "user", "--password", SECRET, &host]);
    assert_eq!(refused.status, 2, "a password is never an argument");

    home.write(".docker/config.json", r#"{"detachKeys": "ctrl-x", "auths": {"other": {}}}"#);
    let said = login(&home, &host, SECRET);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("Login Succeeded"), "{}", said.stderr);
    let file = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    assert!(file.contains("ctrl-x") && file.contains("\"other\""), "the rest is kept: {file}");
    home.ok(&["pull", &name]);
    assert_eq!(home.ok(&["search", &format!("{host}/")]), format!("NAME\n{host}/team/x\n"));
    if installed("skopeo") {
        let config = home.path(".docker/config.json");
        let mut skopeo = home.program("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--authfile"]).arg(&config);
        let said = home.run(skopeo.arg(format!("docker://{name}")), "");
        assert_eq!(said.status, 0, "{}", said.stderr);
    }

    assert!(home.shale(&["logout", &host]).stderr.contains("Removing login credentials"));
    home.fails(1, &["pull", &name]);
    assert!(home.shale(&["logout", &host]).stderr.contains("Not logged in"));
}

#[test]
fn who_has_to_wait_is_told_why() {
    let image = Image::small();
    let busy = AtomicBool::new(true);
    let server = FaultRegistry::start(&image, move |request| {
        let too_many =
            || Reply::error(429, "TOOMANYREQUESTS", "slow down").with("Retry-After", "1");
        (request.is_manifest() && busy.swap(false, Ordering::Relaxed)).then(too_many)
    });
    let said = Home::new().shale(&["pull", &format!("{}/test/image", server.host())]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let told = |line: &str| line.contains("slow down") && line.ends_with("next try in 1.00 s");
    assert!(said.stderr.lines().any(told), "{}", said.stderr);
}

#[test]
fn what_is_missing_is_named_when_it_cannot_be_fetched_again() {
    let image = Image::small();
    let server = FaultRegistry::start(&image, |_| None);
    let (home, name) = (Home::new(), format!("{}/test/image", server.host()));
    home.ok(&["pull", &name]);
    // Nobody listens there any more.
    let name = {
        home.ok(&["tag", &name, "localhost:1/test/image"]);
        "localhost:1/test/image"
    };
    let layer = image.layers[0].digest();
    fs::remove_file(home.path(&format!("store/blobs/sha256/{}", layer.hex()))).unwrap();
    let error = home.fails(1, &["cat", name, "/etc/os-release"]);
    let (missing, refused) = (error.find(&layer.to_string()), error.find("connection refused"));
    assert!(missing.is_some() && missing < refused, "{error}");
    assert!(error.contains("hint: pull the image again"), "{error}");
}

#[test]
fn a_login_of_skopeo() {
    let image = Image::small();
    let Some(server) = guarded(&image) else { return };
    if !installed("skopeo") {
        return;
    }
    let (home, host) = (Home::new(), server.host());
    let file = home.path("auth.json");
    let mut skopeo = home.program("skopeo");
    skopeo.args(["login", "--tls-verify=false", "-u", "user", "--password-stdin", "--authfile"]);
    let said = home.run(skopeo.arg(&file).arg(&host), SECRET);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let mut shale = home.program(env!("CARGO_BIN_EXE_shale"));
    shale.env("REGISTRY_AUTH_FILE", &file).args(["pull", &format!("{host}/team/x")]);
    assert_eq!(home.run(&mut shale, "").status, 0);
}

/// A helper that keeps its secrets in a file beside it.
pub const HELPER: &str = r#"#!/bin/sh
file=$(dirname "$0")/secrets
case $1 in
store) cat > "$file" ;;
get) cat > /dev/null; [ -s "$file" ] && cat "$file" ||
    { echo "credentials not found in native keychain"; exit 1; } ;;
erase) cat > /dev/null; rm "$file" || { echo "credentials not found in native keychain"; exit 1; } ;;
esac
"#;

#[test]
fn a_credential_helper_keeps_the_password() {
    let image = Image::small();
    let Some(server) = guarded(&image) else { return };
    let (home, host) = (Home::new(), server.host());
    home.write("bin/docker-credential-test", HELPER);
    let helper = home.path("bin/docker-credential-test");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    home.write(".docker/config.json", r#"{"credsStore": "test"}"#);
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let shale = |words: &[&str], input: &str| {
        let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
        home.run(command.env("PATH", &path).args(words), input)
    };
    let name = format!("{host}/team/x");
    assert_eq!(shale(&["pull", &name], "").status, 1, "the helper knows nothing yet");
    let words = ["login", "--username", "user", "--password-stdin", &host];
    let said = shale(&words, SECRET);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let config = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    assert!(config.contains(&host) && !config.contains("auth\""), "no secret here: {config}");
    assert!(fs::read_to_string(home.path("bin/secrets")).unwrap().contains(SECRET));
    assert_eq!(shale(&["pull", &name], "").status, 0);
    assert_eq!(shale(&["logout", &host], "").status, 0);
    assert!(!home.path("bin/secrets").exists());
    assert_eq!(shale(&["pull", &name], "").status, 1);
}

/// A registry with a certificate of a CA of our own, and the file of that CA.
fn with_tls(folder: &Path, image: &Image) -> Option<RealRegistry> {
    if !certificates(folder) {
        return None;
    }
    let files = (folder.join("server.cert"), folder.join("server.key"));
    let setup = Setup { tls: Some(files), ..Setup::default() };
    RealRegistry::start(&setup, &[("team/x", "v1", image)])
}

#[test]
fn certificates_and_mirrors_from_files() {
    let (folder, image) = (tempfile::tempdir().unwrap(), Image::small());
    let Some(server) = with_tls(folder.path(), &image) else { return };
    let (home, host) = (Home::new(), server.host());
    let name = format!("{host}/team/x:v1");
    let error = home.fails(1, &["pull", &name]);
    assert!(error.contains("--insecure"), "says what can be done: {error}");
    home.ok(&["pull", "--insecure", &name]);
    home.ok(&["rm", &name]);

    let ca = fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    home.write(&format!("certs.d/{host}/ca.crt"), &ca);
    home.ok(&["pull", &name]);
    let error = home.fails(1, &["pull", "--plain-http", &format!("{host}/team/y")]);
    assert!(error.contains("not found"), "with a certificate it is TLS all the same: {error}");

    // The same as containerd has it, for a registry that is not there: its mirror serves.
    home.write("certs.d/mirrored.example/ca.pem", &ca);
    let hosts = format!(
        "server = \"https://mirrored.example\"\n[host.\"https://{host}\"]\n\
         capabilities = [\"pull\", \"resolve\"]\nca = \"ca.pem\"\n"
    );
    home.write("certs.d/mirrored.example/hosts.toml", &hosts);
    let mirrored = "mirrored.example/team/x:v1";
    assert_eq!(home.ok(&["pull", mirrored]), format!("{mirrored}\n"));
    let rows = home.ok(&["ls", "--format", "{{.Repository}} {{.Digest}}", "mirrored.example/*/*"]);
    assert_eq!(rows, format!("mirrored.example/team/x {}\n", image.manifest.digest()));
    home.write("certs.d/mirrored.example/hosts.toml", "server = 7\n");
    let error = home.fails(1, &["pull", mirrored]);
    assert!(error.contains("hosts.toml"), "names the file: {error}");
}

#[test]
fn a_catalog_of_several_pages() {
    let image = Image::small();
    let names: Vec<String> = (0..1010).map(|number| format!("many/r{number:04}")).collect();
    let mut images: Vec<(&str, &str, &Image)> =
        names.iter().map(|name| (name.as_str(), "v1", &image)).collect();
    images.push(("many/r0007", "v2", &image));
    let Some(server) = RealRegistry::start(&Setup::default(), &images) else { return };
    let (home, host) = (Home::new(), server.host());
    let names = |words: &[&str]| {
        home.ok(&[&["search", "--format", "{{.Name}}"], words].concat())
            .lines()
            .map(|line| line.trim_start_matches(&format!("{host}/")).to_owned())
            .collect::<Vec<_>>()
    };
    // A page has a thousand names; these are on the second.
    let last: Vec<String> = (1001..1010).map(|number| format!("many/r{number}")).collect();
    assert_eq!(names(&[&format!("{host}/r10")])[1..], last);
    assert_eq!(names(&["--limit", "3", &format!("{host}/many")]).len(), 3);
    let mut tags = names(&[&format!("{host}/many/r0007")]);
    tags.sort();
    assert_eq!(tags, ["many/r0007:v1", "many/r0007:v2"]);
    assert_eq!(names(&[&format!("{host}/nothing")]), Vec::<String>::new());
}
