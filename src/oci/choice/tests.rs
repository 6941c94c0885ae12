//! Choices as containerd makes them, on lists without bytes.

use std::collections::HashMap;

use super::*;
use crate::oci::Digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A choice that failed, or `None` for a document that could not be had.
#[derive(Debug, PartialEq)]
struct Failure(Option<ChoiceError>);

impl From<ChoiceError> for Failure {
    fn from(error: ChoiceError) -> Self {
        Self(Some(error))
    }
}

/// Documents by digest; an entry's name is hashed to make its digest.
#[derive(Default)]
struct Shelf {
    documents: HashMap<Digest, Document>,
}

impl Shelf {
    fn entry(&mut self, name: &str, platform: &str) -> Descriptor {
        let digest = Digest::sha256(name.as_bytes());
        let manifest = Manifest {
            media_type: MANIFEST.to_owned(),
            config: Descriptor::new("", digest, 0),
            layers: Vec::new(),
        };
        self.documents.insert(digest, Document::Manifest(manifest));
        described(MANIFEST, digest, platform)
    }

    fn list(&mut self, name: &str, platform: &str, manifests: Vec<Descriptor>) -> Descriptor {
        let digest = Digest::sha256(name.as_bytes());
        self.documents.insert(digest, Document::Index(index(manifests)));
        described(INDEX, digest, platform)
    }

    fn choose(&self, entries: Vec<Descriptor>, wanted: &str) -> Result<Digest, Failure> {
        let wanted = wanted.parse().expect("a platform");
        let mut fetch = |descriptor: &Descriptor| {
            self.documents.get(&descriptor.digest).cloned().ok_or(Failure(None))
        };
        choose(&index(entries), &wanted, &mut fetch).map(|(descriptor, _)| descriptor.digest)
    }
}

fn described(media_type: &str, digest: Digest, platform: &str) -> Descriptor {
    let parts: Vec<&str> = platform.split('/').collect();
    let platform = (!platform.is_empty()).then(|| Platform {
        variant: parts.get(2).map(|variant| (*variant).to_owned()),
        ..Platform::new(parts[0], parts[1])
    });
    Descriptor { platform, ..Descriptor::new(media_type, digest, 1) }
}

fn index(manifests: Vec<Descriptor>) -> Index {
    Index { media_type: INDEX.to_owned(), manifests }
}

fn name(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

#[test]
fn the_best_of_a_list() {
    let list = [
        ("386", "linux/386"),
        ("v5", "linux/arm/v5"),
        ("v7", "linux/arm/v7"),
        ("arm64", "linux/arm64/v8"),
        ("amd64", "linux/amd64"),
        ("again", "linux/x86_64"),
        ("windows", "windows/amd64"),
        ("s390x", "linux/s390x"),
    ];
    for (wanted, chosen) in [
        ("linux/amd64", "amd64"),
        ("linux/amd64/v4", "amd64"),
        ("linux/aarch64", "arm64"),
        ("linux/arm/v8", "v7"),
        ("linux/arm/v6", "v5"),
        ("linux/386", "386"),
        ("windows/amd64", "windows"),
    ] {
        let mut shelf = Shelf::default();
        let entries = list.map(|(name, platform)| shelf.entry(name, platform)).to_vec();
        assert_eq!(shelf.choose(entries, wanted).expect(wanted), name(chosen), "{wanted}");
    }
}

#[test]
fn fallbacks() {
    let mut shelf = Shelf::default();
    let arm = vec![shelf.entry("v6", "linux/arm/v6"), shelf.entry("v7", "linux/arm/v7")];
    assert_eq!(shelf.choose(arm, "linux/arm64").expect("arm runs"), name("v7"));
    let old = vec![shelf.entry("386", "linux/386")];
    assert_eq!(shelf.choose(old, "linux/amd64").expect("386 runs"), name("386"));
}

#[test]
fn entries_without_a_platform_come_last() {
    let mut shelf = Shelf::default();
    let entries = vec![shelf.entry("bare", ""), shelf.entry("amd64", "linux/amd64")];
    assert_eq!(shelf.choose(entries.clone(), "linux/amd64").expect("found"), name("amd64"));
    assert_eq!(shelf.choose(entries, "linux/riscv64").expect("found"), name("bare"));
}

#[test]
fn no_match_lists_what_there_is() {
    let mut shelf = Shelf::default();
    let entries = vec![
        shelf.entry("amd64", "linux/amd64"),
        shelf.entry("arm", "linux/arm/v7"),
        shelf.entry("attestation", "unknown/unknown"),
    ];
    let Failure(error) = shelf.choose(entries, "linux/s390x").expect_err("nothing fits");
    let text = error.expect("a failed choice").to_string();
    assert_eq!(text, "no image for linux/s390x; there is linux/amd64, linux/arm/v7");
}

#[test]
fn attestations_and_other_things_are_never_chosen() {
    let mut shelf = Shelf::default();
    let unknown = shelf.entry("unknown", "unknown/unknown");
    let mut marked = shelf.entry("marked", "");
    marked.annotations =
        vec![("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned())];
    let blob = described("application/vnd.oci.image.config.v1+json", name("blob"), "linux/amd64");
    for wanted in ["linux/amd64", "unknown/unknown"] {
        let result = shelf.choose(vec![unknown.clone(), marked.clone(), blob.clone()], wanted);
        assert!(matches!(result, Err(Failure(Some(ChoiceError::NoMatch { .. })))), "{wanted}");
    }
    assert!(matches!(
        shelf.choose(Vec::new(), "linux/amd64"),
        Err(Failure(Some(ChoiceError::NoMatch { .. })))
    ));
}

#[test]
fn lists_in_lists_to_the_limit() {
    let mut shelf = Shelf::default();
    let leaf = shelf.entry("leaf", "linux/amd64");
    let third = shelf.list("third", "", vec![leaf]);
    let second = shelf.list("second", "linux/amd64", vec![third]);
    assert_eq!(shelf.choose(vec![second.clone()], "linux/amd64").expect("depth 3"), name("leaf"));
    let first = shelf.list("first", "", vec![second]);
    assert!(matches!(
        shelf.choose(vec![first], "linux/amd64"),
        Err(Failure(Some(ChoiceError::TooDeep)))
    ));
}

#[test]
fn an_inner_list_without_a_match_is_passed_over() {
    let mut shelf = Shelf::default();
    let arm = shelf.entry("arm", "linux/arm/v7");
    let inner = shelf.list("inner", "linux/amd64", vec![arm]);
    let plain = shelf.entry("plain", "linux/amd64");
    assert_eq!(shelf.choose(vec![inner, plain], "linux/amd64").expect("found"), name("plain"));
}

#[test]
fn a_failed_fetch_is_passed_on() {
    let shelf = Shelf::default();
    let missing = described(MANIFEST, name("missing"), "linux/amd64");
    assert!(matches!(shelf.choose(vec![missing], "linux/amd64"), Err(Failure(None))));
}
