//! Mirrors of a hosts file, proxies, pages of names, and Docker Hub's search.

use shalefs::source::registry::{Registry, RegistryError, search};

use super::{Bench, saw_no_secret, serve};
use crate::support::fault_registry::{Ending, FaultRegistry, Reply, part};
use crate::support::image::Image;

fn hosts(mirror: &FaultRegistry, server: &FaultRegistry, capabilities: &str) -> String {
    format!(
        "server = \"http://{}\"\n[host.\"http://{}\"]\ncapabilities = {capabilities}\n",
        server.host(),
        mirror.host()
    )
}

#[test]
fn a_mirror_serves_and_the_registry_is_left_alone() {
    let image = Image::small();
    let (mirror, server) = (serve(&image, |_| None), serve(&image, |_| None));
    let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
    let bench = Bench::new().with_hosts("registry.example", &toml);
    bench.pull_name("registry.example/test/image").expect("the mirror has it");
    assert_eq!(server.requests().len(), 0);
    assert!(mirror.requests().iter().all(|r| r.target.ends_with("?ns=registry.example")));
}

#[test]
fn a_mirror_that_may_not_resolve_is_not_asked_for_tags() {
    let image = Image::small();
    let (mirror, server) = (serve(&image, |_| None), serve(&image, |_| None));
    let toml = hosts(&mirror, &server, "[\"pull\"]");
    let bench = Bench::new().with_hosts("registry.example", &toml);
    bench.pull_name("registry.example/test/image").expect("both have it");
    assert_eq!(server.requests().len(), 1, "what the tag is");
    assert_eq!(mirror.requests_for("/manifests/latest"), 0);
    assert_eq!(mirror.requests_for("/blobs/"), 3);
}

#[test]
fn a_mirror_gets_no_credentials_of_the_registry() {
    let image = Image::small();
    let basic = |request: &super::Request| {
        let bare = request.header("authorization").is_none();
        bare.then(|| Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""))
    };
    let (mirror, server) = (serve(&image, basic), serve(&image, basic));
    let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
    let bench =
        Bench::new().with_hosts("registry.example", &toml).with_password("registry.example");
    // The server is not the registry's own host either, so it is asked without them as well.
    let (error, text) = bench.refused_by_name("registry.example/test/image");
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    saw_no_secret(&mirror);
    saw_no_secret(&server);
}

#[test]
fn cve_2026_33540_a_mirrors_token_server_gets_no_credentials_of_the_registry() {
    let image = Image::small();
    let mirror = serve(&image, |request| match request.header("authorization") {
        _ if request.path() == "/token" => Some(Reply::new(200, r#"{"token":"t"}"#)),
        Some("Bearer t") => None,
        _ => {
            let host = request.header("host").unwrap_or_default();
            let realm =
                format!("Bearer realm=\"http://{host}/token\",service=\"registry.example\"");
            Some(Reply::new(401, "").with("WWW-Authenticate", &realm))
        }
    });
    let toml = hosts(&mirror, &mirror, "[\"pull\", \"resolve\"]");
    let bench =
        Bench::new().with_hosts("registry.example", &toml).with_password("registry.example");
    bench.pull_name("registry.example/test/image").expect("an anonymous token is enough");
    for request in mirror.requests() {
        let given = request.header("authorization");
        assert!(given.is_none_or(|given| given == "Bearer t"), "{request:?}");
    }
}

#[test]
fn a_mirror_that_fails_in_every_way() {
    let image = Image::small();
    for reply in [
        Reply::new(500, ""),
        Reply::error(404, "NAME_UNKNOWN", "not cached"),
        Reply::new(401, ""),
        Reply::new(429, "").with("Retry-After", "60"),
        Reply::raw("nonsense"),
        Reply::redirect(302, "file:///x"),
    ] {
        let mirror = serve(&image, move |_| Some(reply.clone()));
        let server = serve(&image, |_| None);
        let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
        let bench = Bench::new().with_hosts("registry.example", &toml);
        bench.pull_name("registry.example/test/image").expect("the registry has it");
        assert_eq!(bench.clock.slept().len(), 0, "nobody waits for a mirror");
    }
}

#[test]
fn when_a_host_breaks_in_the_middle_of_a_blob_the_next_one_goes_on() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let path = format!("blobs/{}", big.digest());
    for ending in [Ending::Close(1_000_000), Ending::Reset(1_000_000), Ending::Stall(1_000_000)] {
        let big = big.clone();
        let mirror = serve(&image, move |request| {
            request.is_blob(&big).then(|| part(&big, None).ending(ending.clone()))
        });
        let server = serve(&image, |_| None);
        let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
        let bench = Bench::new().with_hosts("registry.example", &toml);
        bench.pull_name("registry.example/test/image").expect("the registry has it");
        assert_eq!(mirror.requests_for(&path), 1, "the one that broke is not asked first again");
        let rest: Vec<_> = server.requests().iter().map(|request| request.offset()).collect();
        assert!(matches!(rest[..], [Some(offset)] if offset > 0), "only the rest: {rest:?}");
    }
}

#[test]
fn when_no_other_host_has_it_the_one_that_broke_is_asked_again() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let (mirrored, missing) = (big.clone(), big.clone());
    let mirror = serve(&image, move |request| {
        let first = request.is_blob(&mirrored) && request.earlier == 0;
        first.then(|| part(&mirrored, None).ending(Ending::Close(1_000_000)))
    });
    let server = serve(&image, move |request| {
        request.is_blob(&missing).then(|| Reply::error(404, "BLOB_UNKNOWN", "not here"))
    });
    let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
    let bench = Bench::new().with_hosts("registry.example", &toml);
    bench.pull_name("registry.example/test/image").expect("the mirror has it after all");
    let path = format!("blobs/{}", big.digest());
    assert_eq!((server.requests_for(&path), mirror.requests_for(&path)), (1, 2));
}

