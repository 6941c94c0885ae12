//! Where passwords come from, are kept, and go: helpers, files, terminals, and what is not encrypted.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::registry::{HELPER, SECRET};
use crate::support::cli::{Home, Said};
use crate::support::fault_registry::{FaultRegistry, Reply};
use crate::support::image::Image;

/// A registry that wants a password, whichever.
fn wants_a_password(image: &Image) -> FaultRegistry {
    FaultRegistry::start(image, |request| {
        let bare = request.header("authorization").is_none();
        bare.then(|| Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""))
    })
}

/// A home with docker's `config.json` and a helper beside, and a run of shale in it.
fn with_helper(name: &str, config: &str) -> (Home, impl Fn(&Home, &[&str], &str) -> Said) {
    let home = Home::new();
    let helper = format!("bin/docker-credential-{name}");
    home.write(&helper, HELPER);
    fs::set_permissions(home.path(&helper), fs::Permissions::from_mode(0o755)).unwrap();
    home.write(".docker/config.json", config);
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let run = move |home: &Home, words: &[&str], input: &str| {
        let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
        home.run(command.env("PATH", &path).args(words), input)
    };
    (home, run)
}

#[test]
fn a_helper_with_a_dot_in_its_name_keeps_the_password() {
    let server = wants_a_password(&Image::small());
    let (host, name) = (server.host(), format!("{}/test/image", server.host()));
    let (home, shale) = with_helper("desktop.exe", r#"{"credsStore": "desktop.exe"}"#);
    let said = shale(&home, &["login", "-u", "user", "--password-stdin", &host], SECRET);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(!said.stderr.contains("unencrypted"), "{}", said.stderr);
    let config = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    assert!(config.contains(&host) && !config.contains("\"auth\""), "no secret here: {config}");
    assert!(fs::read_to_string(home.path("bin/secrets")).unwrap().contains(SECRET));
    assert_eq!(shale(&home, &["pull", &name], "").status, 0);
    let said = shale(&home, &["logout", &host], "");
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(!home.path("bin/secrets").exists());
    let said = shale(&home, &["logout", &host], "");
    assert!(said.stderr.contains("Not logged in"), "{}", said.stderr);
}

#[test]
fn where_no_helper_can_be_called_so_no_password_is_kept() {
    let server = wants_a_password(&Image::small());
    let host = server.host();
    for config in [
        r#"{"credsStore": "../evil"}"#.to_owned(),
        r#"{"credsStore": 7}"#.to_owned(),
        format!(r#"{{"credHelpers": {{"{host}": "a b"}}}}"#),
    ] {
        let (home, shale) = with_helper("unused", &config);
        let said = shale(&home, &["login", "-u", "user", "--password-stdin", &host], SECRET);
        assert_eq!(said.status, 1, "{config}");
        let told = said.stderr.contains("config.json: a credential helper cannot be called");
        assert!(told, "{}", said.stderr);
        let kept = fs::read_to_string(home.path(".docker/config.json")).unwrap();
        assert_eq!(kept, config, "left as it was");
    }
    assert_eq!(server.requests().len(), 0, "nothing is asked before that is known");
}

#[test]
fn logout_removes_the_password_however_its_key_is_spelled() {
    let (home, shale) = with_helper("gone", "");
    let auths = r#"{"auths": {"https://r.example/v2/": {"auth": "dTpw"}, "r.example":
        {"auth": "dTpw"}, "r.example/team": {"auth": "dTpx"}, "other.example": {"auth": "dTpy"}},
        "credsStore": "missing"}"#;
    home.write(".docker/config.json", auths);
    // What stands in the file goes, even though the helper cannot be asked.
    let said = shale(&home, &["logout", "r.example"], "");
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("docker-credential-missing"), "{}", said.stderr);
    let kept = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    assert!(!kept.contains("dTpw"), "{kept}");
    assert!(kept.contains("dTpx") && kept.contains("dTpy"), "those are others': {kept}");
}

