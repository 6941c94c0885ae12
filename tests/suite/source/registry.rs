//! Against a real registry (Debian's `docker-registry`): by tag and digest, with a password, over
//! TLS with a CA of our own, and with a client certificate.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::certificates::certificates;
use crate::support::image::Image;
use crate::support::real_registry::{RealRegistry, Setup, installed};
use crate::support::resolve::{ResolveError, resolve};
use shalefs::oci::Digest;
use shalefs::source::registry::{Fault, Registry, RegistryError};
use shalefs::source::{Options, SourceError, open};

/// Fetches an image and compares every byte.
fn pull(name: &str, image: &Image, options: &Options) -> Result<(), ResolveError> {
    let source = open(&name.parse().unwrap(), options)?;
    let found = resolve(source.as_ref())?;
    assert_eq!(found.manifest, image.manifest.bytes);
    assert_eq!(found.config, image.config.bytes);
    for ((layer, diff_id), (blob, tar)) in
        found.layers.iter().zip(image.layers.iter().zip(&image.tars))
    {
        let mut bytes = Vec::new();
        source.blob(&layer.descriptor, 0)?.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, blob.bytes);
        assert_eq!(diff_id.0, Digest::sha256(tar));
    }
    Ok(())
}

fn registry_error(result: Result<(), ResolveError>) -> RegistryError {
    match result {
        Err(ResolveError::Source(SourceError::Registry(error))) => error,
        other => panic!("an error of the registry and not {other:?}"),
    }
}

/// Options with the password of `user` for `host`.
fn with_password(host: &str, password: &str, folder: &Path) -> Options {
    use base64::Engine as _;
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("user:{password}"));
    let path = folder.join("config.json");
    fs::write(&path, format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    Options { auth_files: vec![path], ..Options::default() }
}

/// Options with `files` (name and source) as `certs.d/HOST/NAME`.
fn with_certificates(host: &str, files: &[(&str, &Path)], folder: &Path) -> Options {
    let certs = folder.join("certs.d").join(host);
    fs::create_dir_all(&certs).unwrap();
    for (name, from) in files {
        fs::copy(from, certs.join(name)).unwrap();
    }
    Options { certs_dirs: vec![folder.join("certs.d")], ..Options::default() }
}

#[test]
fn by_tag_and_by_digest() {
    let image = Image::large();
    let images = [("a/b", "v1", &image)];
    let Some(server) = RealRegistry::start(&Setup::default(), &images) else { return };
    let (options, host) = (Options::default(), server.host());
    pull(&format!("{host}/a/b:v1"), &image, &options).unwrap();
    let digest = image.manifest.digest();
    pull(&format!("docker://{host}/a/b@{digest}"), &image, &options).unwrap();
    pull(&format!("{host}/a/b:moved@{digest}"), &image, &options).unwrap();
    let source = open(&format!("{host}/a/b:v1").parse().unwrap(), &options).unwrap();
    assert_eq!(source.root_digest().unwrap(), Some(digest), "HEAD is enough for the digest");
    let missing = registry_error(pull(&format!("{host}/a/b:v2"), &image, &options));
    assert!(missing.is_not_found(), "{missing}");
    assert!(missing.to_string().contains("MANIFEST_UNKNOWN"), "{missing}");
    let missing = registry_error(pull(&format!("{host}/a/c"), &image, &options));
    assert!(missing.is_not_found(), "{missing}");
}

#[test]
fn ranges() {
    let image = Image::large();
    let Some(server) = RealRegistry::start(&Setup::default(), &[("x", "latest", &image)]) else {
        return;
    };
    let name = format!("{}/x", server.host()).parse().unwrap();
    let source = open(&name, &Options::default()).unwrap();
    let descriptor = image.layers[1].descriptor();
    for offset in [0, 1, 1_234_567, descriptor.size - 1, descriptor.size] {
        let mut bytes = Vec::new();
        source.blob(&descriptor, offset).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, image.layers[1].bytes[usize::try_from(offset).unwrap()..]);
    }
}

#[test]
fn tags_and_catalog() {
    let image = Image::small();
    let images = [("a/b", "v1", &image), ("a/b", "v2", &image), ("c", "latest", &image)];
    let Some(server) = RealRegistry::start(&Setup::default(), &images) else { return };
    let registry = Registry::new(&server.host(), &Options::default()).unwrap();
    let mut tags = registry.tags("a/b").unwrap();
    tags.sort();
    assert_eq!(tags, ["v1", "v2"]);
    assert_eq!(registry.catalog().unwrap(), ["a/b", "c"]);
    registry.check_access().unwrap();
}