#[test]
fn a_dead_mirror_is_tried_once() {
    let image = Image::small();
    let mirror = serve(&image, |_| None);
    let toml = hosts(&mirror, &serve(&image, |_| None), "[\"pull\", \"resolve\"]");
    drop(mirror);
    let server = serve(&image, |_| None);
    let old = toml.lines().next().unwrap();
    let toml = toml.replace(old, &format!("server = \"http://{}\"", server.host()));
    let bench = Bench::new().with_hosts("registry.example", &toml);
    bench.pull_name("registry.example/test/image").expect("the registry has it");
}

#[test]
fn a_mirror_that_serves_another_image_for_a_digest() {
    let (image, other) = (Image::small(), Image::large());
    let wrong = other.manifest.clone();
    let mirror = serve(&image, move |request| {
        request.is_manifest().then(|| crate::support::fault_registry::manifest(&wrong))
    });
    let server = serve(&image, |_| None);
    let toml = hosts(&mirror, &server, "[\"pull\", \"resolve\"]");
    let bench = Bench::new().with_hosts("registry.example", &toml);
    let name = format!("registry.example/test/image@{}", image.manifest.digest());
    let (error, text) = bench.refused_by_name(&name);
    assert!(error.is_mismatch(), "{text}");
}

#[test]
fn no_host_may_resolve() {
    let image = Image::small();
    let server = serve(&image, |_| None);
    let toml = format!("server = \"http://{}\"\ncapabilities = [\"pull\"]\n", server.host());
    let bench = Bench::new().with_hosts("registry.example", &toml);
    let (error, text) = bench.refused_by_name("registry.example/test/image");
    assert!(matches!(error, RegistryError::NoHost { .. }), "{text}");
}

#[test]
fn plain_http_is_for_loopback_only() {
    let server = serve(&Image::small(), |_| None);
    let mut bench = Bench::new();
    bench.options.proxies.http = Some(format!("http://{}", server.host()));
    bench.options.proxies.https = Some(format!("http://{}", server.host()));
    let (_, text) = bench.refused_by_name("registry.example/test/image");
    assert!(text.starts_with("https://registry.example") || text.contains("gave up"), "{text}");
    assert_eq!(server.requests_for("/manifests/"), 0, "nothing in the clear");
    bench.options.plain_http = true;
    bench.pull_name("registry.example/test/image").expect("asked for");
}

#[test]
fn a_proxy_that_refuses() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::new();
    bench.options.proxies.https = Some(format!("http://user:hunter2@{proxy}"));
    let (_, text) = bench.refused_by_name("registry.example/test/image");
    assert!(text.contains(&format!("through the proxy {proxy}: connection refused")), "{text}");
}

