//! Who may send us where: every address is judged that a name stands for, and only those are
//! connected to. The names are the tests' own, and so is the network where they are in the public one.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shalefs::source::registry::{Fault, RegistryError};

use super::{Bench, saw_no_secret, serve};
use crate::support::fake_names::FakeNames;
use crate::support::fault_registry::{FaultRegistry, Reply};
use crate::support::image::Image;
use crate::support::net_namespace::NetNamespace;

/// A bench with names of its own.
fn bench(names: &[&str]) -> (Bench, Arc<FakeNames>) {
    let (mut bench, names) = (Bench::new(), Arc::new(FakeNames::new(names)));
    bench.options.lookup = names.clone();
    (bench, names)
}

/// A registry at `address` that redirects everything to `target`, with the path.
fn redirecting(address: &str, target: &str) -> FaultRegistry {
    let target = target.to_owned();
    FaultRegistry::start_at(&format!("{address}:0"), &Image::small(), move |request| {
        Some(Reply::redirect(307, &format!("{target}{}", request.target)))
    })
}

/// The image of a server that has the name `registry.example`.
fn name_of(server: &FaultRegistry) -> String {
    format!("{}/test/image", registry_of(server))
}

fn registry_of(server: &FaultRegistry) -> String {
    let host = server.host();
    let (_, port) = host.rsplit_once(':').unwrap();
    format!("registry.example:{port}")
}

/// Counts who comes.
fn trap(address: &str) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).expect(address);
    let count = Arc::new(AtomicUsize::new(0));
    let kept = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            kept.fetch_add(1, Ordering::SeqCst);
        }
    });
    count
}

const PRIVATE: [(&str, &str); 7] = [
    ("10.0.0.5", "a private address"),
    ("127.0.0.1", "this machine"),
    ("169.254.169.254", "link-local"),
    ("fd00::5", "a private address"),
    ("2002:a00:5::1", "a private address"),
    ("64:ff9b::a00:5", "a private address"),
    ("::1", "this machine"),
];

/// A network in which addresses of every kind are this machine's.
fn network() -> Option<NetNamespace> {
    // Loopback addresses are there already.
    let private = PRIVATE.iter().map(|(address, _)| *address);
    let private = private.filter(|address| !["127.0.0.1", "::1"].contains(address));
    NetNamespace::new(&["1.2.3.4", "1.2.3.5"].into_iter().chain(private).collect::<Vec<_>>())
}

#[test]
fn no_name_leads_from_a_public_registry_into_the_private_network() {
    let Some(network) = network() else { return };
    network.run(|| {
        for (address, zone) in PRIVATE {
            let socket =
                if address.contains(':') { format!("[{address}]") } else { address.into() };
            let trap = trap(&format!("{socket}:8500"));
            for target in
                ["http://internal.example:8500".to_owned(), format!("http://{socket}:8500")]
            {
                let server = redirecting("1.2.3.4", &target);
                let internal = format!("internal.example {address}");
                let (mut bench, _) = bench(&["registry.example 1.2.3.4", &internal]);
                bench.options.plain_http = true;
                let (error, text) = bench.refused_by_name(&name_of(&server));
                assert!(matches!(error, RegistryError::Redirect { .. }), "{target}: {text}");
                assert!(text.contains(zone), "{target}: {text}");
                assert_eq!(server.requests().len(), 1);
            }
            assert_eq!(trap.load(Ordering::SeqCst), 0, "nobody was connected to at {address}");
        }
    });
}

