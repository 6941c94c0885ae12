//! Extended attributes that a normal user could not set: in that user's chroot they are hidden, so that
//! the overlay can copy the files that have them and every file can be changed.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, IMAGE};
use crate::support::require::{can_mount, has};

/// An access control list: a head, and entries of tag, permissions and id.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// One that names user 70,000, who is in no namespace of this test.
fn foreign_acl() -> Vec<u8> {
    let none = u32::MAX;
    acl(&[(1, 6, none), (2, 6, 70_000), (4, 4, none), (0x10, 6, none), (0x20, 4, none)])
}

/// A set of capabilities for the root that is user 70,000 outside.
fn foreign_capability() -> Vec<u8> {
    let words = [0x0300_0000_u32, 1 << 10, 0, 0, 0, 70_000];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// File or directory, attribute and value.
fn cases() -> Vec<(&'static str, bool, &'static str, Vec<u8>)> {
    let one = || b"1".to_vec();
    vec![
        ("trusted", false, "trusted.note", one()),
        ("trusted-dir", true, "trusted.note", one()),
        ("ima", false, "security.ima", one()),
        ("evm", false, "security.evm", one()),
        ("ima-dir", true, "security.ima", one()),
        ("acl", false, "system.posix_acl_access", foreign_acl()),
        ("acl-dir", true, "system.posix_acl_default", foreign_acl()),
        ("capability", false, "security.capability", foreign_capability()),
        ("user", false, "user.note", one()),
    ]
}

fn layer() -> TestLayer {
    let shell = std::fs::read("/bin/busybox").unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let add = |builder: &mut tar::Builder<Vec<u8>>, name: &str, kind, mode, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    add(&mut builder, "bin/sh", tar::EntryType::Regular, 0o755, &shell);
    for (name, is_directory, attribute, value) in cases() {
        let key = format!("SCHILY.xattr.{attribute}");
        builder.append_pax_extensions([(key.as_str(), value.as_slice())]).unwrap();
        if is_directory {
            add(&mut builder, name, tar::EntryType::Directory, 0o775, b"");
        } else {
            add(&mut builder, name, tar::EntryType::Regular, 0o664, b"x\n");
        }
    }
    TestLayer::of_tar(&builder.into_inner().unwrap())
}

/// A bench of nobody's with that image; `range` is what /etc/subuid and /etc/subgid say.
fn bench(range: &str) -> Bench {
    let mut bench = Bench::new();
    TestImage::new(vec![layer()], "attributes").put(&bench.store(), Some(IMAGE));
    let top = bench.path("");
    assert!(Command::new("chown").args(["-R", "65534"]).arg(&top).status().unwrap().success());
    let script = format!(
        "set -e; mkdir -p {dev}; mount -t tmpfs -o mode=755 none {dev}
         mknod -m 666 {dev}/fuse c 10 229; mount --bind {dev}/fuse /dev/fuse
         echo '{range}' >{dev}/range; touch /etc/subuid /etc/subgid
         mount --bind {dev}/range /etc/subuid; mount --bind {dev}/range /etc/subgid
         cd /; exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"",
        dev = top.join("dev").display(),
    );
    bench.prefix = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    bench
}

#[test]
fn a_user_changes_files_whose_attributes_only_root_may_set() {
    let Some(_alone) = can_mount() else { return };
    if !has("busybox") {
        return;
    }
    let mut script = String::new();
    for (name, is_directory, ..) in cases() {
        let what =
            if is_directory { format!(": >/{name}/new") } else { format!("echo y >>/{name}") };
        script.push_str(&format!("({what}) || echo cannot change {name}\n"));
    }
    for range in ["", "nobody:200000:65536"] {
        let bench = bench(range);
        let said =
            bench.shale(&["chroot", "--pull", "never", IMAGE, "--", "/bin/sh", "-c", &script]);
        assert!(said.success && said.stdout.is_empty(), "{range}: {} {}", said.stdout, said.stderr);
        let keep = bench.path("keep").display().to_string();
        let words = ["chroot", "--pull", "never", "--keep", &keep, IMAGE, "--", "/bin/sh", "-c"];
        let said = bench.shale(&[&words[..], &[&script]].concat());
        assert!(said.success && said.stdout.is_empty(), "{range}: {} {}", said.stdout, said.stderr);
    }
}
