//! How replies are sent: as they should be, or in one of many other ways.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::{Ending, Reply, Request};
use crate::support::fake_clock::FakeClock;

/// Sends a reply; false when the connection is over.
pub fn send(mut stream: &TcpStream, request: &Request, reply: &Reply) -> bool {
    if let Some(raw) = &reply.raw {
        let _ = stream.write_all(raw);
        if let Ending::Drip(first, again, clock) = &reply.ending {
            return drip(stream, first, again, clock);
        }
        let _ = stream.shutdown(Shutdown::Both);
        return false;
    }
    if stream.write_all(&reply.interim).is_err() {
        return false;
    }
    let mut head = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
    let mut names: HashMap<String, ()> = HashMap::new();
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
        names.insert(name.to_ascii_lowercase(), ());
    }
    let chunked = reply.length == Some(None);
    if chunked {
        head += "Transfer-Encoding: chunked\r\n";
    } else if !names.contains_key("content-length") {
        let length = reply.length.flatten().unwrap_or(reply.body.len());
        head += &format!("Content-Length: {length}\r\n");
    }
    head += "\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return false;
    }
    if request.method == "HEAD" {
        return true;
    }
    match &reply.ending {
        Ending::Whole if chunked => send_chunks(stream, &reply.body),
        Ending::Whole => stream.write_all(&reply.body).is_ok(),
        Ending::Trickle(clock) => trickle(stream, &reply.body, clock),
        Ending::Drip(first, again, clock) => drip(stream, first, again, clock),
        Ending::Close(count) => {
            let _ = stream.write_all(&reply.body[..*count]);
            let _ = stream.shutdown(Shutdown::Both);
            false
        }
        Ending::Reset(count) => {
            let _ = stream.write_all(&reply.body[..*count]);
            // What was sent must arrive before the reset overtakes it.
            std::thread::sleep(Duration::from_millis(30));
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
            false
        }
        Ending::Stall(count) => {
            let _ = stream.write_all(&reply.body[..*count]);
            // Until the client loses its patience.
            let _ = stream.read(&mut [0]);
            false
        }
    }
}

fn send_chunks(mut stream: &TcpStream, body: &[u8]) -> bool {
    let mut text = Vec::new();
    for chunk in body.chunks(10_000) {
        let _ = write!(text, "{:x}\r\n", chunk.len());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&text).is_ok()
}

/// An hour of it is more than anybody may take.
fn drip(mut stream: &TcpStream, first: &[u8], again: &[u8], clock: &FakeClock) -> bool {
    if stream.write_all(first).is_err() {
        return false;
    }
    for _ in 0..3600 {
        clock.advance(Duration::from_secs(1));
        if stream.write_all(again).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    false
}

fn trickle(mut stream: &TcpStream, body: &[u8], clock: &FakeClock) -> bool {
    for byte in body {
        clock.advance(Duration::from_secs(1));
        if stream.write_all(&[*byte]).is_err() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    true
}
