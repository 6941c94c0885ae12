//! Parsers of foreign text, given what nobody should write: none may panic or take long, and what
//! they take must be what it seems.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shalefs::oci::{Config, Document, ImageName, Platform, Reference, escaped};
use shalefs::source::registry::{ContentRange, next_link, parse_challenges};

/// Text that is nearly right: pieces of the real thing in any order.
fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

const REFERENCE: &[&str] = &[
    "a",
    "b1",
    "A",
    ".",
    "..",
    "-",
    "_",
    "__",
    "/",
    "//",
    ":",
    "@",
    "sha256:",
    "localhost",
    "docker.io",
    "library",
    "[::1]",
    "5000",
    "latest",
    "oci:",
    "docker-archive:",
    "docker://",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

const CHALLENGE: &[&str] = &[
    "Bearer",
    "Basic",
    " ",
    "realm",
    "=",
    "\"",
    "\\",
    ",",
    "https://a/t",
    "service",
    "scope",
    "\t",
    "repository:x:pull",
    "token68==",
];

const RANGE: &[&str] = &["bytes", " ", "0", "9", "18446744073709551616", "-", "/", "*", "+", ","];

const LINK: &[&str] = &["<", ">", ";", "rel", "=", "\"", "next", "/v2/_catalog?n=1", ",", " "];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\"manifests\"",
    "\"layers\"",
    "\"config\"",
    "\"mediaType\"",
    "\"application/vnd.oci.image.manifest.v1+json\"",
    "\"digest\"",
    "\"size\"",
    "1",
    "-1",
    "1e999",
    "null",
    "true",
    "\"rootfs\"",
    "\"diff_ids\"",
    "\"history\"",
    "\"Labels\"",
    "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn references(text in pieces(REFERENCE)) {
        if let Ok(reference) = text.parse::<Reference>() {
            let full: Reference = reference.to_string().parse().unwrap();
            prop_assert_eq!(full.canonical(), reference.canonical());
            let short: Reference = reference.familiar().parse().unwrap();
            prop_assert_eq!(short.canonical(), reference.canonical());
            let path = reference.repository();
            prop_assert!(path.split('/').all(|part| !part.is_empty() && part != ".."));
            prop_assert!(!reference.registry().contains('/'));
        }
        if let Ok(name) = text.parse::<ImageName>() {
            prop_assert_eq!(name.to_string().parse::<ImageName>().unwrap(), name);
        }
    }

    #[test]
    fn platforms(text in "[a-z0-9/()._A-Z-]{0,24}") {
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.normal(), platform.clone());
            prop_assert!(platform.preferences().len() < 120);
            prop_assert!(platform.preferences()[0].matches(&platform));
        }
    }

    #[test]
    fn challenges(text in pieces(CHALLENGE)) {
        for challenge in parse_challenges(&text) {
            prop_assert!(!challenge.scheme.is_empty());
            prop_assert!(challenge.parameters.iter().all(|(name, _)| !name.is_empty()));
        }
    }

    #[test]
    fn content_ranges(text in pieces(RANGE)) {
        if let Some(ContentRange::Part { first, last, total }) = ContentRange::parse(&text) {
            prop_assert!(first <= last && total.is_none_or(|total| last < total));
        }
    }

    #[test]
    fn links(text in pieces(LINK)) {
        if let Some(target) = next_link(&text) {
            prop_assert!(!target.contains(['<', '>']) || text.contains("<<"));
        }
    }

    #[test]
    fn documents(text in pieces(JSON)) {
        let _ = Document::parse(text.as_bytes(), "");
        let _ = Config::parse(text.as_bytes());
    }

    #[test]
    fn nothing_drives_the_terminal(text in any::<String>()) {
        let shown = escaped(&text).to_string();
        prop_assert!(!shown.chars().any(char::is_control));
    }
}

/// Every byte of a good document changed in turn.
#[test]
fn documents_with_one_wrong_byte() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let good = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a","digest":"{digest}","size":1}},
        "layers":[{{"mediaType":"b","digest":"{digest}","size":2}}]}}"#
    );
    assert!(Document::parse(good.as_bytes(), "").is_ok());
    for at in 0..good.len() {
        for byte in [0, b'"', b'{', b'\\', b'9', 0xff] {
            let mut bad = good.clone().into_bytes();
            bad[at] = byte;
            let _ = Document::parse(&bad, "");
            let _ = Config::parse(&bad);
        }
    }
}
