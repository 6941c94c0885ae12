//! URLs as registries send them.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

#[test]
fn parts() {
    let parsed = url("HTTPS://Example.COM:443/a/b?c=d#e");
    assert_eq!(parsed.exact(), "https://example.com/a/b?c=d");
    assert_eq!(parsed.to_string(), "https://example.com/a/b?[...]", "no query is shown");
    assert_eq!(url("http://[::1]:5000").exact(), "http://[::1]:5000/");
    assert_eq!(url("http://h:80").origin(), url("http://H/x").origin());
    assert_ne!(url("http://h:81").origin(), url("http://h/").origin());
    assert_ne!(url("https://h:80").origin(), url("http://h/").origin());
}

#[test]
fn what_is_no_url() {
    for text in [
        "",
        "/x",
        "h/x",
        "ftp://h/",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://u:p@h/",
        "http://u@h/",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://h /",
        "http://h/a b",
        "http://h/\n",
        "javascript:x",
        "http://[]/",
        "http:h",
    ] {
        assert!(Url::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn joining_locations() {
    let base = url("https://h:1/v2/a/blobs/x?old=1");
    for (location, joined) in [
        ("http://other/y", "http://other/y"),
        ("//other:2/y", "https://other:2/y"),
        ("/y?z=1", "https://h:1/y?z=1"),
        ("?z=1", "https://h:1/v2/a/blobs/x?z=1"),
        ("y", "https://h:1/v2/a/blobs/y"),
        ("y/a:b", "https://h:1/v2/a/blobs/y/a:b"),
        ("../../../st/x", "https://h:1/st/x"),
        ("../../../../../st/x", "https://h:1/st/x"),
        ("./y/./z/../", "https://h:1/v2/a/blobs/y/"),
        (".", "https://h:1/v2/a/blobs/"),
        ("..", "https://h:1/v2/a/"),
        ("..?z=../a", "https://h:1/v2/a/?z=../a"),
        ("/a/../b/%2e%2e/c", "https://h:1/b/%2e%2e/c"),
        ("/a/..", "https://h:1/"),
        ("/a//b/...", "https://h:1/a//b/..."),
        ("https://o/a/./b/../c?d=/../", "https://o/a/c?d=/../"),
        ("//o/..", "https://o/"),
    ] {
        assert_eq!(base.join(location).expect(location).exact(), joined);
    }
    for location in ["file:///x", "http://u:p@h/", "data:,x", ""] {
        assert!(base.join(location).is_err(), "{location}");
    }
}

#[test]
fn loopback() {
    for (host, loopback) in [
        ("localhost", true),
        ("a.localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("[::1]", true),
        ("[::ffff:127.0.0.1]", true),
        ("localhost.example", false),
        ("128.0.0.1", false),
        ("example", false),
        ("127.0.0.1.example", false),
    ] {
        assert_eq!(Origin::new(false, host).expect(host).is_loopback(), loopback, "{host}");
    }
}

#[test]
fn addresses_in_every_spelling_that_the_resolver_takes() {
    let zone = |host: &str| Origin::new(true, host).expect(host).zone();
    for (zones, hosts) in [
        (
            Some(Zone::Loopback),
            "127.1 127.0.1 2130706433 0x7f.1 0x7f000001 0X7F000001 0177.0.0.1 017700000001 \
             0 0x0 localhost a.localhost [::1] [::ffff:127.0.0.1] [::] 127.0.0.1.",
        ),
        (Some(Zone::Private), "10.5 167772165 012.5 0xa000005 10.0x5 [fd00::1] [::ffff:a00:5]"),
        (
            Some(Zone::LinkLocal),
            "169.254.1 0xa9fea9fe 2852039166 0251.0376.0251.0376 [fe80::1] [64:ff9b::a9fe:a9fe]",
        ),
        (Some(Zone::Public), "8.8.8.8 134744072 0x8080808 [2003::1] 8.8.2056"),
        (Some(Zone::Reserved), "1.2.3.4.5 256.1.1.1 1.2.3.256 08.1.1.1 4294967296 a.1 x.0x1"),
        (None, "example.com a.b1 0x.example 1.example xn--0.example cafe"),
    ] {
        for host in hosts.split_whitespace() {
            assert_eq!(zone(host), zones, "{host}");
        }
    }
}

#[test]
fn queries() {
    let asked = url("https://h/t").with_query("scope", "repository:a/b:pull");
    assert_eq!(asked.exact(), "https://h/t?scope=repository%3Aa%2Fb%3Apull");
    assert_eq!(url("https://h/t?x").with_query("a", "&=é").exact(), "https://h/t?x&a=%26%3D%C3%A9");
}
