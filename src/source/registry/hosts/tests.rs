//! Files as containerd and docker have them, and what becomes of them.

use super::*;

/// The hosts of `registry` when `certs.d/FOLDER` holds `files`.
fn hosts_of(
    registry: &str,
    folder: &str,
    files: &[(&str, &str)],
) -> Result<Vec<Host>, RegistryError> {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join(folder);
    fs::create_dir_all(&path).expect("made");
    for (name, text) in files {
        fs::write(path.join(name), text).expect("written");
    }
    let certs_dirs = vec![root.path().join("missing"), root.path().to_owned()];
    hosts(registry, &Options { certs_dirs, ..Options::default() })
}

fn shown(hosts: &[Host]) -> Vec<String> {
    let text = |host: &Host| {
        let mut text = format!("{}{}", host.origin, host.prefix);
        for (flag, name) in
            [(host.mirror, "mirror"), (host.pull, "pull"), (host.resolve, "resolve")]
        {
            if flag {
                text += &format!(" {name}");
            }
        }
        text
    };
    hosts.iter().map(text).collect()
}

#[test]
fn without_any_file() {
    let options = Options::default();
    let one = |registry: &str, options: &Options| {
        let hosts = hosts(registry, options).expect("fine");
        (shown(&hosts), hosts[0].assumed)
    };
    let all = |url: &str| vec![format!("{url}/v2 pull resolve")];
    assert_eq!(one("docker.io", &options), (all("https://registry-1.docker.io"), false));
    assert_eq!(one("r.example", &options), (all("https://r.example"), false));
    assert_eq!(one("r.example:5000", &options), (all("https://r.example:5000"), false));
    assert_eq!(one("127.0.0.1:5000", &options), (all("http://127.0.0.1:5000"), true));
    assert_eq!(one("localhost", &options), (all("http://localhost"), true));
    assert_eq!(one("localhost:443", &options), (all("https://localhost"), false));
    assert_eq!(one("[::1]:5000", &options), (all("http://[::1]:5000"), true));
    let plain = Options { plain_http: true, ..Options::default() };
    assert_eq!(one("r.example", &plain), (all("http://r.example"), false));
}

#[test]
fn mirrors_in_the_order_of_the_file() {
    let text = r#"
        server = "https://r.example"
        [host."https://z.example"]
          capabilities = ["pull", "resolve"]
        [host."a.example:5000"]
          capabilities = ["pull"]
        [host."http://m.example/sub/"]
          capabilities = ["resolve", "push"]
        [host."https://o.example/x"]
          override_path = true
          dial_timeout = "3s"
    "#;
    let hosts = hosts_of("r.example", "r.example", &[("hosts.toml", text)]).expect("fine");
    assert_eq!(
        shown(&hosts),
        [
            "https://z.example/v2 mirror pull resolve",
            "https://a.example:5000/v2 mirror pull",
            "http://m.example/sub/v2 mirror resolve",
            "https://o.example/x mirror pull resolve",
            "https://r.example/v2 pull resolve",
        ]
    );
}

#[test]
fn the_registry_itself_comes_last_when_no_server_is_named() {
    let text = "[host.\"https://m.example\"]\n";
    let hosts = hosts_of("docker.io", "docker.io", &[("hosts.toml", text)]).expect("fine");
    assert_eq!(
        shown(&hosts),
        [
            "https://m.example/v2 mirror pull resolve",
            "https://registry-1.docker.io/v2 pull resolve"
        ]
    );
    let hosts = hosts_of("docker.io", "_default", &[("hosts.toml", "")]).expect("fine");
    assert_eq!(shown(&hosts), ["https://registry-1.docker.io/v2 pull resolve"]);
    let text = "server = \"https://other.example\"\n";
    let hosts = hosts_of("docker.io", "docker.io", &[("hosts.toml", text)]).expect("fine");
    assert!(hosts[0].mirror, "a server elsewhere is not the registry");
}

#[test]
fn certificates_keys_and_headers() {
    let text = r#"
        server = "https://r.example"
        ca = ["one.crt", "/abs/two.crt"]
        client = [["c.cert", "c.key"], ["d.cert", "d.key"]]
        skip_verify = true
        [header]
          x-key = "hunter2"
          x-list = ["a", "b"]
    "#;
    let hosts = hosts_of("r.example", "r.example", &[("hosts.toml", text)]).expect("fine");
    let host = &hosts[0];
    assert!(host.trust.unchecked);
    assert!(host.trust.roots[0].ends_with("r.example/one.crt"));
    assert_eq!(host.trust.roots[1], Path::new("/abs/two.crt"));
    let (chain, key) = host.trust.client.as_ref().expect("a pair");
    assert!(chain.ends_with("r.example/c.cert") && key.ends_with("r.example/c.key"));
    assert_eq!(host.headers.len(), 3);
    assert!(!format!("{host:?}").contains("hunter2"), "header values are secrets");
    for client in ["\"both.pem\"", "[\"both.pem\"]"] {
        let text = format!("client = {client}");
        let hosts = hosts_of("r.example", "r.example", &[("hosts.toml", &text)]).expect("fine");
        let (chain, key) = hosts[0].trust.client.as_ref().expect("a pair");
        assert!(chain.ends_with("both.pem") && key == chain);
    }
}

#[test]
fn folders_with_a_port() {
    for folder in ["r.example:5000", "r.example_5000_"] {
        let text = "[host.\"https://m.example\"]\n";
        let hosts = hosts_of("r.example:5000", folder, &[("hosts.toml", text)]).expect("fine");
        assert_eq!(hosts.len(), 2, "{folder}");
    }
}

#[test]
fn dockers_certificate_files() {
    let files = [("b.crt", ""), ("a.crt", ""), ("me.cert", ""), ("me.key", ""), ("notes", "")];
    let hosts = hosts_of("127.0.0.1:5000", "127.0.0.1:5000", &files).expect("fine");
    let host = &hosts[0];
    assert!(host.origin.secure && !host.assumed, "certificates mean TLS");
    let names: Vec<_> = host.trust.roots.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(names, ["a.crt", "b.crt"]);
    assert!(host.trust.client.as_ref().expect("a pair").1.ends_with("me.key"));
    let hosts = hosts_of("127.0.0.1:5000", "127.0.0.1:5000", &[]).expect("fine");
    assert!(hosts[0].assumed, "an empty folder changes nothing");
}

#[test]
fn broken_files_are_errors() {
    for text in [
        "server = ",
        "server = 7",
        "host = 7",
        "[host.\"ftp://m.example\"]",
        "[host.\"https://u:p@m.example\"]",
        "[host.\"https://m.example\"]\nca = 7",
        "[host.\"https://m.example\"]\nclient = [[\"a\",\"b\",\"c\"]]",
        "[host.\"https://m.example\"]\nskip_verify = \"no\"",
        "[host.\"https://m.example\"]\ncapabilities = \"pull\"",
        "[header]\nx = 7",
    ] {
        let error = hosts_of("r.example", "r.example", &[("hosts.toml", text)]).expect_err(text);
        let error = error.to_string();
        assert!(error.contains("hosts.toml") && !error.contains('\n'), "{error:?}");
    }
}