#[test]
fn with_a_password() {
    if !installed("htpasswd") {
        return;
    }
    let line = Command::new("htpasswd").args(["-nbB", "user", "right"]).output().unwrap().stdout;
    let setup = Setup { htpasswd: Some(String::from_utf8(line).unwrap()), ..Setup::default() };
    let image = Image::small();
    let Some(server) = RealRegistry::start(&setup, &[("x", "latest", &image)]) else { return };
    let (host, name) = (server.host(), format!("{}/x", server.host()));
    pull(&name, &image, &with_password(&host, "right", server.folder())).unwrap();
    let wrong = with_password(&host, "wrong", server.folder());
    let error = registry_error(pull(&name, &image, &wrong));
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong\""), "{error:?}");
    let error = registry_error(pull(&name, &image, &Options::default()));
    assert!(error.to_string().contains("UNAUTHORIZED"), "{error}");
    let registry = Registry::new(&host, &wrong).unwrap();
    assert!(registry.check_access().is_err());
}

fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.cert")), folder.join(format!("{name}.key")))
}

#[test]
fn over_tls_with_a_ca_of_our_own() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        return;
    }
    let setup = Setup { tls: Some(files(folder.path(), "server")), ..Setup::default() };
    let image = Image::small();
    let Some(server) = RealRegistry::start(&setup, &[("x", "latest", &image)]) else { return };
    let (host, name) = (server.host(), format!("{}/x", server.host()));
    let ca = folder.path().join("ca.crt");
    let trusting = with_certificates(&host, &[("ca.crt", &ca)], server.folder());
    pull(&name, &image, &trusting).unwrap();
    let insecure = Options { insecure: true, ..Options::default() };
    pull(&name, &image, &insecure).unwrap();
    let error = registry_error(pull(&name, &image, &Options::default()));
    let untrusted = |error: &RegistryError| {
        matches!(error, RegistryError::Transport { fault: Fault::Tls(_), .. })
    };
    assert!(untrusted(&error), "http is only assumed on loopback: {error}");
    let other_ca = with_certificates(&host, &[], server.folder());
    fs::write(server.folder().join("certs.d").join(&host).join("ca.crt"), "no certificate")
        .unwrap();
    let error = registry_error(pull(&name, &image, &other_ca));
    assert!(matches!(error, RegistryError::Config { .. }), "{error}");
}

#[test]
fn a_registry_without_tls_is_no_tls_error() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        return;
    }
    let image = Image::small();
    let Some(server) = RealRegistry::start(&Setup::default(), &[("x", "latest", &image)]) else {
        return;
    };
    let ca = folder.path().join("ca.crt");
    let options = with_certificates(&server.host(), &[("ca.crt", &ca)], server.folder());
    let error = registry_error(pull(&format!("{}/x", server.host()), &image, &options));
    assert!(error.to_string().contains("not TLS"), "with a CA it must be TLS: {error}");
}

#[test]
fn with_a_client_certificate() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        return;
    }
    let ca = folder.path().join("ca.crt");
    let setup = Setup {
        tls: Some(files(folder.path(), "server")),
        client_ca: Some(ca.clone()),
        ..Setup::default()
    };
    let image = Image::small();
    let Some(server) = RealRegistry::start(&setup, &[("x", "latest", &image)]) else { return };
    let (host, name) = (server.host(), format!("{}/x", server.host()));
    let (chain, key) = files(folder.path(), "client");
    let nobody = with_certificates(&host, &[("ca.crt", &ca)], server.folder());
    assert!(pull(&name, &image, &nobody).is_err(), "nobody comes in without");
    let all: [(&str, &Path); 3] = [("ca.crt", &ca), ("me.cert", &chain), ("me.key", &key)];
    let somebody = with_certificates(&host, &all, server.folder());
    pull(&name, &image, &somebody).unwrap();
    let (_, wrong_key) = files(folder.path(), "other");
    let mixed = with_certificates(&host, &[("me.key", &wrong_key)], server.folder());
    let error = registry_error(pull(&name, &image, &mixed));
    assert!(error.to_string().contains("does not fit"), "an error and no panic: {error}");
}
