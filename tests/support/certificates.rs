//! Certificates for registries of tests, by `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::real_registry::installed;

/// Certificates in `folder`: `ca.crt` and what it signed, as `NAME.cert` and `NAME.key`.
pub fn certificates(folder: &Path) -> bool {
    let script = r#"set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj '/CN=test CA' -keyout ca.key -out ca.crt
        for name in server client other; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
                -subj "/CN=$name" -keyout $name.key -out $name.csr
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' > $name.ext
            openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
                -days 2 -extfile $name.ext -out $name.cert
        done"#;
    installed("openssl")
        && Command::new("sh")
            .args(["-c", script])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}
