//! What once broke other programs that unpack images, each as a real layer that is pulled, mounted
//! and walked beside a file of the host that must not change.
//!
//! Shale unpacks nothing, so the host is safe by construction; these tests say so, and that the
//! tree in the image is the right one all the same. What concerns registries and credentials is in
//! tests/source_faults, with the same kind of names.
#![allow(clippy::unwrap_used)]

use crate::support::require;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::item_image::{Layer, Packing, packed, tar_of, write_index, write_layers};
use crate::support::model::Item;
use crate::support::model::item::{dir, file, hard_link, symlink};
use crate::support::real_parts::{Mounted, TestDir, shale};

/// A directory of the host with a file in it, and an image whose layers aim at it.
struct Attack {
    host: TestDir,
    layout: TestDir,
    store: TestDir,
}

impl Attack {
    fn new(layers: impl FnOnce(&Path) -> Vec<Vec<u8>>) -> Self {
        let [host, layout, store] = ["host", "layout", "store"].map(TestDir::quick);
        fs::write(host.path.join("file"), "the host's").unwrap();
        fs::set_permissions(&host.path, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(host.path.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        let layers: Vec<Layer> =
            layers(&host.path).iter().map(|tar| packed(Packing::Gzip, 0, tar)).collect();
        write_index(&layout.path, &[write_layers(&layout.path, "it", &layers)]);
        Self { host, layout, store }
    }

    fn image(&self) -> String {
        format!("oci:{}:it", self.layout.path.display())
    }

    /// Nothing of the host has changed.
    #[track_caller]
    fn harmless(&self) {
        let names = fs::read_dir(&self.host.path).unwrap().count();
        let file = self.host.path.join("file");
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        let top = fs::metadata(&self.host.path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((names, mode, top), (1, 0o600, 0o700), "the host was touched");
        assert_eq!(fs::read(file).unwrap(), b"the host's");
    }

    /// The image is right: mounts it, and gives the directory to `look`.
    #[track_caller]
    fn taken(&self, look: impl FnOnce(&Path)) {
        let mounted = Mounted::new(&self.store, &self.image());
        look(&mounted.dir);
        drop(mounted);
        self.harmless();
    }

    /// The image is refused with these words.
    #[track_caller]
    fn refused(&self, why: &str) {
        let output = shale(&self.store).args(["pull", "-q", &self.image()]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
        self.harmless();
    }
}

fn at(path: &Path) -> String {
    path.display().to_string()
}

/// umoci: the root as a symlink to the host, and entries through it.
#[test]
fn cve_2021_29136_a_link_in_place_of_the_root() {
    let Some(_alone) = require::can_mount() else { return };
    Attack::new(|host| vec![tar_of(&[symlink("", &at(host)), file("file")])])
        .refused("the root is not a directory");
}

/// containerd: a mode set through a link on a file of the host.
#[test]
fn cve_2021_32760_a_mode_set_through_a_link() {
    let Some(_alone) = require::can_mount() else { return };
    let attack = Attack::new(|host| {
        let through = Item { mode: 0o4777, ..hard_link("b", "a") };
        vec![tar_of(&[symlink("a", &at(&host.join("file"))), through])]
    });
    attack.taken(|root| {
        let link = fs::read_link(root.join("b")).unwrap();
        assert_eq!(link, attack.host.path.join("file"), "the link itself was linked");
    });
}

/// containerd: a directory that becomes a link between two looks at it.
#[test]
fn cve_2025_47290_a_directory_that_becomes_a_link() {
    let Some(_alone) = require::can_mount() else { return };
    let attack = Attack::new(|host| {
        let lower = vec![dir("d"), file("d/file"), symlink("d", &at(host)), file("d/file")];
        vec![tar_of(&lower), tar_of(&[file("d/new")])]
    });
    attack.taken(|root| {
        let inside = root.join(attack.host.path.strip_prefix("/").unwrap());
        assert_eq!(fs::read(inside.join("file")).unwrap(), b"bytes", "inside the image");
        assert_eq!(fs::read(inside.join("new")).unwrap(), b"bytes");
    });
}

/// tar-rs: a PAX size was ignored when the header had one, so that a file's bytes were read as
/// entries.
#[test]
fn cve_2026_33055_a_pax_size_beside_a_header_size() {
    let Some(_alone) = require::can_mount() else { return };
    let smuggled = tar_of(&[file("smuggled")]);
    let mut tar = Vec::new();
    let mut push = |kind, name: &str, size: usize, data: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_mode(0o644);
        header.set_size(size as u64);
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    };
    let record = format!("{} size={}\n", 13, smuggled.len());
    assert_eq!(record.len(), 13);
    push(tar::EntryType::XHeader, "pax", record.len(), record.as_bytes());
    push(tar::EntryType::Regular, "archive.tar", 512, &smuggled);
    push(tar::EntryType::Regular, "next", 0, b"");
    Attack::new(|_| vec![tar]).taken(|root| {
        assert_eq!(fs::read(root.join("archive.tar")).unwrap(), smuggled);
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["archive.tar", "next"]);
    });
}

/// tar-rs: the mode of a directory entry was set through a link of the same name.
#[test]
fn cve_2026_33056_a_directory_over_a_link() {
    let Some(_alone) = require::can_mount() else { return };
    let attack = Attack::new(|host| {
        vec![tar_of(&[symlink("d", &at(host)), Item { mode: 0o777, ..dir("d") }])]
    });
    attack.taken(|root| {
        let made = fs::symlink_metadata(root.join("d")).unwrap();
        assert!(made.is_dir() && made.permissions().mode() & 0o7777 == 0o777);
    });
}

/// Go's archive/tar: a PAX header of any length was read into memory.
#[test]
fn cve_2022_2879_a_pax_header_without_bound() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(6 << 30);
    header.set_cksum();
    let tar = [header.as_bytes(), &[b' '; 512][..]].concat();
    Attack::new(|_| vec![tar]).refused("an extension of more than 1048576 bytes");
}

/// Go's compress/gzip: a call deeper for every empty member.
#[test]
fn cve_2022_30631_empty_members_without_end() {
    let layer = packed(Packing::Gzip, 0, &tar_of(&[file("a")]));
    let empty = packed(Packing::Gzip, 0, b"").blob;
    let blob = [&empty.repeat(500_000)[..], &layer.blob].concat();
    let attack = Attack::new(|_| Vec::new());
    let row = write_layers(&attack.layout.path, "it", &[Layer { blob, ..layer }]);
    write_index(&attack.layout.path, &[row]);
    let start = Instant::now();
    let pulled = shale(&attack.store).args(["pull", "-q", &attack.image()]).output().unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
