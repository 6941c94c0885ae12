//! Challenges, token servers and tokens (CVE-2019-10214, CVE-2026-33540, CVE-2026-48978).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shalefs::source::registry::RegistryError;

use super::{Bench, saw_no_secret, serve};
use crate::support::fault_registry::{Ending, FaultRegistry, Reply, Request, part};
use crate::support::image::Image;

const BASIC: &str = "Basic dXNlcjpodW50ZXIy";

fn challenge(value: &str) -> Reply {
    Reply::error(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", value)
}

/// A registry that is its own token server; `token` answers the N-th token request.
pub(super) fn bearer(
    image: &Image,
    token: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> FaultRegistry {
    serve(image, move |request| {
        if request.path() == "/token" {
            return Some(token(request));
        }
        let given = request.header("authorization").and_then(|v| v.strip_prefix("Bearer "));
        if given.is_some_and(&accepts) {
            return None;
        }
        let host = request.header("host").unwrap_or_default();
        Some(challenge(&format!(
            "Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"repository:test/image:pull\""
        )))
    })
}

pub(super) fn token(text: &str) -> Reply {
    Reply::new(200, text)
}

/// The error when the token request gets `reply`.
pub(super) fn refused(reply: Reply) -> (RegistryError, String, usize) {
    let server = bearer(&Image::small(), move |_| reply.clone(), |_| false);
    let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
    (error, text, server.requests().len())
}

#[test]
fn asked_for_a_token_first() {
    let image = Image::small();
    let server = bearer(&image, |_| token(r#"{"token":"t1"}"#), |given| given == "t1");
    Bench::new().pull(&server).expect("an anonymous token is enough");
    let asked = &server.requests()[1];
    assert_eq!(asked.target, "/token?service=test&scope=repository%3Atest%2Fimage%3Apull");
    assert_eq!(asked.header("authorization"), None, "anonymous");
    assert_eq!(server.requests_for("/token"), 1, "one token for all requests");
}

#[test]
fn credentials_only_to_the_token_server() {
    let image = Image::small();
    let server = bearer(
        &image,
        |request| match request.header("authorization") {
            Some(BASIC) => token(r#"{"access_token":"t1","expires_in":300}"#),
            _ => Reply::new(401, ""),
        },
        |given| given == "t1",
    );
    Bench::new().with_password(&server.host()).pull(&server).expect("let in");
    for request in server.requests() {
        let basic = request.header("authorization") == Some(BASIC);
        assert_eq!(basic, request.path() == "/token", "{request:?}");
    }
}

#[test]
fn basic() {
    let image = Image::small();
    let server = serve(&image, |request| {
        let given = request.header("authorization");
        (given != Some(BASIC)).then(|| challenge("Basic realm=\"x\""))
    });
    Bench::new().with_password(&server.host()).pull(&server).expect("let in");
    let first = &server.requests()[0];
    assert_eq!(first.header("authorization"), None, "nothing before it is asked for");
}

#[test]
fn basic_without_credentials() {
    let server = serve(&Image::small(), |_| Some(challenge("Basic realm=\"x\"")));
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert!(text.contains("authentication required"), "{text}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn status_401_for_ever_with_basic() {
    let server = serve(&Image::small(), |_| Some(challenge("Basic realm=\"x\"")));
    let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn status_401_for_ever_with_the_same_token() {
    let server = bearer(&Image::small(), |_| token(r#"{"token":"t"}"#), |_| false);
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert!(server.requests().len() <= 4);
}

#[test]
fn status_401_for_ever_with_new_tokens() {
    let count = AtomicUsize::new(0);
    let server = bearer(
        &Image::small(),
        move |_| token(&format!(r#"{{"token":"t{}"}}"#, count.fetch_add(1, Ordering::Relaxed))),
        |_| false,
    );
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert!(server.requests().len() <= 6, "{}", server.requests().len());
}

#[test]
fn status_401_in_the_middle() {
    let image = Image::large();
    let big = image.layers[1].clone();
    // The registry forgets the first token when the big blob breaks off.
    let forgotten = Arc::new(AtomicUsize::new(0));
    let server = serve(&image, move |request| {
        if request.path() == "/token" {
            let number = forgotten.load(Ordering::Relaxed);
            return Some(token(&format!(r#"{{"token":"t{number}","expires_in":3600}}"#)));
        }
        let wanted = format!("Bearer t{}", forgotten.load(Ordering::Relaxed));
        if request.header("authorization") != Some(&wanted) {
            let host = request.header("host").unwrap_or_default();
            return Some(challenge(&format!("Bearer realm=\"http://{host}/token\"")));
        }
        if request.is_blob(&big) && request.offset().is_none() {
            forgotten.store(1, Ordering::Relaxed);
            return Some(part(&big, None).ending(Ending::Close(500_000)));
        }
        None
    });
    Bench::new().pull(&server).expect("a new token is fetched");
    assert_eq!(server.requests_for("/token"), 2);
}

#[test]
fn a_token_that_grows_old_is_renewed_before() {
    let image = Image::small();
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    let server = bearer(
        &image,
        move |request| {
            clock.advance(Duration::from_secs(1));
            token(&format!(r#"{{"token":"t{}","expires_in":100}}"#, request.earlier))
        },
        |_| true,
    );
    let name = format!("{}/test/image", server.host()).parse().unwrap();
    let source = shalefs::source::open(&name, &bench.options).unwrap();
    source.root().expect("fine");
    assert_eq!(server.requests_for("/token"), 1);
    source.root().expect("fine");
    assert_eq!(server.requests_for("/token"), 1, "still good");
    bench.clock.advance(Duration::from_secs(96));
    source.root().expect("fine");
    assert_eq!(server.requests_for("/token"), 2, "renewed before it is refused");
}

#[test]
fn a_token_that_tells_no_life_lives_a_minute() {
    let bench = Bench::new();
    let server = bearer(&Image::small(), |_| token(r#"{"token":"t"}"#), |_| true);
    let name = format!("{}/test/image", server.host()).parse().unwrap();
    let source = shalefs::source::open(&name, &bench.options).unwrap();
    for (later, tokens) in [(0, 1), (40, 1), (21, 2)] {
        bench.clock.advance(Duration::from_secs(later));
        source.root().expect("fine");
        assert_eq!(server.requests_for("/token"), tokens);
    }
}

#[test]
fn cve_2019_10214_a_realm_elsewhere_over_http() {
    let elsewhere = serve(&Image::small(), |_| Some(token(r#"{"token":"t"}"#)));
    let host = elsewhere.host();
    let server = serve(&Image::small(), move |_| {
        Some(challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"x\"")))
    });
    let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
    assert!(matches!(error, RegistryError::Realm { .. }), "{text}");
    assert!(text.contains("not https"), "{text}");
    assert_eq!(elsewhere.requests().len(), 0, "nobody is asked in the clear");
}

#[test]
fn cve_2026_48978_a_realm_at_a_private_address() {
    for realm in [
        "https://127.0.0.1:1/token",
        "https://10.0.0.1/token",
        "https://169.254.169.254/token",
        "https://[fd00::1]/token",
        "https://localhost/token",
        "https://0x7f000001/token",
    ] {
        let server =
            serve(&Image::small(), move |_| Some(challenge(&format!("Bearer realm=\"{realm}\""))));
        let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
        assert!(matches!(error, RegistryError::Realm { .. }), "{realm}: {text}");
        assert!(text.contains("private address"), "{realm}: {text}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_realm_that_is_no_url() {
    for realm in ["", "token", "file:///etc/passwd", "https://user:hunter2@x.example/", "http://"] {
        let server =
            serve(&Image::small(), move |_| Some(challenge(&format!("Bearer realm=\"{realm}\""))));
        let error = Bench::new().pull(&server).map(|_| ()).expect_err("no token server");
        let (error, text) = (super::registry_error(error), realm);
        assert!(matches!(error, RegistryError::Realm { .. }), "{realm}: {text}");
    }
}

#[test]
fn of_several_challenges_the_one_that_can_be_answered() {
    let server = serve(&Image::small(), |request| {
        let given = request.header("authorization");
        let offer = "Negotiate, Bearer realm=\"http://10.0.0.1/\", Basic realm=\"x\"";
        (given != Some(BASIC)).then(|| challenge(offer))
    });
    Bench::new().with_password(&server.host()).pull(&server).expect("Basic is left");
}

#[test]
fn challenges_that_cannot_be_answered() {
    for (offer, shown) in [
        ("Negotiate", "negotiate"),
        ("Digest realm=\"x\", nonce=\"y\"", "digest"),
        ("", "no challenge"),
        ("?", "no challenge"),
    ] {
        let server = serve(&Image::small(), move |_| Some(challenge(offer)));
        let (error, text) = Bench::new().with_password(&server.host()).refused(&server);
        assert!(matches!(error, RegistryError::Challenge { .. }), "{offer}: {text}");
        assert!(text.contains(shown), "{text}");
    }
}

#[test]
fn wrong_credentials() {
    let (error, text, requests) = refused(Reply::error(401, "UNAUTHORIZED", "wrong password"));
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert!(text.contains("refused the credentials"), "{text}");
    assert_eq!(requests, 2);
}

#[test]
fn a_token_server_that_is_down_for_a_moment() {
    let server = bearer(
        &Image::small(),
        |request| match request.earlier {
            0 => Reply::new(503, "").with("Retry-After", "2"),
            _ => token(r#"{"token":"t"}"#),
        },
        |given| given == "t",
    );
    let bench = Bench::new();
    bench.pull(&server).expect("the second try works");
    assert_eq!(bench.clock.slept(), [Duration::from_secs(2)]);
}

#[test]
fn a_token_server_that_redirects_gets_no_password_elsewhere() {
    let elsewhere = serve(&Image::small(), |_| Some(token(r#"{"token":"t"}"#)));
    let host = elsewhere.host();
    let server = bearer(
        &Image::small(),
        move |_| Reply::redirect(302, &format!("http://{host}/token")),
        |given| given == "t",
    );
    // The token is anonymous then; that this registry takes it is its own affair.
    let _ = Bench::new().with_password(&server.host()).pull(&server);
    assert!(!elsewhere.requests().is_empty());
    saw_no_secret(&elsewhere);
}

/// A bench with the identity token `hunter2` for `server`.
fn with_identity(server: &FaultRegistry) -> Bench {
    let mut bench = Bench::new();
    let host = server.host();
    bench.write_auth(&format!(r#"{{"auths":{{"{host}":{{"identitytoken":"hunter2"}}}}}}"#));
    bench
}

#[test]
fn an_identity_token_is_exchanged() {
    let exchange = |request: &Request| {
        assert_eq!(request.method, "POST");
        let form = "grant_type=refresh_token&service=test&client_id=shale\
                    &scope=repository%3Atest%2Fimage%3Apull&refresh_token=hunter2";
        assert_eq!(request.body, form);
        token(r#"{"access_token":"t"}"#)
    };
    let server = bearer(&Image::small(), exchange, |given| given == "t");
    with_identity(&server).pull(&server).expect("let in");
    assert_eq!(server.requests_for("/token"), 1);
}

#[test]
fn an_identity_token_follows_no_redirect() {
    let elsewhere = serve(&Image::small(), |_| Some(token(r#"{"token":"t"}"#)));
    let host = elsewhere.host();
    let redirect = move |_: &Request| Reply::redirect(307, &format!("http://{host}/token"));
    let server = bearer(&Image::small(), redirect, |_| false);
    with_identity(&server).refused(&server);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn docker_hub_does_not_tell_missing_from_forbidden() {
    let server = bearer(&Image::small(), |_| token(r#"{"token":"t"}"#), |_| false);
    let toml = format!("server = \"http://{}\"\n", server.host());
    let bench = Bench::new().with_hosts("docker.io", &toml);
    let (error, text) = bench.refused_by_name("nobody/nothing");
    assert!(error.is_not_found());
    assert_eq!(text, "nobody/nothing:latest: not found or no access");
}

#[test]
fn a_broken_credential_file_is_said() {
    let server = serve(&Image::small(), |_| Some(challenge("Basic realm=\"x\"")));
    let mut bench = Bench::new();
    bench.write_auth("{\"auths\": hunter2");
    let (error, text) = bench.refused(&server);
    assert!(matches!(error, RegistryError::Config { .. }), "{text}");
    assert!(text.contains("config.json"), "{text}");
}
