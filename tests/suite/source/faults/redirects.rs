//! Redirects: to where they may lead, and what goes along (CVE-2020-15157, GHSA-vh4v-2xq2-g5cg).

use shalefs::pull::PullError;
use shalefs::source::registry::{REDIRECTS, RegistryError, TRIES};
use shalefs::source::{SourceError, open};

use super::{Bench, saw_no_secret, serve};
use crate::support::fault_registry::{Ending, FaultRegistry, Reply, Request, part};
use crate::support::image::Image;

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// A registry that wants Basic authentication and redirects the blobs as `location` says.
fn redirecting(
    image: &Image,
    location: impl Fn(&Request) -> String + Send + Sync + 'static,
) -> FaultRegistry {
    serve(image, move |request| {
        if request.header("authorization").is_none() {
            return Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        request.path().contains("/blobs/").then(|| Reply::redirect(307, &location(request)))
    })
}

/// Storage that serves every layer, whatever the path.
fn storage(image: &Image) -> FaultRegistry {
    serve(image, |_| None)
}

fn blobs_at(host: &str) -> impl Fn(&Request) -> String + Send + Sync + 'static {
    let host = host.to_owned();
    move |request| format!("http://{host}{}?sig=hunter2", request.path())
}

#[test]
fn ghsa_vh4v_2xq2_g5cg_another_port_gets_no_credentials() {
    let image = Image::large();
    let elsewhere = storage(&image);
    let server = redirecting(&image, blobs_at(&elsewhere.host()));
    let bench = Bench::new().with_password(&server.host());
    bench.pull(&server).expect("storage serves it");
    let leaked = elsewhere.requests().iter().any(|r| r.header("authorization").is_some());
    assert!(!leaked, "another port is another origin");
}

#[test]
fn a_custom_header_stays_at_home() {
    let image = Image::small();
    let elsewhere = storage(&image);
    let server = redirecting(&image, {
        let host = elsewhere.host();
        move |request| format!("http://{host}{}", request.path())
    });
    let host = server.host();
    let toml = format!("server = \"http://{host}\"\n[header]\nx-key = \"hunter2\"\n");
    let bench = Bench::new().with_password(&host).with_hosts(&host, &toml);
    bench.pull(&server).expect("storage serves it");
    assert!(server.requests().iter().all(|request| request.header("x-key") == Some("hunter2")));
    saw_no_secret(&elsewhere);
}

#[test]
fn a_cookie_is_neither_kept_nor_sent() {
    let image = Image::small();
    let server = serve(&image, |request| {
        let cookies = Reply::new(503, "").with("Set-Cookie", "session=hunter2");
        (request.earlier == 0).then_some(cookies)
    });
    Bench::new().pull(&server).expect("the second try works");
    saw_no_secret(&server);
}

