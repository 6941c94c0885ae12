//! References good and bad, in tables.

use super::*;

const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Text, full form, short form; `@D` stands for `@` and a digest.
const GOOD: [(&str, &str, &str); 41] = [
    ("debian", "docker.io/library/debian:latest", "debian:latest"),
    ("debian:12", "docker.io/library/debian:12", "debian:12"),
    ("debian@D", "docker.io/library/debian@D", "debian@D"),
    ("debian:12@D", "docker.io/library/debian:12@D", "debian:12@D"),
    ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("index.docker.io/debian:1", "docker.io/library/debian:1", "debian:1"),
    ("index.docker.io/u/a:1", "docker.io/u/a:1", "u/a:1"),
    ("registry-1.docker.io/u/a:1", "registry-1.docker.io/u/a:1", "registry-1.docker.io/u/a:1"),
    ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ("user/app", "docker.io/user/app:latest", "user/app:latest"),
    ("a/b/c/d:t", "docker.io/a/b/c/d:t", "a/b/c/d:t"),
    ("ghcr.io/x/y", "ghcr.io/x/y:latest", "ghcr.io/x/y:latest"),
    ("ghcr.io/x/y:v1.2-3_4", "ghcr.io/x/y:v1.2-3_4", "ghcr.io/x/y:v1.2-3_4"),
    ("ghcr.io/x@D", "ghcr.io/x@D", "ghcr.io/x@D"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
    ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
    ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"),
    ("[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b"),
    ("[2001:DB8::1]/a:b", "[2001:DB8::1]/a:b", "[2001:DB8::1]/a:b"),
    ("Foo/bar:1", "Foo/bar:1", "Foo/bar:1"),
    ("REG.example:443/bar:1", "REG.example:443/bar:1", "REG.example:443/bar:1"),
    ("foo-bar/baz:1", "docker.io/foo-bar/baz:1", "foo-bar/baz:1"),
    ("a.b/c:1", "a.b/c:1", "a.b/c:1"),
    ("a:1/b:2", "a:1/b:2", "a:1/b:2"),
    ("xn--7o8h.com/n:1", "xn--7o8h.com/n:1", "xn--7o8h.com/n:1"),
    ("a__b:1", "docker.io/library/a__b:1", "a__b:1"),
    ("a_b.c-d:1", "docker.io/library/a_b.c-d:1", "a_b.c-d:1"),
    ("a---b:1", "docker.io/library/a---b:1", "a---b:1"),
    ("0:0", "docker.io/library/0:0", "0:0"),
    ("x:_", "docker.io/library/x:_", "x:_"),
    ("x:A.B", "docker.io/library/x:A.B", "x:A.B"),
    ("x:1.", "docker.io/library/x:1.", "x:1."),
    ("x:1-", "docker.io/library/x:1-", "x:1-"),
    ("scratch", "docker.io/library/scratch:latest", "scratch:latest"),
    ("quay.io/a/b/c/d/e:9", "quay.io/a/b/c/d/e:9", "quay.io/a/b/c/d/e:9"),
    ("a.b:0/c", "a.b:0/c:latest", "a.b:0/c:latest"),
];

#[test]
fn full_and_short_forms() {
    let digest = |text: &str| text.replace("@D", &format!("@{D}"));
    for (text, full, short) in GOOD {
        let reference: Reference = digest(text).parse().expect(text);
        assert_eq!(reference.to_string(), digest(full), "{text}");
        assert_eq!(reference.familiar(), digest(short), "{text}");
        for again in [reference.to_string(), reference.familiar()] {
            let again: Reference = again.parse().expect(text);
            assert_eq!(again.canonical(), reference.canonical(), "{text}");
        }
    }
}

#[test]
fn what_is_refused_and_why() {
    let long = format!("{}/x", "a".repeat(254));
    let long_tag = format!("x:{}", "t".repeat(129));
    let cases: [(&str, &str); 38] = [
        ("", "is empty"),
        (HEX, "image ID"),
        ("Debian", "must be lowercase"),
        ("debian/Foo:1", "must be lowercase"),
        ("ghcr.io/X/y", "must be lowercase"),
        ("localhost:5000/X", "must be lowercase"),
        (&long, "more than 255"),
        (&long_tag, "bad tag"),
        ("x:", "bad tag"),
        ("x:.a", "bad tag"),
        ("x:-a", "bad tag"),
        ("x:a b", "bad tag"),
        ("x:ü", "bad tag"),
        ("x:a:b", "bad repository"),
        (":1", "bad repository"),
        ("/x", "bad repository"),
        ("x/", "bad repository"),
        ("x//y", "bad repository"),
        ("-x", "bad repository"),
        ("x-", "bad repository"),
        ("x.", "bad repository"),
        ("x..y", "bad repository"),
        ("x___y", "bad repository"),
        ("x._y", "bad repository"),
        ("x/../y", "bad repository"),
        ("../etc/passwd", "bad registry"),
        ("a/../../b", "bad repository"),
        ("a b", "bad repository"),
        ("a\nb", "bad repository"),
        ("grüße", "bad repository"),
        ("https://ghcr.io/x", "bad registry"),
        ("[::1/x", "bad registry"),
        ("[]:5/x", "bad registry"),
        ("[::1]5/x", "bad registry"),
        ("a.b:/x", "bad registry"),
        ("a.b:p/x", "bad registry"),
        ("-a.b/x", "bad registry"),
        ("a..b/x", "bad registry"),
    ];
    for (text, why) in cases {
        let error = text.parse::<Reference>().expect_err(text).to_string();
        assert!(error.contains(why), "{text:?}: {error}");
        assert!(!error.contains('\n'), "one line: {error:?}");
    }
}

#[test]
fn bad_digests() {
    let upper = HEX.to_uppercase();
    for digest in ["", "sha256", "sha256:", "sha256:abc", "md5:0123", "sha256:../../x", &upper] {
        let text = format!("x@{digest}");
        assert!(matches!(text.parse::<Reference>(), Err(ReferenceError::Digest { .. })), "{text}");
    }
    assert!(format!("x@{D}@{D}").parse::<Reference>().is_err());
    assert!(format!("@{D}").parse::<Reference>().is_err());
}

#[test]
fn the_digest_rules_over_the_tag() {
    let both: Reference = format!("debian:12@{D}").parse().expect("valid");
    assert_eq!(both.canonical(), format!("docker.io/library/debian@{D}"));
    assert_eq!(both.manifest_key(), D);
    assert!(!both.is_default_tag());
    let plain: Reference = "debian".parse().expect("valid");
    assert!(plain.is_default_tag());
    assert_eq!(plain, "debian:latest".parse().expect("valid"), "the same image");
    assert_eq!(plain.manifest_key(), "latest");
}

#[test]
fn names_and_tags_at_their_limits() {
    let name = format!("{}/x", "a".repeat(253));
    assert_eq!(name.parse::<Reference>().expect("255").repository().len(), 255);
    let tag = format!("x:{}", "t".repeat(128));
    assert!(tag.parse::<Reference>().is_ok());
}

#[test]
fn the_same_repository_with_something_else() {
    let debian: Reference = "debian:12".parse().expect("valid");
    assert_eq!(debian.with_tag("13").expect("a tag").familiar(), "debian:13");
    assert!(debian.with_tag("a/b").is_err());
    let digest = D.parse().expect("valid");
    assert_eq!(debian.with_digest(digest).familiar(), format!("debian@{D}"));
}
