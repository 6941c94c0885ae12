//! `save` and `load` beside skopeo, podman and umoci: what one writes the others read, and the image
//! ID stays the same.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::support::cli::Home;
use crate::support::layout_registry::LayoutRegistry;
use crate::support::real_registry::installed;
use crate::support::require::is_root;

/// A home with images of Docker's and of OCI's media types in its store.
struct Stage {
    home: Home,
    registry: String,
}

impl Stage {
    fn new() -> Self {
        let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker/layout");
        let stage = Self { home: Home::new(), registry: LayoutRegistry::serve(&layout).name };
        for name in ["app:1", "app:1.0", "app:2", "plain:latest"] {
            stage.home.ok(&["pull", "-q", &stage.name(name)]);
        }
        stage
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry)
    }

    fn id(&self, name: &str) -> String {
        self.home.ok(&["inspect", "-f", "{{.Id}}", &self.name(name)]).trim().to_owned()
    }

    /// Writes an archive of `names` in a form that `--format` knows.
    fn save(&self, form: &str, names: &[&str]) -> String {
        let file = self.home.path(&format!("{form}-{}.tar", names.len()));
        let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        let mut words = vec!["save", "--format", form, "-o", file.to_str().unwrap()];
        words.extend(names.iter().map(String::as_str));
        self.home.ok(&words);
        file.to_str().unwrap().to_owned()
    }

    /// Standard output of another program.
    fn ask(&self, line: &[&str]) -> String {
        let said = self.home.run(self.home.program(line[0]).args(&line[1..]), "");
        assert_eq!(said.status, 0, "{line:?}: {}", said.stderr);
        said.stdout
    }

    /// What `load` of a file says in a store of its own, and the IDs by name that are there then.
    fn load(&self, file: &str) -> (String, String) {
        let other = Home::new();
        let said = other.ok(&["load", "-i", file]);
        let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
        (said, other.ok(&["ls", "--no-trunc", "--format", format]))
    }
}

const FORMS: [&str; 2] = ["docker-archive", "oci-archive"];

#[test]
fn skopeo_reads_what_we_save() {
    let stage = Stage::new();
    if !installed("skopeo") {
        return;
    }
    for form in FORMS {
        let file = stage.save(form, &["app:1", "app:2", "plain:latest"]);
        for name in ["app:1", "app:2", "plain:latest"] {
            let place = format!("{form}:{file}:{}", stage.name(name));
            let config = stage.ask(&["skopeo", "inspect", "--raw", "--config", &place]);
            let id = shalefs::oci::Digest::sha256(config.as_bytes()).to_string();
            assert_eq!(id, stage.id(name), "{form} {name}");
            // All of its layers are there and are what the manifest says.
            let copy = format!("dir:{}", stage.home.path(&format!("{form}-{name}")).display());
            stage.ask(&["skopeo", "copy", "-q", "--insecure-policy", &place, &copy]);
        }
    }
}

#[test]
fn podman_reads_what_we_save() {
    let stage = Stage::new();
    if !installed("podman") || !is_root() {
        return;
    }
    let (root, run) = (stage.home.path("podman"), stage.home.path("podman-run"));
    let podman = |words: &[&str]| {
        let options = ["podman", "--storage-driver", "vfs", "--root", root.to_str().unwrap()];
        let more = ["--runroot", run.to_str().unwrap()];
        stage.ask(&[&options[..], &more, words].concat())
    };
    // Several images in an OCI archive are more than this podman takes.
    for (form, names) in [("docker-archive", &["app:1", "app:2"][..]), ("oci-archive", &["app:1"])]
    {
        podman(&["load", "-q", "-i", &stage.save(form, names)]);
        for name in names {
            let id = podman(&["image", "inspect", "-f", "{{.Id}}", &stage.name(name)]);
            assert_eq!(format!("sha256:{}", id.trim()), stage.id(name), "{form} {name}");
        }
        podman(&["rmi", "-f", "-a"]);
    }
    podman(&["load", "-q", "-i", &stage.save("docker-archive", &["app:1", "app:2"])]);
    let out = stage.home.path("podman.tar");
    let (one, two) = (stage.name("app:1"), stage.name("app:2"));
    podman(&["save", "-q", "-m", "-o", out.to_str().unwrap(), &one, &two]);
    let (said, rows) = stage.load(out.to_str().unwrap());
    assert_eq!(said, format!("Loaded image: {one}\nLoaded image: {two}\n"));
    for name in ["app:1", "app:2"] {
        assert!(rows.contains(&format!("{} {}\n", stage.name(name), stage.id(name))), "{rows}");
    }
}

#[test]
fn we_read_what_skopeo_writes() {
    let stage = Stage::new();
    if !installed("skopeo") {
        return;
    }
    let file = stage.save("docker-archive", &["app:1"]);
    let from = format!("docker-archive:{file}");
    let name = stage.name("app:1");
    for form in FORMS {
        let out = stage.home.path(&format!("skopeo-{form}.tar"));
        let to = format!("{form}:{}:{name}", out.display());
        stage.ask(&["skopeo", "copy", "-q", "--insecure-policy", &from, &to]);
        let (said, rows) = stage.load(out.to_str().unwrap());
        assert_eq!(said, format!("Loaded image: {name}\n"), "{form}");
        // Skopeo writes the config anew for OCI's form, so the ID is the one of its own archive.
        let config = stage.ask(&["skopeo", "inspect", "--raw", "--config", &to]);
        let id = shalefs::oci::Digest::sha256(config.as_bytes());
        assert_eq!(rows, format!("{name} {id}\n"), "{form}");
    }
}

