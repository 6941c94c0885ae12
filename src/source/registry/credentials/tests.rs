//! Which entry of which file is used.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

/// A folder with files, removed at the end.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

fn user_of(files: &[PathBuf], host: &str, repository: &str) -> Option<String> {
    let options = Options { auth_files: files.to_vec(), ..Options::default() };
    match find(&options, host, repository).expect("readable") {
        Some(Credential::Password { user, .. }) => Some(user),
        Some(other) => Some(format!("{other:?}")),
        None => None,
    }
}

fn entry(user: &str) -> String {
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("{user}:secret"));
    format!(r#"{{"auth":"{auth}"}}"#)
}

#[test]
fn docker_hub_has_one_key_and_three_names() {
    let home = Home::new();
    let text = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{}}}}}"#, entry("hub"));
    let files = [home.file("config.json", &text)];
    for host in ["docker.io", "registry-1.docker.io", "index.docker.io"] {
        assert_eq!(user_of(&files, host, "library/debian").as_deref(), Some("hub"), "{host}");
    }
    assert_eq!(user_of(&files, "auth.docker.io", ""), None);
    assert_eq!(user_of(&files, "docker.io.example", ""), None);
}

#[test]
fn the_longest_prefix_wins() {
    let home = Home::new();
    let text = format!(
        r#"{{"auths":{{"h.example":{},"h.example/a":{},"h.example/a/b":{},"h.example:5000":{}}}}}"#,
        entry("host"),
        entry("a"),
        entry("b"),
        entry("port")
    );
    let files = [home.file("auth.json", &text)];
    for (host, repository, user) in [
        ("h.example", "a/b", "b"),
        ("h.example", "a/b/c", "b"),
        ("h.example", "a/c", "a"),
        ("h.example", "ab", "host"),
        ("h.example", "", "host"),
        ("h.example:5000", "a/b", "port"),
    ] {
        assert_eq!(user_of(&files, host, repository).as_deref(), Some(user), "{host} {repository}");
    }
    assert_eq!(user_of(&files, "h.example:1", "a"), None, "another port is another registry");
}