#[test]
fn a_proxy_that_cannot_connect_is_named() {
    let proxy = serve(&Image::small(), |_| Some(Reply::new(502, "")));
    let mut bench = Bench::new();
    // What it gets is no CONNECT that it knows, so it says 502 to that too.
    bench.options.proxies.https = Some(format!("http://user:hunter2@{}/", proxy.host()));
    let (_, text) = bench.refused_by_name("registry.example/test/image");
    assert!(text.contains(&format!("through the proxy {}: ", proxy.host())), "{text}");
}

/// `names` in pages of two, linked as `link` says.
fn paged(key: &'static str, names: &'static [&'static str], link: &'static str) -> FaultRegistry {
    serve(&Image::small(), move |request| {
        let last = request.target.split("last=").nth(1).and_then(|last| last.parse().ok());
        let first: usize = last.unwrap_or(0);
        let page: Vec<_> = names.iter().skip(first).take(2).collect();
        let reply = Reply::new(200, serde_json::json!({ key: page }).to_string());
        let link = link.replace("PATH", request.path()).replace("NEXT", &(first + 2).to_string());
        Some(if first + 2 < names.len() { reply.with("Link", &link) } else { reply })
    })
}

fn registry(server: &FaultRegistry) -> Registry {
    Registry::new(&server.host(), &Bench::new().options).unwrap()
}

#[test]
fn tags_in_pages() {
    let names = &["a", "b", "c", "d", "e"];
    for link in [
        "<PATH?n=2&last=NEXT>; rel=\"next\"",
        "<list?last=NEXT>;rel=next",
        // As skopeo takes them: path and query count, whatever is around them.
        "PATH?n=2&last=NEXT; rel=\"next\"",
        "PATH?last=NEXT",
        "<PATH?last=NEXT>",
        "<https://registry.internal:8443PATH?last=NEXT>; rel=\"next\"",
        "<http://10.0.0.5:5000/prefixPATH?last=NEXT>; rel=next",
        "<PATH?x=\u{fc}&last=NEXT>; rel=next",
    ] {
        let server = paged("tags", names, link);
        assert_eq!(registry(&server).tags("test/image").expect("all pages"), names);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_catalog_in_pages() {
    let server = paged("repositories", &["x/a", "x/b", "y"], "<PATH?last=NEXT>; rel=\"next\"");
    assert_eq!(registry(&server).catalog().expect("all pages"), ["x/a", "x/b", "y"]);
}

#[test]
fn a_link_to_itself() {
    let names = &["a", "b", "c"];
    let server = paged("tags", names, "<PATH?n=1000>; rel=\"next\"");
    let error = registry(&server).tags("test/image").expect_err("an endless list").to_string();
    assert!(error.contains("leads to itself"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// A list whose every page, told by its number, names a next one; the error, and the requests.
fn endless(page: impl Fn(usize) -> (String, String) + Send + Sync + 'static) -> (String, usize) {
    let server = serve(&Image::small(), move |request| {
        let number = request.target.split("last=").nth(1).and_then(|last| last.parse().ok());
        let (names, next) = page(number.unwrap_or(0));
        let link = format!("<{}?{next}>; rel=\"next\"", request.path());
        let body = format!(r#"{{"repositories":[{names}],"tags":[{names}]}}"#);
        Some(Reply::new(200, body).with("Link", &link))
    });
    let error = registry(&server).catalog().expect_err("an endless catalog").to_string();
    let requests = server.requests().len();
    assert!(registry(&server).tags("test/image").is_err(), "nor tags");
    (error, requests)
}

#[test]
fn a_list_that_never_ends() {
    let (error, requests) = endless(|n| (format!("\"r{n}\""), format!("last={}", (n + 1) % 3)));
    assert!(error.contains("leads back to a page before it"), "{error}");
    assert_eq!(requests, 4, "the last is the first one under another address");
    for names in ["\"same\"", ""] {
        let (error, requests) = endless(|n| (names.to_owned(), format!("last={}", n + 1)));
        assert!(error.contains("10 pages in a row without a new name"), "{error}");
        assert!(requests <= 11, "{requests}");
    }
}

#[test]
fn pages_without_names_between_others() {
    let server = serve(&Image::small(), |request| {
        let (names, next) = match request.target.split("last=").nth(1) {
            None => ("\"a\"", Some("1")),
            Some("1") => ("", Some("2")),
            Some("2") => ("\"a\"", Some("3")),
            _ => ("\"b\"", None),
        };
        let reply = Reply::new(200, format!(r#"{{"repositories":[{names}]}}"#));
        let link = next.map(|n| format!("<{}?last={n}>; rel=next", request.path()));
        Some(match link {
            Some(link) => reply.with("Link", &link),
            None => reply,
        })
    });
    assert_eq!(registry(&server).catalog().expect("all pages"), ["a", "b"]);
}

#[test]
fn a_link_to_another_host_is_followed_at_home() {
    let elsewhere = serve(&Image::small(), |_| Some(Reply::new(200, "{}")));
    let target = format!("<http://{}/v2/test/image/tags/list?x>; rel=\"next\"", elsewhere.host());
    let server = serve(&Image::small(), move |request| match request.target.ends_with("?x") {
        true => Some(Reply::new(200, r#"{"tags":["b"]}"#)),
        false => Some(Reply::new(200, r#"{"tags":["a"]}"#).with("Link", &target)),
    });
    assert_eq!(registry(&server).tags("test/image").expect("both pages"), ["a", "b"]);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn a_link_that_cannot_be_followed_is_an_error() {
    for link in [
        "</v2/other/tags/list?last=a>; rel=next",
        "<ftp://x/v2/test/image/tags/list>; rel=next",
        "<>; rel=next",
        "<",
        "<http://u:hunter2@x/v2/test/image/tags/list>; rel=next",
    ] {
        let server = serve(&Image::small(), move |_| {
            Some(Reply::new(200, r#"{"tags":["a"]}"#).with("Link", link))
        });
        let error = registry(&server).tags("test/image").expect_err(link).to_string();
        assert!(error.contains("its Link") && !error.contains("hunter2"), "{link}: {error}");
        assert_eq!(server.requests().len(), 1, "{link}");
    }
}

#[test]
fn what_comes_instead_of_a_list_is_said() {
    let errors = r#"{"errors":[{"code":"DENIED","message":"pull rate exceeded"}]}"#;
    for (body, words) in [(errors, "DENIED: pull rate exceeded"), ("<html>", "HTML")] {
        let server = serve(&Image::small(), move |_| Some(Reply::new(200, body)));
        let error = registry(&server).tags("test/image").expect_err(body).to_string();
        assert!(error.contains(words) && error.contains(&server.host()), "{error}");
        assert!(registry(&server).catalog().is_err(), "{body}");
        let error = registry(&server).check_access().expect_err(body).to_string();
        assert!(error.contains(words), "{error}");
        let mut bench = Bench::new();
        bench.options.hub = format!("http://{}", server.host());
        let error = search(&bench.options, "x", 25).expect_err(body).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn names_as_long_as_pages_end_at_a_limit() {
    let name = "x".repeat(2_000_000);
    let (error, requests) = endless(move |n| (format!("\"{n}{name}\""), format!("last={}", n + 1)));
    assert!(error.contains("more than the limit of 33554432 bytes of names"), "{error}");
    assert_eq!(requests, 17);
}

#[test]
fn tags_that_are_none() {
    for body in ["", "[]", "<html>", r#"{"tags":7}"#] {
        let server = serve(&Image::small(), move |_| Some(Reply::new(200, body)));
        assert!(registry(&server).tags("test/image").is_err(), "{body}");
    }
    let server = serve(&Image::small(), |_| Some(Reply::new(200, r#"{"tags":null}"#)));
    assert_eq!(registry(&server).tags("test/image").expect("empty").len(), 0);
}

#[test]
fn docker_hubs_search() {
    let server = serve(&Image::small(), |request| {
        assert_eq!(request.target, "/v1/search?q=deb%20ian&n=25");
        Some(Reply::new(
            200,
            r#"{"num_results":2,"results":[{"name":"debian","description":"d","star_count":5,
            "is_official":true,"is_automated":false},{"name":"x/y","description":null}]}"#,
        ))
    });
    let mut bench = Bench::new();
    bench.options.hub = format!("http://{}", server.host());
    let found = search(&bench.options, "deb ian", 25).expect("two results");
    assert_eq!((found[0].name.as_str(), found[0].stars, found[0].official), ("debian", 5, true));
    assert_eq!((found[1].name.as_str(), found[1].description.as_str()), ("x/y", ""));
}
