//! Extended attributes that are not there, or not for whoever looks.

#![allow(clippy::unwrap_used)]

use rustix::io::Errno;
use shalefs::fs::{Fit, Ino, Viewer};

use crate::support::sample::Sample;

#[test]
fn an_attribute_that_is_not_there_is_no_data() {
    let acl = b"system.posix_acl_access".as_slice();
    let mut labelled = Sample::new();
    labelled.file("f", b"").xattrs = vec![(b"security.selinux".to_vec(), b"x\0".to_vec())];
    let mut listed = Sample::new();
    listed.file("f", b"").xattrs =
        vec![(b"user.x".to_vec(), b"1".to_vec()), (acl.to_vec(), b"2".to_vec())];
    let (no, nodata) = (Errno::OPNOTSUPP, Errno::NODATA);
    for (sample, acls, labels) in
        [(Sample::new(), no, no), (labelled, no, nodata), (listed, nodata, no)]
    {
        let fs = sample.fs();
        let of = |name: &[u8]| fs.getxattr(Ino::ROOT, name, 0).unwrap_err().errno();
        assert_eq!(of(b"user.x"), Errno::NODATA);
        assert_eq!(of(b"security.capability"), Errno::NODATA);
        assert_eq!(of(b"trusted.overlay.opaque"), Errno::NODATA);
        assert_eq!((of(acl), of(b"system.posix_acl_default")), (acls, acls));
        assert_eq!(of(b"security.selinux"), labels);
        assert_eq!(fs.has_acls(), acls == Errno::NODATA);
        // A list is always there: without one, `tar --xattrs` warns at each file.
        assert_eq!(fs.listxattr(Ino::ROOT, 0).unwrap(), Fit::Length(0));
        assert_eq!(fs.listxattr(Ino::ROOT, 10).unwrap(), Fit::Bytes(Vec::new()));
    }
}

#[test]
fn a_viewer_is_neither_shown_nor_told_of_what_is_hidden() {
    let mut sample = Sample::new();
    let pair = |name: &str| (name.as_bytes().to_vec(), b"1".to_vec());
    sample.file("f", b"").xattrs = vec![pair("trusted.x"), pair("user.x")];
    let viewer = Viewer::new(Vec::new(), Vec::new(), true);
    let fs = sample.fs().with_viewer(Some(viewer));
    let f = fs.lookup(Ino::ROOT, b"f").unwrap().unwrap().ino;
    assert_eq!(fs.listxattr(f, 99).unwrap(), Fit::Bytes(b"user.x\0".to_vec()));
    assert_eq!(fs.getxattr(f, b"trusted.x", 9).unwrap_err().errno(), Errno::NODATA);
    assert_eq!(fs.getxattr(f, b"user.x", 9).unwrap(), Fit::Bytes(b"1".to_vec()));
}