#[test]
fn a_home_that_is_none_means_no_credentials_and_a_warning() {
    let server = FaultRegistry::start(&Image::small(), |request| {
        let bare = request.header("authorization").is_none();
        let bearer = format!("Bearer realm=\"http://{}/token\"", request.header("host")?);
        if request.path() == "/token" {
            return Some(Reply::new(200, r#"{"token":"t"}"#));
        }
        bare.then(|| Reply::new(401, "").with("WWW-Authenticate", &bearer))
    });
    let home = Home::new();
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    command.env("HOME", "/dev/null").args(["pull", &format!("{}/test/image", server.host())]);
    let said = home.run(&mut command, "");
    assert_eq!(said.status, 0, "{}", said.stderr);
    let warned = said.stderr.matches("/dev/null/.docker/config.json: Not a directory").count();
    assert_eq!(warned, 1, "{}", said.stderr);
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    command.env("HOME", "/dev/null").args(["login", "-u", "u", "--password-stdin", "r.example"]);
    let said = home.run(&mut command, SECRET);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("/dev/null/.docker/config.json: Not a directory"));
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    command.env("HOME", "/dev/null").args(["logout", "r.example"]);
    let said = home.run(&mut command, "");
    assert!(said.status == 0 && said.stderr.contains("Not logged in"), "{}", said.stderr);
}

#[test]
fn over_plain_http_the_switch_for_credentials_is_named() {
    let server = wants_a_password(&Image::small());
    let (home, proxy) = (Home::new(), format!("http://{}", server.host()));
    home.write(".docker/config.json", r#"{"auths": {"r.example": {"auth": "dTpodW50ZXIy"}}}"#);
    let pull = |more: &[&str]| {
        let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
        command.env("http_proxy", &proxy).args(["pull", "--plain-http", "r.example/test/image"]);
        home.run(command.args(more), "")
    };
    let said = pull(&[]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("hint: ") && said.stderr.contains("--plain-http-credentials"));
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(pull(&["--plain-http-credentials"]).status, 0);
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_remedy() {
    let home = Home::new();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    command.env("https_proxy", format!("http://u:hunter2@{dead}")).args(["pull", "r.example/a"]);
    let said = home.run(&mut command, "");
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains(&format!("through the proxy {dead}: ")), "{}", said.stderr);
    assert!(said.stderr.contains("$https_proxy"), "{}", said.stderr);
    assert!(!said.stderr.contains("is the registry running"), "{}", said.stderr);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
}

/// What a terminal shows while `command` runs on it: up to `words`, then the key, then the rest.
fn on_a_terminal(command: &mut Command, words: &str, key: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
    let (mut input, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut piece) = (String::new(), [0; 4096]);
    while !shown.contains(words) {
        let count = output.read(&mut piece).unwrap();
        assert!(count > 0, "no {words:?} in {shown:?}");
        shown += &String::from_utf8_lossy(&piece[..count]);
    }
    input.write_all(key.as_bytes()).unwrap();
    output.read_to_string(&mut shown).unwrap();
    script.wait().unwrap();
    shown
}

#[test]
fn a_password_that_is_given_up_leaves_the_terminal_with_its_echo() {
    let server = wants_a_password(&Image::small());
    let (home, shale, host) = (Home::new(), env!("CARGO_BIN_EXE_shale"), server.host());
    for (key, status) in [("\u{3}", 130), ("\u{1c}", 131)] {
        let login =
            format!("trap : INT QUIT; {shale} login -u user {host}; echo ended=$?; stty -a");
        let mut script = home.program("script");
        script
            .args(["--quiet", "--flush", "--command", &login, "/dev/null"])
            .env("SHELL", "/bin/sh");
        let shown = on_a_terminal(&mut script, "Password: ", key);
        assert!(shown.contains(&format!("ended={status}")), "{shown}");
        let modes: Vec<&str> = shown.split([' ', '\r', '\n', ';']).collect();
        assert!(modes.contains(&"echo") && !modes.contains(&"-echo"), "{shown}");
    }
    assert_eq!(server.requests().len(), 0);
    // One that is typed is not shown, and is sent.
    let mut script = home.program("script");
    let login = format!("{shale} login -u user {host}; stty -a");
    script.args(["--quiet", "--flush", "--command", &login, "/dev/null"]).env("SHELL", "/bin/sh");
    let shown = on_a_terminal(&mut script, "Password: ", "hunter2\n");
    assert!(shown.contains("Login Succeeded") && !shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("-echo "), "{shown}");
}
