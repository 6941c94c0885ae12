//! Manifests and configs that are not what they should be (CVE-2021-41190, GHSA-qv35-3gw6-8q4j).

use shalefs::oci::Digest;
use shalefs::pull::PullError;
use shalefs::source::registry::RegistryError;
use shalefs::source::{SourceError, open};

use super::{Bench, serve};
use crate::support::fault_registry::{FaultRegistry, Reply, manifest};
use crate::support::image::{Blob, Image, MANIFEST, index_of};

/// A registry that serves `manifest` for the tag.
fn serving(served: Reply) -> FaultRegistry {
    serve(&Image::small(), move |request| request.is_manifest().then(|| served.clone()))
}

fn error_of(server: &FaultRegistry) -> PullError {
    Bench::new().fails(server).0
}

fn plain(body: &str) -> Reply {
    Reply::new(200, body).with("Content-Type", MANIFEST)
}

#[test]
fn cve_2020_1702_a_manifest_of_five_mebibytes() {
    let server = serving(plain(&format!("{{{}}}", " ".repeat(5 << 20))));
    let text = error_of(&server).to_string();
    assert!(text.contains("larger than the limit of 4194304 bytes"), "{text}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_manifest_of_five_mebibytes_in_chunks() {
    let body = format!("{{{}}}", " ".repeat(5 << 20));
    let text = error_of(&serving(plain(&body).length(None))).to_string();
    assert!(text.contains("larger than the limit of 4194304 bytes"), "{text}");
}

#[test]
fn a_manifest_at_the_limit() {
    let image = Image::small();
    let mut bytes = image.manifest.bytes.clone();
    bytes.resize(4 << 20, b' ');
    let blob = Blob::new(MANIFEST, bytes);
    Bench::new().pull(&serving_in(&image, manifest(&blob))).expect("exactly at the limit");
}

fn serving_in(image: &Image, served: Reply) -> FaultRegistry {
    serve(image, move |request| request.is_manifest().then(|| served.clone()))
}

#[test]
fn a_page_for_people_is_said_to_be_one() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    for served in [
        Reply::new(200, page).with("Content-Type", "text/html; charset=utf-8"),
        Reply::new(200, page),
        Reply::new(200, "").with("Content-Type", "text/html"),
    ] {
        let server = serving(served);
        let text = error_of(&server).to_string();
        assert!(text.contains("HTML") && text.contains(&server.host()), "{text}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn errors_with_status_200_have_the_registrys_words() {
    let mut served = Reply::error(200, "DENIED", "pull rate \u{1b}[31mexceeded");
    for content_type in ["application/json", MANIFEST] {
        served = served.with("Content-Type", content_type);
        let server = serving(served.clone());
        let text = error_of(&server).to_string();
        assert!(text.contains("DENIED: pull rate \\u{1b}[31mexceeded"), "{text}");
        assert!(text.contains(&server.host()), "{text}");
    }
}

#[test]
fn types_that_say_nothing() {
    let image = Image::small();
    for content_type in [
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain; charset=utf-8",
        "application/json",
    ] {
        let served = Reply::new(200, image.manifest.bytes.clone());
        Bench::new().pull(&serving(served.with("Content-Type", content_type))).expect(content_type);
    }
}

#[test]
fn json_that_is_too_deep() {
    let body = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let text = error_of(&serving(plain(&body))).to_string();
    assert!(text.contains("deeper than the limit of 64"), "{text}");
}

#[test]
fn an_empty_manifest() {
    assert!(matches!(error_of(&serving(plain(""))), PullError::Document { .. }));
}

#[test]
fn the_wrong_content_type() {
    let image = Image::small();
    let reply =
        manifest(&image.manifest).with("Content-Type", "application/vnd.oci.image.index.v1+json");
    let text = error_of(&serving_in(&image, reply)).to_string();
    assert!(text.contains("declared as"), "{text}");
}

#[test]
fn no_content_type() {
    let image = Image::small();
    let mut reply = manifest(&image.manifest);
    reply.headers.retain(|(name, _)| name != "Content-Type");
    Bench::new().pull(&serving_in(&image, reply)).expect("the body says what it is");
}

#[test]
fn cve_2021_41190_both_manifests_and_layers() {
    let image = Image::small();
    let mut body: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    body["manifests"] = serde_json::json!([]);
    let blob = Blob::new(MANIFEST, body.to_string());
    let text = error_of(&serving_in(&image, manifest(&blob))).to_string();
    assert!(text.contains("both \"manifests\" and \"layers\""), "{text}");
}

#[test]
fn schema_1() {
    let body = r#"{"schemaVersion":1,"name":"x","fsLayers":[],"history":[]}"#;
    let reply = Reply::new(200, body)
        .with("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws");
    let text = error_of(&serving(reply)).to_string();
    assert!(text.contains("too old"), "{text}");
}

#[test]
fn an_unknown_media_type() {
    let body = r#"{"schemaVersion":2,"mediaType":"application/vnd.x.y+json"}"#;
    let reply = Reply::new(200, body).with("Content-Type", "application/vnd.x.y+json");
    let text = error_of(&serving(reply)).to_string();
    assert!(text.contains("neither") || text.contains("vnd.x.y+json"), "{text}");
}

#[test]
fn a_lying_digest_header() {
    let image = Image::small();
    let lie = Digest::sha256(b"a lie").to_string();
    let reply = manifest(&image.manifest).with("Docker-Content-Digest", &lie);
    let error = error_of(&serving_in(&image, reply));
    assert!(error.is_mismatch(), "{error}");
}

#[test]
fn a_digest_header_that_is_none() {
    let image = Image::small();
    for value in ["", "sha256:../../etc", "md5:00", "nonsense"] {
        let reply = manifest(&image.manifest).with("Docker-Content-Digest", value);
        Bench::new().pull(&serving_in(&image, reply)).expect("nothing to check against");
    }
}

#[test]
fn a_digest_header_in_sha512() {
    use shalefs::oci::Algorithm;
    let image = Image::small();
    let digest = Digest::of(Algorithm::Sha512, &image.manifest.bytes);
    let reply = manifest(&image.manifest).with("Docker-Content-Digest", &digest.to_string());
    let server = serving_in(&image, reply);
    let name = format!("{}/test/image", server.host()).parse().unwrap();
    let root = open(&name, &Bench::new().options).unwrap().root().expect("it is right");
    assert_eq!(root.descriptor.digest, digest);
}

#[test]
fn ghsa_qv35_3gw6_8q4j_a_pinned_digest_is_checked() {
    let (wanted, other) = (Image::small(), Image::large());
    // Another image's manifest, correct in itself, and its own digest in the header.
    let server = serving(manifest(&other.manifest));
    let name = format!("{}/test/image:latest@{}", server.host(), wanted.manifest.digest());
    let (error, text) = Bench::new().refused_by_name(&name);
    assert!(error.is_mismatch(), "{text}");
    assert!(text.contains(&wanted.manifest.digest().to_string()), "{text}");
}

#[test]
fn a_tag_that_moves_between_requests() {
    let (first, second) = (Image::small(), Image::large());
    let (one, two) = (first.manifest.clone(), second.manifest.clone());
    let server = serve(&first, move |request| {
        let moves = request.is_manifest() && request.path().ends_with("/latest");
        moves.then(|| manifest(if request.earlier == 0 { &one } else { &two }))
    });
    let pulled = Bench::new().pull(&server).expect("all of the first image");
    assert_eq!(pulled.digest, first.manifest.digest());
    assert_eq!(server.requests_for("/latest"), 1, "a tag is asked for once");
}

#[test]
fn a_config_with_other_bytes_of_the_right_length() {
    let image = Image::small();
    let config = image.config.clone();
    let server = serve(&image, move |request| {
        let mut bytes = config.bytes.clone();
        bytes[3] ^= 1;
        request.is_blob(&config).then(|| Reply::new(200, bytes))
    });
    assert!(error_of(&server).is_mismatch());
}

#[test]
fn a_config_that_is_too_short() {
    let image = Image::small();
    let config = image.config.clone();
    let server =
        serve(&image, move |request| request.is_blob(&config).then(|| Reply::new(200, "{}")));
    assert!(error_of(&server).is_mismatch());
}

#[test]
fn more_layers_than_diff_ids() {
    let image = Image::small();
    let mut layers = image.layers.clone();
    layers.push(image.layers[0].clone());
    let blob = crate::support::image::manifest_of(&image.config, &layers);
    let text = error_of(&serving_in(&image, manifest(&blob))).to_string();
    assert!(text.contains("3 layers") && text.contains("2 DiffIDs"), "{text}");
}

#[test]
fn a_list_without_the_platform() {
    let image = Image::small();
    let list =
        index_of(&[(&image.manifest, "linux", "s390x"), (&image.manifest, "linux", "arm64")]);
    let text = error_of(&serving_in(&image, manifest(&list))).to_string();
    assert!(
        text.ends_with("no image for linux/amd64; there is linux/s390x, linux/arm64"),
        "{text}"
    );
}

#[test]
fn a_list_that_holds_itself() {
    // It cannot hold its own digest, so the registry lies about what it serves.
    let image = Image::small();
    let list = index_of(&[(&Blob::new(crate::support::image::INDEX, "x"), "linux", "amd64")]);
    let (error, _) = Bench::new().refused(&serving_in(&image, manifest(&list)));
    assert!(matches!(error, RegistryError::Mismatch(_)));
}

#[test]
fn a_list_entry_that_lies_about_its_size() {
    let image = Image::small();
    let mut list: serde_json::Value =
        serde_json::from_slice(&index_of(&[(&image.manifest, "linux", "amd64")]).bytes).unwrap();
    list["manifests"][0]["size"] = serde_json::json!(7);
    let list = Blob::new(crate::support::image::INDEX, list.to_string());
    let served = manifest(&list);
    let server = serve(&image, move |request| {
        request.path().ends_with("/manifests/latest").then(|| served.clone())
    });
    assert!(error_of(&server).is_mismatch());
}

#[test]
fn a_list_entry_that_is_too_large_is_not_fetched() {
    let image = Image::small();
    let mut list: serde_json::Value =
        serde_json::from_slice(&index_of(&[(&image.manifest, "linux", "amd64")]).bytes).unwrap();
    list["manifests"][0]["size"] = serde_json::json!(5 << 20);
    let list = Blob::new(crate::support::image::INDEX, list.to_string());
    let server = serving_in(&image, manifest(&list));
    let (error, _) = Bench::new().fails_by_name(&super::name_at(&server));
    assert!(matches!(error, PullError::Source(SourceError::TooLarge { .. })));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn cve_2024_3727_a_digest_is_no_path() {
    let body = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
        "digest":"sha256:../../../../../../etc/passwd","size":2},"layers":[]}"#;
    let server = serving(plain(body));
    let text = error_of(&server).to_string();
    assert!(text.contains("not 64 lower-case hexadecimal digits"), "{text}");
    assert_eq!(server.requests().len(), 1, "nothing is asked for by such a digest");
}

#[test]
fn a_list_is_resolved_by_digest() {
    let image = Image::small();
    let list = index_of(&[(&image.manifest, "linux", "amd64")]);
    let served = manifest(&list);
    let server = serve(&image, move |request| {
        request.path().ends_with("/manifests/latest").then(|| served.clone())
    });
    let pulled = Bench::new().pull(&server).expect("there is one");
    assert_eq!(pulled.digest, list.digest());
    assert_eq!(pulled.image.manifest.digest, image.manifest.digest());
}