#[test]
fn spellings_of_addresses_are_judged_as_the_resolver_reads_them() {
    let Some(network) = network() else { return };
    network.run(|| {
        let trap = trap("10.0.0.5:8500");
        for spelled in
            ["10.5", "167772165", "0xa000005", "012.0.0.05", "[::ffff:10.0.0.5]", "10.0.0.5."]
        {
            let server = redirecting("1.2.3.4", &format!("http://{spelled}:8500"));
            let (mut bench, _) = bench(&["registry.example 1.2.3.4"]);
            bench.options.plain_http = true;
            let (error, text) = bench.refused_by_name(&name_of(&server));
            assert!(matches!(error, RegistryError::Redirect { .. }), "{spelled}: {text}");
            assert!(text.contains("a private address"), "{spelled}: {text}");
        }
        assert_eq!(trap.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn between_public_names_redirects_are_followed() {
    let Some(network) = network() else { return };
    network.run(|| {
        let storage = FaultRegistry::start_at("1.2.3.5:80", &Image::small(), |_| None);
        let server = redirecting("1.2.3.4", "http://storage.example");
        // Of several addresses the private one is left out.
        let names = ["registry.example 1.2.3.4", "storage.example 10.0.0.5,1.2.3.5"];
        let (mut bench, _) = bench(&names);
        bench.options.plain_http = true;
        bench.pull_name(&name_of(&server)).expect("storage serves it");
        assert!(!storage.requests().is_empty());
    });
}

#[test]
fn a_public_registry_does_not_move_into_the_private_network() {
    let Some(network) = network() else { return };
    network.run(|| {
        let trap = trap("10.0.0.5:80");
        let moved = "registry.example 1.2.3.4 10.0.0.5";
        // Each answer ends its connection, so each request looks the name up.
        let server = FaultRegistry::start_at("1.2.3.4:80", &Image::small(), |request| {
            let served = crate::support::fault_registry::manifest(&Image::small().manifest);
            request.is_manifest().then(|| served.with("Connection", "close"))
        });
        let (mut bench, names) = bench(&[moved]);
        bench.options.plain_http = true;
        let (error, text) = bench.refused_by_name("registry.example/test/image");
        assert!(matches!(error, RegistryError::Address { .. }), "{text}");
        assert!(text.contains("it was at a public one before"), "{text}");
        assert_eq!((names.asked("registry.example"), server.requests().len()), (2, 1));
        assert_eq!(trap.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn the_switch_for_a_private_network_is_named_and_works() {
    let Some(network) = network() else { return };
    network.run(|| {
        let storage = FaultRegistry::start_at("10.0.0.5:80", &Image::small(), |_| None);
        // Where the registry itself is makes no difference: its name may stand for anything.
        for address in ["10.0.0.5", "1.2.3.4"] {
            let server = redirecting(address, "http://storage.example");
            let names = [&format!("registry.example {address}"), "storage.example 10.0.0.5"];
            let with = |server: &FaultRegistry, switch: &str| {
                let registry = registry_of(server);
                let text = format!("server = \"http://{registry}\"\n{switch}");
                let (mut bench, _) = bench(&names);
                bench.options.plain_http = true;
                bench.with_hosts(&registry, &text)
            };
            let switch = "private_network = true\n";
            let before = storage.requests().len();
            let (_, text) = with(&server, "").refused_by_name(&name_of(&server));
            assert!(text.contains("`private_network = true` in its hosts.toml"), "{text}");
            assert_eq!(storage.requests().len(), before);
            with(&server, switch).pull_name(&name_of(&server)).expect("a neighbour serves it");
            // What is on the link, or on this machine, is no neighbour.
            for target in ["http://169.254.169.254", "http://127.0.0.1"] {
                let server = redirecting(address, target);
                let (error, text) = with(&server, switch).refused_by_name(&name_of(&server));
                assert!(matches!(error, RegistryError::Redirect { .. }), "{text}");
            }
        }
    });
}

#[test]
fn a_realm_whose_name_is_a_private_address_gets_no_credentials() {
    let Some(network) = network() else { return };
    network.run(|| {
        let trap = trap("10.0.0.5:443");
        let server = FaultRegistry::start_at("1.2.3.4:80", &Image::small(), |_| {
            let realm = "Bearer realm=\"https://auth.example/token\",service=\"x\"";
            Some(Reply::new(401, "").with("WWW-Authenticate", realm))
        });
        let (mut bench, _) = bench(&["registry.example 1.2.3.4", "auth.example 10.0.0.5"]);
        bench.options.plain_http = true;
        let bench = bench.with_password("registry.example");
        let (error, text) = bench.refused_by_name("registry.example/test/image");
        assert!(matches!(error, RegistryError::Realm { .. }), "{text}");
        assert!(text.contains("it is at 10.0.0.5, a private address"), "{text}");
        assert_eq!(trap.load(Ordering::SeqCst), 0);
        saw_no_secret(&server);
    });
}

#[test]
fn a_private_registry_leads_to_no_link_local_address_in_any_spelling() {
    let names = [
        "a.example 169.254.169.254",
        "b.example fe80::1",
        "c.example ::ffff:169.254.169.254",
        "d.example 64:ff9b::a9fe:a9fe",
        "e.example 2002:a9fe:a9fe::1",
    ];
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let spelled = [
        "169.254.43518",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[::ffff:a9fe:a9fe]",
        "[fe80::1]",
        "169.254.169.254.",
    ];
    for target in hosts.into_iter().chain(spelled) {
        let server = redirecting("127.0.0.1", &format!("http://{target}"));
        let (bench, _) = bench(&names);
        let (error, text) = bench.refused_by_name(&super::name_at(&server));
        assert!(matches!(error, RegistryError::Redirect { .. }), "{target}: {text}");
        assert!(text.contains("link-local"), "{target}: {text}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn what_was_judged_is_what_is_connected_to() {
    let image = Image::small();
    let storage = serve(&image, |_| None);
    let (_, port) =
        storage.host().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let server = serve(&image, move |request| {
        let to = format!("http://storage.example:{port}{}", request.target);
        request.is_manifest().then(|| Reply::redirect(307, &to))
    });
    // A second look would find an address that nobody may be sent to.
    let (bench, names) = bench(&["storage.example 127.0.0.1 169.254.169.254"]);
    bench.pull(&server).expect("the first answer is used");
    assert_eq!(names.asked("storage.example"), 1, "looked up once");
    assert_eq!(storage.requests().len(), 1);
}

#[test]
fn a_name_of_this_machine_is_this_machine() {
    let (bench, _) = bench(&["registry.localhost 10.0.0.5"]);
    let (error, text) = bench.refused_by_name("registry.localhost:5000/test/image");
    assert!(matches!(error, RegistryError::Address { .. }), "{text}");
    assert!(text.contains("its name is one of this machine"), "{text}");
}

#[test]
fn a_name_that_stands_for_nothing() {
    let (bench, _) = bench(&[]);
    let (error, text) = bench.refused_by_name("registry.example/test/image");
    let lookup = matches!(&error, RegistryError::Transport { fault: Fault::Lookup(_), .. });
    assert!(lookup, "{text}");
}

/// A registry that wants a password, reached by its name over http through a proxy.
fn in_the_clear(server: &FaultRegistry) -> Bench {
    let mut bench = Bench::new();
    bench.options.plain_http = true;
    bench.options.proxies.http = Some(format!("http://{}", server.host()));
    bench.with_password("registry.example")
}

#[test]
fn over_plain_http_no_credentials_go_to_another_machine() {
    let bearer = "Bearer realm=\"http://registry.example/token\",service=\"x\"";
    for challenge in ["Basic realm=\"x\"", bearer] {
        let server = serve(&Image::small(), move |request| {
            if request.path() == "/token" {
                return Some(Reply::new(200, r#"{"token":"t"}"#));
            }
            let bare = request.header("authorization").is_none();
            bare.then(|| Reply::new(401, "").with("WWW-Authenticate", challenge))
        });
        let name = "registry.example/test/image";
        let (error, text) = in_the_clear(&server).refused_by_name(name);
        assert!(matches!(error, RegistryError::PlainCredentials { .. }), "{text}");
        assert!(text.contains("http://registry.example"), "{text}");
        saw_no_secret(&server);
        assert_eq!(server.requests_for("/token"), 0);
        // An identity token is no less a secret.
        let mut bench = in_the_clear(&server);
        bench.write_auth(r#"{"auths":{"registry.example":{"identitytoken":"hunter2"}}}"#);
        if challenge == bearer {
            bench.refused_by_name(name);
            saw_no_secret(&server);
        }
        // Without credentials there is nothing to keep.
        let mut bench = in_the_clear(&server);
        bench.options.auth_files.clear();
        assert_eq!(bench.pull_name(name).is_ok(), challenge == bearer);

        let mut bench = in_the_clear(&server);
        bench.options.plain_credentials = true;
        bench.pull_name(name).expect("that was asked for");
        let switch = "server = \"http://registry.example\"\nplain_http_credentials = true\n";
        let bench = in_the_clear(&server).with_hosts("registry.example", switch);
        bench.pull_name(name).expect("that was asked for too");
    }
}
