//! A registry in this process that serves an OCI image layout whose names are `REPOSITORY:TAG`.
//!
//! As much of the protocol as a well-behaved client needs: manifests by tag and digest, blobs, tags
//! and the catalog in pages of two. It listens on loopback, on a port of five digits, so that
//! tables that show its name are always of the same width.

#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// A running registry; it ends with the process.
pub struct LayoutRegistry {
    /// `127.0.0.1:PORT`
    pub name: String,
}

struct Layout {
    path: PathBuf,
    /// `(repository, tag, digest)`
    rows: Vec<(String, String, String)>,
}

struct Answer {
    status: &'static str,
    kind: String,
    extra: String,
    body: Vec<u8>,
}

impl LayoutRegistry {
    pub fn serve(path: &Path) -> Self {
        let index = fs::read(path.join("index.json")).expect("a layout");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let rows = index["manifests"].as_array().expect("rows").iter().map(|row| {
            let name = row["annotations"]["org.opencontainers.image.ref.name"].as_str();
            let (repository, tag) = name.expect("a name").rsplit_once(':').expect("a tag");
            let digest = row["digest"].as_str().expect("a digest");
            (repository.to_owned(), tag.to_owned(), digest.to_owned())
        });
        let layout = Arc::new(Layout { path: path.into(), rows: rows.collect() });
        let listener = (0..100)
            .filter_map(|_| TcpListener::bind("127.0.0.1:0").ok())
            .find(|listener| listener.local_addr().is_ok_and(|address| address.port() >= 10_000))
            .expect("a free port");
        let name = listener.local_addr().expect("an address").to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let layout = Arc::clone(&layout);
                thread::spawn(move || converse(stream, &layout));
            }
        });
        Self { name }
    }
}

/// Answers requests until the client goes.
fn converse(stream: TcpStream, layout: &Layout) {
    let mut requests = BufReader::new(stream.try_clone().expect("a socket"));
    let mut out = stream;
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            if requests.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                break;
            }
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let answer = layout.answer(target);
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n",
            answer.status,
            answer.kind,
            answer.body.len(),
            answer.extra
        );
        let body = if method == "HEAD" { &[][..] } else { &answer.body };
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).is_err() {
            return;
        }
    }
}

impl Layout {
    fn answer(&self, target: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(path) = path.strip_prefix("/v2/") else { return missing("NOT_FOUND") };
        if path.is_empty() {
            return json("{}".into(), String::new());
        }
        if path == "_catalog" {
            let mut names: Vec<&str> = self.rows.iter().map(|row| row.0.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            return page("repositories", "/v2/_catalog", &names, query);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            let rows = self.rows.iter().filter(|row| row.0 == repository);
            let tags: Vec<&str> = rows.map(|row| row.1.as_str()).collect();
            if tags.is_empty() {
                return missing("NAME_UNKNOWN");
            }
            return page("tags", &format!("/v2/{path}"), &tags, query);
        }
        if let Some((repository, key)) = path.split_once("/manifests/") {
            let row = self.rows.iter().find(|row| row.0 == repository && row.1 == key);
            let digest = row.map_or(key, |row| row.2.as_str());
            return self.blob(digest, "MANIFEST_UNKNOWN");
        }
        match path.split_once("/blobs/") {
            Some((_, digest)) => self.blob(digest, "BLOB_UNKNOWN"),
            None => missing("NOT_FOUND"),
        }
    }

    fn blob(&self, digest: &str, unknown: &str) -> Answer {
        let file = self.path.join("blobs").join(digest.replace(':', "/"));
        let Ok(body) = fs::read(file) else { return missing(unknown) };
        let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
        let kind = parsed["mediaType"].as_str().unwrap_or("application/octet-stream").to_owned();
        Answer {
            status: "200 OK",
            kind,
            extra: format!("Docker-Content-Digest: {digest}\r\n"),
            body,
        }
    }
}

fn json(body: String, extra: String) -> Answer {
    let kind = "application/json".to_owned();
    Answer { status: "200 OK", kind, extra, body: body.into_bytes() }
}

fn missing(code: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not here"}}]}}"#);
    Answer { status: "404 Not Found", ..json(body, String::new()) }
}

/// Two names, and a link to the next two.
fn page(key: &str, path: &str, names: &[&str], query: &str) -> Answer {
    let last = query.split('&').find_map(|part| part.strip_prefix("last="));
    let start = last.and_then(|last| names.iter().position(|name| *name == last));
    let rest = names.get(start.map_or(0, |start| start + 1)..).unwrap_or_default();
    let shown: Vec<&str> = rest.iter().take(2).copied().collect();
    let link = match shown.last() {
        Some(last) if rest.len() > shown.len() => {
            format!("Link: <{path}?last={last}&n=2>; rel=\"next\"\r\n")
        }
        _ => String::new(),
    };
    json(serde_json::json!({ key: shown }).to_string(), link)
}