/// Images of Docker's and of OCI's types, read in place.
#[test]
fn other_tools_read_the_store() {
    let stage = Stage::new();
    let store = stage.home.path("store");
    for name in ["app:1", "app:2", "plain:latest"] {
        let image = stage.name(name);
        let place = format!("oci:{}:{image}", store.display());
        let path = |what: &str| format!("{}-{what}", stage.home.path(name).display());
        if installed("skopeo") {
            let config = stage.ask(&["skopeo", "inspect", "--raw", "--config", &place]);
            let id = shalefs::oci::Digest::sha256(config.as_bytes()).to_string();
            assert_eq!(id, stage.id(name), "{name}");
            let copy = format!("dir:{}", path("copy"));
            stage.ask(&["skopeo", "copy", "-q", "--insecure-policy", &place, &copy]);
        }
        if installed("umoci") {
            // Only the files: a runtime's configuration would need the image's user in them.
            let (of_umoci, root) = (place.strip_prefix("oci:").unwrap(), path("root"));
            stage.ask(&["umoci", "raw", "unpack", "--rootless", "--image", of_umoci, &root]);
            let there = fs::read_dir(&root).unwrap().count();
            assert!(there > 0, "{name}");
        }
        if installed("podman") && is_root() {
            // It calls the image after the directory, which must then be in small letters.
            let (root, run) = (path("podman"), path("podman-run"));
            let home = stage.home.path("");
            let options = ["env", "-C", home.to_str().unwrap(), "podman", "--storage-driver"];
            let line = ["vfs", "--root", &root, "--runroot", &run, "pull", "-q"];
            let place = format!("oci:store:{image}");
            let id = stage.ask(&[&options[..], &line, &[&place]].concat());
            assert_eq!(format!("sha256:{}", id.trim()), stage.id(name), "{name}");
        }
    }
    // Nothing of this changed what is stored.
    assert_eq!(stage.home.ok(&["verify", "--deep", "-q"]), "");
}

#[test]
fn umoci_reads_the_store_and_an_unpacked_archive() {
    let stage = Stage::new();
    if !installed("umoci") {
        return;
    }
    let file = stage.save("oci-archive", &["app:1", "plain:latest"]);
    let layout = stage.home.path("layout");
    fs::create_dir(&layout).unwrap();
    stage.ask(&["tar", "-xf", &file, "-C", layout.to_str().unwrap()]);
    let names = stage.ask(&["umoci", "ls", "--layout", layout.to_str().unwrap()]);
    assert_eq!(names, format!("{}\n{}\n", stage.name("app:1"), stage.name("plain:latest")));
    let names = stage.ask(&["umoci", "ls", "--layout", stage.home.path("store").to_str().unwrap()]);
    assert_eq!(names.lines().count(), 4, "{names}");
}

#[test]
fn round_trips_of_our_own() {
    let stage = Stage::new();
    let names = ["app:1", "app:1.0", "app:2", "plain:latest"];
    for form in FORMS {
        let (said, rows) = stage.load(&stage.save(form, &names));
        let mut loaded: Vec<&str> = said.lines().collect();
        loaded.sort_unstable();
        let wanted = names.map(|name| format!("Loaded image: {}", stage.name(name)));
        assert_eq!(loaded, wanted, "{form}");
        for name in names {
            assert!(rows.contains(&format!("{} {}\n", stage.name(name), stage.id(name))), "{rows}");
        }
    }
    // The layers of an OCI archive are those that were pulled, and so is a manifest of OCI's type.
    let file = stage.save("oci-archive", &["plain:latest"]);
    let other = Home::new();
    other.ok(&["load", "-i", &file]);
    let descriptor = ["inspect", "-f", "{{json .Descriptor}}", &stage.name("plain")];
    assert_eq!(other.ok(&descriptor), stage.home.ok(&descriptor));
}

#[test]
fn compressed_archives_from_a_pipe() {
    let stage = Stage::new();
    let file = stage.save("docker-archive", &["app:1", "app:2"]);
    for program in ["cat", "gzip -c", "bzip2 -c", "xz -c", "zstd -qc"] {
        if !installed(program.split(' ').next().unwrap()) {
            continue;
        }
        let other = Home::new();
        let mut shell = other.program("sh");
        let line = format!("{program} < {file} | {} load", env!("CARGO_BIN_EXE_shale"));
        let said = other.run(shell.args(["-c", &line]), "");
        let (one, two) = (stage.name("app:1"), stage.name("app:2"));
        let wanted = format!("Loaded image: {one}\nLoaded image: {two}\n");
        assert_eq!((said.stdout, said.status), (wanted, 0), "{program}: {}", said.stderr);
    }
    // By ID an image has no name in the archive.
    let id = stage.id("app:2");
    let file = stage.home.path("id.tar");
    stage.home.ok(&["save", "-o", file.to_str().unwrap(), &id]);
    assert_eq!(stage.load(file.to_str().unwrap()).0, format!("Loaded image ID: {id}\n"));
}

#[test]
fn what_is_no_archive() {
    let home = Home::new();
    let empty = home.fails(1, &["load"]);
    assert!(empty.starts_with("shale: standard input is empty"), "{empty}");
    let mut command = home.program(env!("CARGO_BIN_EXE_shale"));
    let said = home.run(command.arg("load"), &"no tar at all ".repeat(100));
    assert_eq!(said.status, 1);
    assert!(said.stderr.starts_with("shale: standard input: not a docker archive:"), "{said:?}");
    home.write("some/file", "x");
    for path in ["none.tar", "some", "some/file"] {
        let error = home.fails(1, &["load", "-i", path]);
        assert!(error.contains(path), "names the file: {error}");
    }
}