#[test]
fn files_in_their_order() {
    let home = Home::new();
    let first = home.file("1", &format!(r#"{{"auths":{{"a.example":{}}}}}"#, entry("first")));
    let text =
        format!(r#"{{"auths":{{"a.example":{},"b.example":{}}}}}"#, entry("2"), entry("second"));
    let second = home.file("2", &text);
    let files = [first, home.0.path().join("missing"), second];
    assert_eq!(user_of(&files, "a.example", "").as_deref(), Some("first"));
    assert_eq!(user_of(&files, "b.example", "").as_deref(), Some("second"));
    assert_eq!(user_of(&files, "c.example", ""), None);
}

#[test]
fn kinds_of_entries() {
    let home = Home::new();
    let text = r#"{"auths":{"i.example":{"auth":"eDp5","identitytoken":"t"},
        "r.example":{"registrytoken":"t"},"u.example":{"username":"u","password":"p"},
        "e.example":{},"n.example":null,"nul.example":{"auth":"dTpwAAA="}}}"#;
    let options =
        Options { auth_files: vec![home.file("config.json", text)], ..Options::default() };
    let get = |host: &str| find(&options, host, "x").expect("readable");
    assert_eq!(get("i.example"), Some(Credential::Identity(Secret::new("t"))));
    assert_eq!(get("r.example"), Some(Credential::Bearer(Secret::new("t"))));
    let password = |user: &str| {
        Some(Credential::Password { user: user.to_owned(), password: Secret::new("p") })
    };
    assert_eq!(get("u.example"), password("u"));
    assert_eq!(get("nul.example"), password("u"));
    assert_eq!((get("e.example"), get("n.example")), (None, None));
}

#[test]
fn broken_files_are_said_and_no_secret_with_them() {
    let home = Home::new();
    for text in [
        "",
        "{",
        r#"{"auths":{"a.example":{"auth":7}}}"#,
        r#"{"auths":{"a.example":"hunter2"}}"#,
        r#"{"auths":{"a.example":{"auth":"hunter2!"}}}"#,
        r#"{"auths":{"a.example":{"auth":"aHVudGVyMg=="}}}"#,
    ] {
        let options =
            Options { auth_files: vec![home.file("config.json", text)], ..Options::default() };
        let error = find(&options, "a.example", "").expect_err(text).to_string();
        assert!(error.contains("config.json") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn helpers() {
    let home = Home::new();
    let folder = home.0.path().join("bin");
    std::fs::create_dir(&folder).expect("made");
    let script = |name: &str, text: &str| {
        let path = folder.join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\nread url\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        path.display().to_string()
    };
    let good = script("good", r#"echo "{\"Username\":\"$1 $url\",\"Secret\":\"s\"}""#);
    let token = script("token", r#"echo '{"Username":"<token>","Secret":"t"}'"#);
    let none = script("none", "echo credentials not found in native keychain; exit 1");
    let noise = script("noise", "echo oops");
    let minute = std::time::Duration::from_secs(60);
    let ask = |path: &str, server: &str| Helper::at(Path::new(path), minute).get(server);
    assert_eq!(
        ask(&good, "h.example").expect("works"),
        Some(Credential::Password { user: "get h.example".to_owned(), password: Secret::new("s") })
    );
    let identity = Some(Credential::Identity(Secret::new("t")));
    assert_eq!(ask(&token, "h.example").expect("works"), identity);
    assert_eq!(ask(&none, "h.example").expect("works"), None);
    assert!(ask(&noise, "h.example").is_err());
    assert!(ask("/nonexistent", "h.example").is_err());
}

#[test]
fn a_helper_that_does_not_end_is_ended_with_a_message() {
    let home = Home::new();
    let script = |name: &str, text: &str| {
        let path = home.file(name, &format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        path
    };
    let patience = std::time::Duration::from_millis(300);
    // Neither has anything to wait for: the pipe's writing end is its own.
    let answers = r#"cat > /dev/null; echo '{"Username":"u","Secret":"s"}'; exec 1>&-"#;
    let lingers = script("lingers", &format!("{answers}; exec sleep 1000"));
    let silent = script("silent", "exec sleep 1000");
    for (path, words) in [(&lingers, "answered but did not end"), (&silent, "no answer")] {
        let error = Helper::at(path, patience).get("h.example").expect_err(words).to_string();
        assert!(error.contains(words) && error.contains("get"), "{error}");
        let error = Helper::at(path, patience).erase("h.example").expect_err(words).to_string();
        assert!(error.contains(words) && error.contains("erase"), "{error}");
    }
    // More than a pipe holds, to somebody who does not read.
    let long = Secret::new("s".repeat(1 << 20));
    let error = Helper::at(&silent, patience).store("h.example", "u", &long).expect_err("silent");
    assert!(error.to_string().contains("no answer"), "{error}");
}

#[test]
fn names_of_helpers() {
    for name in ["desktop.exe", "secretservice", "ecr-login", "a_b", "9"] {
        assert!(Helper::new(name).is_ok(), "{name}");
    }
    for name in ["", "../evil", "a/b", "a b", "a\nb", "é", "a\0"] {
        let error = Helper::new(name).expect_err(name).to_string();
        assert!(error.starts_with("a credential helper cannot be called"), "{error}");
    }
}

#[test]
fn the_store_of_docker_comes_before_the_file() {
    let home = Home::new();
    let path = home.file(
        "docker-credential-test",
        "#!/bin/sh\nread url\n[ $url = a.example ] && echo '{\"Username\":\"store\",\"Secret\":\"s\"}' \
         || { echo credentials not found in native keychain; exit 1; }\n",
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    let config = |text: String| -> File {
        File {
            config: serde_json::from_str(&text).expect("JSON"),
            auths: serde_json::from_str::<Raw>(&text).expect("JSON").auths,
        }
    };
    let auths = format!(r#""auths":{{"a.example":{0},"b.example":{0}}}"#, entry("file"));
    let config = config(format!(r#"{{"credsStore":"test",{auths}}}"#));
    let find = |host: &str| {
        let store = Helper::at(&path, std::time::Duration::from_secs(60));
        match config.find_with(&path, host, "", |_, key| store.get(key)).expect("works") {
            Some(Credential::Password { user, .. }) => user,
            other => format!("{other:?}"),
        }
    };
    assert_eq!(find("a.example"), "store");
    assert_eq!(find("b.example"), "file", "what the store does not know is in the file");
    assert_eq!(find("c.example"), "None");
}

#[test]
fn files_out_of_reach_are_none_and_warned_of_once() {
    let home = Home::new();
    let file = home.file("config.json", &format!(r#"{{"auths":{{"a.example":{}}}}}"#, entry("u")));
    let (below_a_file, below_null) = (file.join("config.json"), PathBuf::from("/dev/null/x"));
    let files = vec![below_a_file.clone(), below_null.clone(), file];
    let options = Options { auth_files: files, ..Options::default() };
    for _ in 0..2 {
        let found = find(&options, "a.example", "").expect("no error");
        assert!(matches!(found, Some(Credential::Password { .. })));
    }
    let warned = options.warned.lock().expect("no test panics here").clone();
    assert_eq!(warned, [below_a_file, below_null].into_iter().collect());
}

#[test]
fn a_helper_that_is_missing_means_anonymous() {
    let home = Home::new();
    let text = r#"{"credsStore":"none-such","credHelpers":{"a.example":"../../evil"}}"#;
    let files = [home.file("config.json", text)];
    assert_eq!(user_of(&files, "a.example", ""), None);
    assert_eq!(user_of(&files, "b.example", ""), None);
}