#[test]
fn there_and_back_again_without_credentials() {
    let image = Image::small();
    let bounce = serve(&image, |request| {
        let home = request.target.split("home=").nth(1).unwrap_or_default();
        Some(Reply::redirect(302, &format!("http://{home}/back")))
    });
    let host = bounce.host();
    let server = serve(&image, move |request| {
        if request.path() == "/back" {
            assert_eq!(request.header("authorization"), None, "gone for good");
            return Some(Reply::error(404, "X", "end"));
        }
        if request.header("authorization").is_none() {
            return Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let home = request.header("host").unwrap_or_default();
        request.is_manifest().then(|| Reply::redirect(302, &format!("http://{host}/?home={home}")))
    });
    let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
    assert!(error.is_not_found(), "{text}");
    assert_eq!(server.requests_for("/back"), 1);
}

#[test]
fn within_the_same_origin_credentials_go_along() {
    let image = Image::small();
    let server = serve(&image, |request| {
        if request.header("authorization").is_none() {
            return Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let tag = request.path().ends_with("/test/image/manifests/latest");
        tag.then(|| Reply::redirect(301, "/v2/moved/image/manifests/latest"))
    });
    Bench::new().with_password(&server.host()).pull(&server).expect("it moved");
}

#[test]
fn relative_locations() {
    let image = Image::small();
    let server = serve(&image, |request| {
        request.path().ends_with("/latest").then(|| Reply::redirect(302, "latest/../real?x=1"))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(error.is_not_found(), "{text}");
    assert_eq!(server.requests_for("/v2/test/image/manifests/real?x=1"), 1);
    assert_eq!(server.requests_for(".."), 0, "dot segments are resolved here");
}

#[test]
fn in_a_circle() {
    let server = serve(&Image::small(), |request| Some(Reply::redirect(302, &request.target)));
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Redirect { .. }), "{text}");
    assert_eq!(server.requests().len(), REDIRECTS + 1);
}

#[test]
fn ten_redirects_are_followed() {
    let server = serve(&Image::small(), |request| {
        let hop: usize = request.target.rsplit_once("hop=")?.1.parse().ok()?;
        (hop < REDIRECTS)
            .then(|| Reply::redirect(302, &format!("{}?hop={}", request.path(), hop + 1)))
    });
    let host = server.host();
    let entry = serve(&Image::small(), move |request| {
        request
            .is_manifest()
            .then(|| Reply::redirect(302, &format!("http://{host}{}?hop=1", request.path())))
    });
    Bench::new().pull(&entry).expect("exactly at the limit");
    assert_eq!(server.requests_for("hop="), REDIRECTS);
}

#[test]
fn without_a_location() {
    let server = serve(&Image::small(), |_| Some(Reply::new(302, "")));
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Redirect { .. }), "{text}");
    assert!(text.contains("it is empty"), "{text}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_no_url_may_have_is_percent_encoded() {
    let image = Image::small();
    for (location, path) in [
        ("/st/\u{fc}/x", "/st/%C3%BC/x"),
        ("/st/a b/x", "/st/a%20b/x"),
        ("  /st/x ", "/st/x"),
        ("../../../../../st/x", "/st/x"),
    ] {
        let served = image.clone();
        let server = serve(&image, move |request| {
            if request.path().starts_with("/st/") {
                return Some(crate::support::fault_registry::manifest(&served.manifest));
            }
            request.is_manifest().then(|| Reply::redirect(307, location))
        });
        Bench::new().pull(&server).expect(location);
        assert_eq!(server.requests()[1].path(), path, "{location}");
    }
}

#[test]
fn to_nowhere_is_said_in_words() {
    for (location, words) in
        [("", "it is empty"), ("http://\u{fc}.example/", "not a URL"), ("http://a b/", "not a URL")]
    {
        let server = serve(&Image::small(), move |_| Some(Reply::redirect(302, location)));
        let (error, text) = Bench::new().refused(&server);
        assert!(matches!(error, RegistryError::Redirect { .. }), "{location}: {text}");
        assert!(text.contains(words), "{text}");
        assert_eq!(server.requests().len(), 1, "{location}");
    }
}

#[test]
fn to_nonsense() {
    for location in ["file:///etc/passwd", "gopher://x/", "http://", "http://u:hunter2@x/", ":"] {
        let server = serve(&Image::small(), move |_| Some(Reply::redirect(302, location)));
        let (error, text) = Bench::new().refused(&server);
        assert!(matches!(error, RegistryError::Redirect { .. }), "{location}: {text}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn to_a_link_local_address() {
    let server = serve(&Image::small(), |_| {
        Some(Reply::redirect(302, "http://169.254.169.254/latest/meta-data/"))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Redirect { .. }), "{text}");
    assert!(text.contains("link-local"), "{text}");
}

/// A bench where `registry.example` is reached over plain http through the server as its proxy.
fn public(server: &FaultRegistry) -> Bench {
    let mut bench = Bench::new();
    bench.options.plain_http = true;
    bench.options.proxies.http = Some(format!("http://{}", server.host()));
    bench
}

#[test]
fn from_a_public_registry_to_a_private_address() {
    for target in
        ["10.0.0.1", "127.0.0.1:80", "[::1]", "localhost", "192.168.0.1:5000", "2130706433"]
    {
        let server = serve(&Image::small(), move |_| {
            Some(Reply::redirect(302, &format!("http://{target}/x?sig=1")))
        });
        let (error, text) = public(&server).refused_by_name("registry.example/test/image");
        assert!(matches!(error, RegistryError::Redirect { .. }), "{target}: {text}");
        assert_eq!(server.requests().len(), 1, "{target}");
    }
}

#[test]
fn between_public_hosts_nothing_secret_goes_along() {
    let server = serve(&Image::small(), |request| match request.through.as_deref() {
        Some("registry.example") => match request.header("authorization") {
            None => Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\"")),
            Some(_) => Some(Reply::redirect(
                307,
                &format!("http://storage.example{}?sig=1", request.path()),
            )),
        },
        _ => {
            assert_eq!(request.header("authorization"), None);
            None
        }
    });
    let mut bench = public(&server).with_password("registry.example");
    bench.options.plain_credentials = true;
    bench.pull_name("registry.example/test/image").expect("storage serves it");
    assert!(server.requests().iter().any(|r| r.through.as_deref() == Some("storage.example")));
}

#[test]
fn a_signed_url_that_ran_out_is_renewed() {
    let image = Image::large();
    let layers = image.layers.clone();
    let elsewhere = serve(&image, move |request| {
        let layer = layers.iter().find(|layer| request.is_blob(layer))?;
        match request.target.ends_with("old") {
            true if request.offset().is_none() => {
                Some(part(layer, None).ending(Ending::Close(layer.bytes.len() / 2)))
            }
            true => Some(Reply::error(403, "AccessDenied", "Request has expired")),
            false => None,
        }
    });
    let host = elsewhere.host();
    let server = serve(&image, move |request| {
        let age = if request.earlier < 2 { "old" } else { "new" };
        let blob = request.path().contains("/blobs/");
        blob.then(|| Reply::redirect(307, &format!("http://{host}{}?sig={age}", request.path())))
    });
    Bench::new().pull(&server).expect("the registry signs another one");
}

#[test]
fn storage_that_refuses_for_ever() {
    let image = Image::small();
    let elsewhere = serve(&image, |_| Some(Reply::error(403, "AccessDenied", "no")));
    let host = elsewhere.host();
    let server = serve(&image, move |request| {
        let blob = request.path().contains("/blobs/");
        blob.then(|| Reply::redirect(307, &format!("http://{host}{}?sig=1", request.path())))
    });
    let (_, text) = Bench::new().refused(&server);
    assert!(text.contains("gave up after 5 tries") && text.contains("storage refused"), "{text}");
    assert_eq!(elsewhere.requests().len(), TRIES as usize);
}

#[test]
fn a_challenge_of_storage_is_not_answered() {
    let image = Image::small();
    let elsewhere = serve(&image, |_| {
        Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"give me\""))
    });
    let server = redirecting(&image, blobs_at(&elsewhere.host()));
    let mut bench = Bench::new().with_password(&server.host());
    let both = std::fs::read_to_string(&bench.options.auth_files[0]).unwrap();
    let both =
        both.replace("}}}", &format!("}},\"{}\":{{\"auth\":\"dTpw\"}}}}}}", elsewhere.host()));
    bench.write_auth(&both);
    let (_, text) = bench.refused(&server);
    assert!(text.contains("storage refused"), "{text}");
    assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn cve_2020_15157_foreign_layers_are_left_alone() {
    let elsewhere = storage(&Image::small());
    let image = foreign(&format!("http://{}/layer", elsewhere.host()));
    let server = serve(&image, |_| None);
    let bench = Bench::new().with_password(&elsewhere.host());
    let (error, text) = bench.fails_by_name(&super::name_at(&server));
    assert!(matches!(error, PullError::Foreign { .. }), "{text}");
    let source = open(&super::name_at(&server).parse().unwrap(), &bench.options).unwrap();
    let mut layer = image.layers[1].descriptor();
    layer.media_type = FOREIGN.to_owned();
    layer.urls = vec![format!("http://{}/layer", elsewhere.host())];
    let error = source.blob(&layer, 0).err().expect("not by the source either");
    assert!(matches!(error, SourceError::ForeignLayer(_)), "{error}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn cve_2020_15157_foreign_layers_only_over_https_and_in_public() {
    let elsewhere = storage(&Image::small());
    for url in [
        format!("http://{}/layer", elsewhere.host()),
        format!("https://{}/layer", elsewhere.host()),
        "https://169.254.169.254/layer".to_owned(),
    ] {
        let server = serve(&foreign(&url), |_| None);
        let mut bench = Bench::new().with_password(&elsewhere.host());
        bench.options.foreign_layers = true;
        bench.foreign = true;
        let (error, text) = bench.refused_by_name(&super::name_at(&server));
        assert!(matches!(error, RegistryError::Redirect { .. }), "{text}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

/// An image whose second layer is at `url`.
fn foreign(url: &str) -> Image {
    let mut image = Image::small();
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    manifest["layers"][1]["mediaType"] = FOREIGN.into();
    manifest["layers"][1]["urls"] = serde_json::json!([url]);
    image.manifest.bytes = manifest.to_string().into_bytes();
    image
}
